import SystemPackage

/// What a Hugging Face folder says of its model, in files that go where the weights go.
public struct HuggingFaceCompanions: Sendable {
  public let config: FilePath
  /// nil when there is none.
  public let generationConfig: FilePath?
  /// The tokens that end a text, as both files name them.
  public let endTokens: [Int]

  /// - Parameter config: the folder's `config.json`.
  init(_ folder: CheckpointFolder, config: FilePath) throws(CheckpointError) {
    self.config = config
    generationConfig = folder.has(GenerationConfig.fileName) ? folder.path.appending(GenerationConfig.fileName) : nil
    var ids: [Int] = []
    for path in [config, generationConfig].compactMap(\.self) {
      // Both call it so.
      for id in try decodeJSON(GenerationConfig.self, from: folder.open(path)).eosTokenID?.ids ?? [] where !ids.contains(id) {
        guard id >= 0 else { throw CheckpointError(.corrupt, in: path, "says eos_token_id is \(id)") }
        ids.append(id)
      }
    }
    endTokens = ids
  }
}

extension Checkpoint {
  /// The tokens that end a text, as files beside the weights name them; the vocabulary may have others.
  public var endTokens: [Int] { companions.huggingFace?.endTokens ?? [] }
}
