/// A `tokenizer.model` in a Hugging Face folder: what the files beside it add, as `transformers` 5 takes them.
///
/// Sources: `tokenization_utils_tokenizers.py`, `convert_slow_tokenizer.py` and `models/llama/tokenization_llama.py` of `transformers`.
extension Vocabulary {
  /// This SentencePiece vocabulary with what `settings` say.
  /// - Parameter file: the model's, for errors.
  func beside(_ settings: TokenizerSettings, file: String) throws(VocabularyError) -> Vocabulary {
    let isLlama: Bool
    switch settings.tokenizerClass {
    case "LlamaTokenizer", "LlamaTokenizerFast": isLlama = true
    case nil, "PreTrainedTokenizerFast", "TokenizersBackend": isLlama = false
    case let other?:
      throw VocabularyError(
        .unsupported, in: file, "tokenizer_config.json says tokenizer_class is “\(other)”; of a bare tokenizer.model only LlamaTokenizer is supported")
    }
    if isLlama, rules.isUnigram || rules.characters != nil || rules.removesExtraSpaces {
      throw VocabularyError(
        .unsupported, in: file, "tokenizer_config.json says tokenizer_class is LlamaTokenizer, which merges and rewrites nothing, and this model does otherwise")
    }
    var known: [String: Int] = [:]
    for id in kinds.indices { known[tokens.string(id)] = known[tokens.string(id)] ?? id }
    let own = kinds.indices.filter { kinds[$0] == .control || kinds[$0] == .unknown || isLlama && kinds[$0] == .userDefined }
    let added = try settings.adding(
      to: own.map { AddedTokens.Token(id: $0, content: tokens.string($0), isSpecial: kinds[$0] != .userDefined) }, known: &known, file: file)

    var all = tokens
    var allKinds = kinds
    for token in added.sorted(by: { $0.id < $1.id }) {
      if token.id == all.count {
        all.append(token.content.utf8)
        allKinds.append(.normal)
      }
      if allKinds[token.id] != .unknown { allKinds[token.id] = token.isSpecial ? .control : .userDefined }
    }
    let allScores = scores + Array(repeating: 0, count: all.count - scores.count)
    var vocabulary: Vocabulary
    if isLlama {
      vocabulary = Vocabulary(
        model: .sentencePiece, tokens: all, kinds: allKinds, scores: allScores, rules: rules, index: index,
        pipeline: try llamaPipeline(added, legacy: settings.isLegacy ?? false, prefixes: settings.prefixesSpace ?? true, file: file))
    } else {
      var rules = rules
      if rules.prefix == .always, settings.isLegacy == false { rules.prefix = .first }
      vocabulary = Vocabulary(model: .sentencePiece, tokens: all, kinds: allKinds, scores: allScores, rules: rules, index: index)
    }
    vocabulary.added = AddedTokens(
      added.map { token in
        var token = token
        // They are looked for in the text as it is, whatever the files say.
        token.isNormalized = false
        return token
      })
    (vocabulary.bos, vocabulary.eos, vocabulary.unknown, vocabulary.addsBOS) = (bos, eos, unknown, addsBOS)
    vocabulary.eot = Self.endOfTurnNames.lazy.compactMap { [vocabulary] in vocabulary.id(spelled: $0) }.first
    settings.apply(to: &vocabulary)
    return vocabulary
  }

  /// What `LlamaTokenizer` makes of the pieces: every way to cut one into two others is a merge, and pieces come in order of their ids.
  private func llamaPipeline(_ added: [AddedTokens.Token], legacy: Bool, prefixes: Bool, file: String) throws(VocabularyError) -> TextPipeline {
    let pieces = TokenIndex(tokens) { _ in true }
    guard pieces.count == count else { throw VocabularyError(.corrupt, in: file, "two pieces are spelled alike, which LlamaTokenizer can't tell apart") }
    var merges: [Merge] = []
    for id in 0..<count {
      tokens.withBytes(id) { bytes in
        guard let base = bytes.baseAddress, bytes.count > 1 else { return }
        for middle in 1..<bytes.count where bytes[middle] & 0xC0 != 0x80 {
          guard let left = pieces.find(base, middle), let right = pieces.find(base + middle, bytes.count - middle) else { continue }
          merges.append(Merge(left: Int32(left), right: Int32(right), result: Int32(id)))
        }
      }
    }
    let space: [UInt8] = [0xE2, 0x96, 0x81]
    let model = BPEModel(
      ModelTokens(tokens: tokens, ids: Array(0..<count), index: pieces), merges: merges, unknown: nil, fusesUnknown: true, fallsBackToBytes: true, ignoresMerges: false)
    var pipeline = TextPipeline(
      preTokenizers: [.metaspace(replacement: space, prefixes ? legacy ? .always : .first : .never, splits: false)], model: .bpe(model),
      decoder: TokenDecoder(steps: [.replace(space, with: [UInt8(ascii: " ")])], hasByteTokens: true, lead: prefixes ? .spaces(1) : .nothing))
    pipeline.added = try AddedTokens(added) { text throws(VocabularyError) in text }
    return pipeline
  }

  /// Takes which tokens begin and end a text, and checks that the files beside a rank file know no token that it doesn't have.
  mutating func check(_ settings: TokenizerSettings, file: String) throws(VocabularyError) {
    var known: [String: Int] = [:]
    for id in kinds.indices { known[tokens.string(id)] = known[tokens.string(id)] ?? id }
    let count = known.count
    _ = try settings.adding(to: [], known: &known, file: file)
    if known.count > count, let new = known.filter({ $0.value >= self.count }).min(by: { $0.value < $1.value }) {
      throw VocabularyError(.unsupported, in: file, "the files beside it add the token “\(new.key)”, and to a rank file none can be added")
    }
    settings.apply(to: &self)
  }
}
