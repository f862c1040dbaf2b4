import Integrity
import SystemPackage

/// What one file of weights holds, by the names that it has them under.
struct StoredTensors {
  /// What can be a weight.
  private(set) var tensors: [String: StoredTensor] = [:]
  /// What is well formed, but can't be one here, and why. It matters only under the name of a weight.
  private(set) var others: [String: NoWeight] = [:]
  /// Where those of `others` lie that are codes of one byte, which scales may make weights of.
  private(set) var codes: [String: (code: StoredCoding.Code, tensor: StoredTensor)] = [:]
  /// Byte of the file where it lists them, for errors.
  let byte: Int
  /// What the file was called when it was written, without its suffix, where it says so: torch writes that into it.
  var writtenAs: String?

  /// More than any model has in a file: DeepSeek's 671B has 91,000 in all. Beyond that a file is damaged or hostile.
  static let most = 100_000
  /// Bytes of a name; messages repeat it.
  static let longestName = 1024

  init(byte: Int) { self.byte = byte }

  mutating func reserveCapacity(_ count: Int) { tensors.reserveCapacity(count) }

  /// - Returns: whether the name was free.
  mutating func insert(_ stored: Result<StoredTensor, NoWeight>, _ name: String) -> Bool {
    guard tensors[name] == nil, others[name] == nil else { return false }
    switch stored {
    case .success(let tensor): tensors[name] = tensor
    case .failure(let reason): others[name] = reason
    }
    return true
  }

  /// Notes where codes lie that were inserted as no weight.
  /// - Parameter tensor: with strides in bytes of codes.
  mutating func place(_ code: StoredCoding.Code, _ tensor: StoredTensor, _ name: String) { codes[name] = (code, tensor) }

  /// Makes a weight of codes.
  mutating func decode(_ name: String, by coding: StoredCoding) {
    guard var tensor = codes.removeValue(forKey: name)?.tensor else { return }
    tensor.coding = coding
    others[name] = nil
    tensors[name] = tensor
  }

  /// Takes away what is no tensor of its own.
  mutating func remove(_ name: String) -> StoredTensor? { tensors.removeValue(forKey: name) }

  /// What stands beside the tensors in the file, such as an optimizer's state, by name.
  var beside: [String] = []

  /// All names, in order, so that of several faults the same one is told each time.
  var names: [String] { (Array(tensors.keys) + Array(others.keys)).sorted() }

  /// The tensor of this name, which is a weight's.
  /// - Parameter path: of the file, for errors.
  func weight(_ name: String, in path: FilePath) throws(CheckpointError) -> StoredTensor {
    if let tensor = tensors[name] { return tensor }
    let other = others[name]
    throw CheckpointError(other?.reason ?? .corrupt, in: path, byte: byte, "\(name) \(other?.description ?? "can't be read")")
  }
}

/// Why what is well formed can't be a weight here.
enum NoWeight: Error, Equatable, CustomStringConvertible {
  /// Stored as what the format calls so.
  case dtype(String)
  case shape([Int])
  /// Of torch: the numbers aren't those that are stored.
  case bit(String)
  /// Of torch: made by a function that isn't one of those that say where a tensor lies.
  case made(String)
  /// Of torch: a number, a list or anything else.
  case value

  var reason: CheckpointError.Reason { self == .value ? .corrupt : .unsupported }

  /// What goes after its name.
  var description: String {
    switch self {
    case .dtype(let name): "is stored as \(name), a dtype that drover lacks; it reads float64, float32, float16 and bfloat16"
    case .shape(let shape): "has the shape \(shape); a Llama has vectors and matrices"
    case .bit(let name):
      "has torch's bit \"\(name)\" set, so that its numbers aren't those that are stored; save it as tensor.resolve_\(name)()"
    case .made(let function): "is made by \(function), which drover doesn't read; save it as a plain tensor"
    case .value: "isn't a tensor"
    }
  }
}
