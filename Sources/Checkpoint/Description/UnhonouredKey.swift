import Platform
import SystemPackage

/// A key of a model's description (`config.json`, `params.json`, GGUF metadata) that drover neither honours nor knows to be harmless: with it, what the
/// model computes may be something else than what drover would compute.
public struct UnhonouredKey: Sendable, Equatable {
  /// As `--ignore-key` takes it; of a key within an object, both: `rope_scaling.rope_type`.
  public let name: String
  /// What the file says, in JSON, cut off where it is long.
  public let value: String
  /// The file that says it.
  public let file: FilePath
  /// Why that can't be honoured, as half a sentence; nil where drover doesn't know the key or its value.
  public let reason: String?

  init(_ name: String, _ value: JSONValue, in file: FilePath, because reason: String? = nil) {
    self.name = name
    self.value = value.brief
    self.file = file
    self.reason = reason
  }

  /// `sliding_window: 4096`, and why.
  var statement: String { "\(name): \(value)" + (reason.map { " (\($0))" } ?? "") }

  /// What a command says that doesn't compute with the model.
  public var note: String {
    "\(file) says \(statement), which drover doesn't honour: it won't run the model, or convert it to what would drop the key, unless --ignore-key \(name) is given"
  }
}

extension Checkpoint {
  /// Refuses where drover would compute something else than what the model's description says, or write a description that no longer says it.
  /// - Throws: `CheckpointError` of the kind `unsupported` that names every key, or what the model has that drover doesn't compute.
  public func requireHonoured() throws(CheckpointError) {
    if let architecture = params.architecture {
      throw CheckpointError(
        .unsupported, in: files.first?.path,
        "holds a Llama with \(architecture), which drover inspects, fingerprints and reshards, and neither runs nor converts to another family's format")
    }
    guard let first = unhonoured.first else { return }
    let statements = unhonoured.map(\.statement).joined(separator: ", ")
    let options = unhonoured.map { "--ignore-key \($0.name)" }.joined(separator: " ")
    let without = unhonoured.count == 1 ? "it wasn't" : "they weren't"
    throw CheckpointError(
      .unsupported, in: first.file,
      "says \(statements), which drover doesn't honour: the numbers could be others than the model's; \(options) goes on as if \(without) there")
  }

  /// The same checkpoint, read as if some keys of its description weren't there.
  ///
  /// - Parameter names: of keys in `unhonoured`.
  /// - Throws: `CheckpointError` of the kind `refused` for a name that isn't one of them: nothing would be ignored.
  public func ignoring(_ names: [String]) throws(CheckpointError) -> Checkpoint {
    var notes: [String] = []
    for name in names {
      guard let key = unhonoured.first(where: { $0.name == name }) else {
        let others = unhonoured.map(\.name).joined(separator: ", ")
        throw CheckpointError(
          .refused, in: unhonoured.first?.file,
          "--ignore-key \(name): there is no such key that stands in the way\(others.isEmpty ? "" : "; there is \(others)")")
      }
      notes.append("\(key.file) says \(key.statement), and that is ignored (--ignore-key): the numbers may be others than the model's")
    }
    guard !names.isEmpty else { return self }
    var companions = companions
    companions.notes += notes
    var checkpoint = Checkpoint(
      format: format, modelParallel: modelParallel, params: params, tensors: tensors, files: files, companions: companions,
      unhonoured: unhonoured.filter { !names.contains($0.name) })
    (checkpoint.extras, checkpoint.spelling, checkpoint.copyOfEmbedding) = (extras, spelling, copyOfEmbedding)
    return checkpoint
  }
}
