import SystemPackage
import Tokenization

extension Checkpoint {
  /// Reads the vocabulary that comes with the weights.
  ///
  /// - Returns: nil when none does.
  public func vocabulary() throws(VocabularyError) -> Vocabulary? {
    switch companions.tokenizer {
    case .file(let path): return try Vocabulary.load(path, isHuggingFace: companions.huggingFace != nil)
    case .gguf(let metadata):
      let file = files.first?.path.string ?? "GGUF"
      return try Vocabulary(gguf: Vocabulary.GGUFMetadata(metadata, file: file), file: file)
    case nil: return nil
    }
  }
}

extension Vocabulary.GGUFMetadata {
  /// What a GGUF file says of its vocabulary, whatever else it holds.
  package init(at path: FilePath) throws {
    try self.init(GGUFHeader(LocalFile(path)).metadata, file: path.string)
  }

  /// - Parameter file: the name that errors carry.
  init(_ metadata: GGUFMetadata, file: String) throws(VocabularyError) {
    for key in ["tokens", "merges", "scores", "token_type"] {
      guard let array = metadata["tokenizer.ggml.\(key)"]?.array, array.byteCount > smallFileLimit else { continue }
      throw VocabularyError(.corrupt, in: file, "tokenizer.ggml.\(key) has \(array.byteCount) bytes, which no vocabulary has")
    }
    func value(_ key: String) -> GGUFMetadata.Value? { metadata["tokenizer.ggml.\(key)"] }
    self.init(model: value("model")?.text ?? "")
    tokens = value("tokens")?.array?.packedStrings() ?? PackedStrings()
    scores = value("scores")?.array?.floats() ?? []
    tokenTypes = value("token_type")?.array?.integers() ?? []
    merges = value("merges")?.array?.packedStrings() ?? PackedStrings()
    pre = value("pre")?.text
    bos = value("bos_token_id")?.integer
    eos = value("eos_token_id")?.integer
    eot = value("eot_token_id")?.integer
    eom = value("eom_token_id")?.integer
    unknown = value("unknown_token_id")?.integer
    padding = value("padding_token_id")?.integer
    addsBOS = value("add_bos_token")?.bool
    addsEOS = value("add_eos_token")?.bool
    addsSpacePrefix = value("add_space_prefix")?.bool
    chatTemplate = metadata["tokenizer.chat_template"]?.text
  }
}
