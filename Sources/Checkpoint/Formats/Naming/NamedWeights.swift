import Integrity
import SystemPackage

/// Gathers what files hold under Meta's names, rank by rank, and what of it isn't needed.
struct NamedWeights {
  private let scheme: NamingScheme
  /// What is said of the model, and the file that says it; nil where nothing is.
  private let described: (stated: StatedParams, by: FilePath)?
  private var weights: [TensorName: StoredTensor] = [:]
  private(set) var extras = ExtraTensors()
  /// What the files call otherwise, or have several of in one tensor.
  private(set) var spelling: [String: [TensorName]] = [:]
  /// Tensors that hold several, where nothing says how many heads there are.
  private(set) var fused: [String] = []
  private var isFirstRank = true
  /// That were added.
  private var files = 0

  init(_ scheme: NamingScheme, described: (stated: StatedParams, by: FilePath)? = nil) { (self.scheme, self.described) = (scheme, described) }

  /// Adds what one file holds.
  /// - Throws: for what may change what the model computes and has no place in it, and for what comes twice.
  mutating func add(_ stored: StoredTensors, in path: FilePath) throws(CheckpointError) {
    defer { files += 1 }
    if isFirstRank { extras.add(beside: stored.beside) }
    for text in stored.names {
      switch scheme.meaning(ofWrapped: text) {
      case .weight(let name):
        try put(try stored.weight(text, in: path), name, text, in: path)
        if isFirstRank, text != name.text { spelling[text] = [name] }
      case .fused(let layer, let rows):
        guard let described else {
          fused.append(text)
          continue
        }
        let made = try rows.split(try stored.weight(text, in: path), text, described.stated, by: described.by, in: path)
        for (role, tensor) in made { try put(tensor, TensorName(role, layer: layer), text, in: path) }
        if isFirstRank { spelling[text] = made.map { TensorName($0.role, layer: layer) } }
      case .computed: break
      case nil:
        guard let kind = ExtraTensors.kind(of: text) else { throw foreign(text, path) }
        if isFirstRank { extras.add(text, kind, file: files) }
      }
    }
  }

  /// What came of a rank's files, of which all were added; after it the next rank's follow.
  mutating func takeWeights() -> [TensorName: StoredTensor] {
    defer { (weights, isFirstRank) = ([:], false) }
    return weights
  }

  private mutating func put(_ tensor: StoredTensor, _ name: TensorName, _ text: String, in path: FilePath) throws(CheckpointError) {
    guard weights.updateValue(name.role.isBias ? tensor.asColumn : tensor, forKey: name) == nil else { throw CheckpointError(.corrupt, in: path, "has \(text), which is \(name), a second time") }
  }

  private func foreign(_ text: String, _ path: FilePath) -> CheckpointError {
    let message = "has the tensor \(text), which isn't one of a Llama text model"
    // It often comes with a key that says so.
    guard let described, !described.stated.unhonoured.isEmpty else { return CheckpointError(.unsupported, in: path, message) }
    let keys = described.stated.unhonoured.map(\.statement).joined(separator: ", ")
    return CheckpointError(.unsupported, in: path, "\(message); \(described.by.lastComponent?.string ?? "") says \(keys), which drover doesn't honour")
  }
}
