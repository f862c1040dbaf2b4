import Integrity
import SystemPackage

/// Reads one shard that `torch.save` wrote: a zip with a pickle of names and tensors, and a file for each storage.
///
/// Source: `torch/serialization.py`, `torch/_utils.py` and `caffe2/serialize/inline_container.h`.
enum PthReader {
  /// - Parameter index: which of the checkpoint's files `file` is.
  static func read(_ file: any ByteSource, index: Int) throws(CheckpointError) -> StoredTensors {
    let archive = try ZipArchive(file)
    let suffix = "/data.pkl"
    let pickles = archive.entries.values.filter { $0.name.hasSuffix(suffix) && $0.name.dropLast(suffix.count).contains("/") == false }
    guard pickles.count == 1, let pickle = pickles.first else {
      throw CheckpointError(.corrupt, in: file.path, "is a zip, but holds \(pickles.count) entries <name>/data.pkl, where a checkpoint has one")
    }
    let prefix = pickle.name.dropLast(suffix.count)
    if let order = archive.entries[prefix + "/byteorder"] {
      let range = try archive.contentRange(of: order)
      guard range.count == 6, try file.bytes(range).elementsEqual("little".utf8) else {
        throw CheckpointError(.unsupported, in: file.path, byte: range.lowerBound, "was written on a big-endian machine")
      }
    }
    let range = try archive.contentRange(of: pickle)
    let (nodes, root) = try Unpickler.read(file, range)
    let dictionary = StateDictionary(file: file, index: index, archive: archive, prefix: String(prefix), nodes: nodes, at: range.lowerBound)
    var stored = try dictionary.tensors(root)
    stored.writtenAs = String(prefix)
    return stored
  }
}

/// The meaning of a state dict's nodes.
private struct StateDictionary {
  let file: any ByteSource
  let index: Int
  let archive: ZipArchive
  let prefix: String
  let nodes: [Unpickler.Node]
  /// Byte of the pickle, for errors.
  let at: Int

  func tensors(_ root: Int) throws(CheckpointError) -> StoredTensors {
    guard case .dictionary(let pairs) = nodes[root] else { throw corrupt("the pickled object isn't a dictionary of tensors") }
    var tensors: [String: StoredTensor] = [:]
    tensors.reserveCapacity(pairs.count / 2)
    for pair in stride(from: 0, to: pairs.count, by: 2) {
      guard case .text(let name) = nodes[pairs[pair]] else { throw corrupt("the dictionary has a key that isn't a string") }
      // As in Python, a key that comes again replaces the value.
      tensors[name] = try tensor(pairs[pair + 1], name)
    }
    return StoredTensors(tensors: tensors)
  }

  /// `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks[, metadata])`, perhaps within
  /// `_rebuild_parameter(data, requires_grad, backward_hooks)`.
  private func tensor(_ index: Int, _ name: String) throws(CheckpointError) -> StoredTensor {
    guard case .call(var function, var arguments) = nodes[index] else { throw corrupt("\(name) isn't a tensor") }
    if function == .rebuildParameter, let data = arguments.first, case .call(let inner, let innerArguments) = nodes[data] {
      (function, arguments) = (inner, innerArguments)
    }
    guard function == .rebuildTensor, arguments.count >= 4, case .persistent(let identifier) = nodes[arguments[0]],
      case .integer(let first) = nodes[arguments[1]], let shape = integers(arguments[2]), let strides = integers(arguments[3])
    else { throw corrupt("\(name) isn't a tensor that torch would write") }
    let (dtype, entry, elements) = try storage(identifier, name)
    guard (1...2).contains(shape.count), shape.allSatisfy({ $0 > 0 }) else {
      throw CheckpointError(.unsupported, in: file.path, byte: at, "\(name) has the shape \(shape); a Llama has vectors and matrices")
    }
    guard strides.count == shape.count, first >= 0, strides.allSatisfy({ $0 >= 0 }) else {
      throw corrupt("\(name) has the strides \(strides) and the offset \(first), which its shape \(shape) can't have")
    }
    // The last element must lie within the storage.
    var last: Int? = first
    for (size, stride) in zip(shape, strides) { last = last.flatMap { last in product(size - 1, stride).flatMap { sum(last, $0) } } }
    guard let last, last < elements else {
      throw corrupt("\(name) (shape \(shape), strides \(strides), offset \(first)) reaches beyond its storage of \(elements) elements")
    }
    let offset = entry.start + first * dtype.blockBytes
    // With a stride of 0 a shape may exceed its file by any factor; sums over shards must not overflow.
    guard let size = StoredTensor.byteCount(dtype, shape), size < 1 << 50,
      var tensor = StoredTensor(dtype: dtype, shape: shape, file: self.index, offset: offset)
    else {
      throw corrupt("\(name) has the shape \(shape), which is more than any machine holds")
    }
    // The stride of a dimension of one is never used, and may be anything.
    for (dimension, size) in shape.enumerated() where size > 1 { tensor.strides[dimension] = strides[dimension] * dtype.blockBytes }
    return tensor
  }

  /// `("storage", torch.FloatStorage, key, location, element count)`
  private func storage(_ index: Int, _ name: String) throws(CheckpointError) -> (DType, ZipArchive.Entry, elements: Int) {
    guard case .tuple(let items) = nodes[index], items.count == 5, case .text("storage") = nodes[items[0]],
      case .global(.storage(let type, let dtype)) = nodes[items[1]], case .text(let key) = nodes[items[2]],
      case .integer(let elements) = nodes[items[4]]
    else { throw corrupt("\(name) has no storage that torch would write") }
    guard let dtype else {
      throw CheckpointError(
        .unsupported, in: file.path, byte: at, "\(name) is a torch.\(type); weights are FloatStorage, HalfStorage or BFloat16Storage")
    }
    guard let entry = archive.entries["\(prefix)/data/\(key)"] else { throw corrupt("\(name) lies in storage \(key), which the zip doesn't have") }
    guard let bytes = product(elements, dtype.blockBytes), bytes <= entry.count else {
      throw CheckpointError(
        .corrupt, in: file.path, byte: entry.start, "storage \(key) of \(name) should have \(elements) elements, but has only \(entry.count) bytes")
    }
    return (dtype, entry, elements)
  }

  private func integers(_ index: Int) -> [Int]? {
    guard case .tuple(let items) = nodes[index] else { return nil }
    var values: [Int] = []
    for item in items {
      guard case .integer(let value) = nodes[item] else { return nil }
      values.append(value)
    }
    return values
  }

  private func corrupt(_ message: String) -> CheckpointError { CheckpointError(.corrupt, in: file.path, byte: at, message) }
}
