/// A vocabulary as the metadata of a GGUF, from which llama.cpp makes the same ids.
///
/// Source: `llama-vocab.cpp`, for what its models and the names of `pre` mean, and llama.cpp's converter of Hugging Face folders, for how tokens are spelled.
extension Vocabulary {
  /// - Parameters:
  ///   - rows: of the embedding. Ids beyond the tokens are filled with unused ones, `[PAD123]`.
  ///   - file: the name that errors carry.
  /// - Throws: `unsupported` for what llama.cpp has no model for, `corrupt` for more tokens than rows.
  public func ggufMetadata(rows: Int, file: String) throws(VocabularyError) -> GGUFMetadata {
    guard count <= rows else {
      throw VocabularyError(.corrupt, in: file, "has \(count) tokens, and the embedding has \(rows) rows: one of the two is another model's")
    }
    switch model {
    case .tiktoken: return try withMerges().ggufMetadata(rows: rows, file: file)
    case .pipeline: throw VocabularyError(.unsupported, in: file, "does more to text than llama.cpp's tokenizers know, so it can't go into a GGUF")
    case .sentencePiece, .byteLevel: break
    }
    var metadata = GGUFMetadata(model: model == .sentencePiece ? "llama" : "gpt2")
    metadata.pre = try ggufPreTokenizer(file)
    metadata.tokens.reserveCapacity(rows, bytes: tokens.byteCount + 16 * (rows - count))
    metadata.tokenTypes.reserveCapacity(rows)
    for id in 0..<rows {
      let kind = id < count && !tokens[id].isEmpty ? kinds[id] : nil
      metadata.tokenTypes.append(Int((kind ?? .unused).rawValue))
      if model == .sentencePiece { metadata.scores.append(id < count ? scores[id] : -10_000) }
      switch kind {
      case nil: metadata.tokens.append("[PAD\(id)]".utf8)
      case .normal where model == .byteLevel: metadata.tokens.append(ByteAlphabet.encode(tokens[id]).utf8)
      // These are looked for in the text as it is written.
      case .userDefined where model == .sentencePiece: metadata.tokens.append(tokens.string(id).replacing("\u{2581}", with: " ").utf8)
      default: metadata.tokens.append(tokens[id])
      }
    }
    metadata.merges.reserveCapacity(merges.count, bytes: 16 * merges.count)
    for merge in merges {
      metadata.merges.append("\(ByteAlphabet.encode(tokens[Int(merge.left)])) \(ByteAlphabet.encode(tokens[Int(merge.right)]))".utf8)
    }
    metadata.bos = bos
    metadata.eos = eos
    metadata.eot = eot
    metadata.eom = eom ?? specials["<|eom_id|>"]
    metadata.unknown = unknown
    metadata.padding = padding ?? specials["<|finetune_right_pad_id|>"]
    metadata.addsBOS = addsBOS
    metadata.addsEOS = addsEOS
    if model == .sentencePiece { metadata.addsSpacePrefix = rules.prefix != .never }
    metadata.chatTemplate = chatTemplate
    return metadata
  }

  /// The name by which llama.cpp cuts text as this vocabulary does.
  private func ggufPreTokenizer(_ file: String) throws(VocabularyError) -> String {
    if model == .sentencePiece {
      let isPlain = !rules.isUnigram && rules.characters == nil && !rules.spaceFollows && !rules.removesExtraSpaces && rules.escapesSpaces
      guard isPlain else { throw VocabularyError(.unsupported, in: file, "prepares text in a way that llama.cpp doesn't, so it can't go into a GGUF") }
      return "default"
    }
    for name in GGUFPreTokenizer.names {
      if let known = try GGUFPreTokenizer(name, file: file), known.cuts == splits, known.ignoresMerges == ignoresMerges { return name }
    }
    throw VocabularyError(.unsupported, in: file, "cuts text in a way that llama.cpp has no name for, so it can't go into a GGUF")
  }
}
