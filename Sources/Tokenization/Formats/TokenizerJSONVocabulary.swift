import Platform

/// What a `tokenizer.json` comes to as a vocabulary.
extension TokenizerJSONDocument {
  mutating func vocabulary(_ settings: TokenizerSettings) throws(VocabularyError) -> Vocabulary {
    guard hasModel else { throw corrupt("no “model”: not a tokenizer.json") }
    try addTokens(of: settings)
    let type = self.settings["type"]?.text ?? (scores.isEmpty ? "BPE" : "Unigram")
    guard type == "Unigram" ? scores.count == ids.count : type == "BPE" && scores.isEmpty else {
      throw unsupported("a tokenizer of type \(type), and only BPE and Unigram are supported")
    }
    var kinds: [Vocabulary.TokenKind] = []
    let spelled = try tokensByID(&kinds)
    let steps = TokenizerJSONSteps(file: file)
    var preTokenizers = try steps.preTokenizers(preTokenizer)
    let normalizers = try steps.normalizers(normalizer)
    let decoder = try steps.decoder(decoder)
    var vocabulary: Vocabulary
    if type == "BPE", normalizers.isEmpty, let splits = Self.byteLevelSplits(&preTokenizers), decoder == TokenDecoder(steps: [.byteLevel]), hasPlainAdded {
      vocabulary = try byteLevel(spelled, kinds, splits)
    } else {
      let model = try type == "BPE" ? bpe() : unigram()
      var pipeline = TextPipeline(normalizers: normalizers, preTokenizers: preTokenizers, model: model, decoder: decoder)
      pipeline.added = try AddedTokens(added) { [pipeline] text throws(VocabularyError) in try pipeline.normalized(text) }
      if decoder.hasByteTokens {
        for id in kinds.indices where kinds[id] == .normal && Vocabulary.byteValue(spelled[id]) != nil { kinds[id] = .byte }
      }
      vocabulary = Vocabulary(model: .pipeline, tokens: spelled, kinds: kinds, pipeline: pipeline)
    }
    vocabulary.unknown = unknownToken.flatMap { vocabulary.specials[$0] ?? vocabulary.index.find($0.utf8) }
    try applyPostProcessor(postProcessor, to: &vocabulary)
    vocabulary.bos = vocabulary.bos ?? ["<|begin_of_text|>", "<s>"].lazy.compactMap { vocabulary.specials[$0] }.first
    vocabulary.eos = vocabulary.eos ?? ["<|end_of_text|>", "</s>", "<|endoftext|>"].lazy.compactMap { vocabulary.specials[$0] }.first
    vocabulary.eot = Vocabulary.endOfTurnNames.lazy.compactMap { vocabulary.specials[$0] }.first
    settings.apply(to: &vocabulary)
    return vocabulary
  }

  var unknownToken: String? {
    if let id = settings["unk_id"]?.integer, tokens.count > id, id >= 0 { return tokens.string(id) }
    return settings["unk_token"]?.text
  }

  /// Adds the tokens that only the files beside this one have.
  private mutating func addTokens(of settings: TokenizerSettings) throws(VocabularyError) {
    guard !settings.tokens.isEmpty else { return }
    var known: [String: Int] = [:]
    for (place, id) in ids.enumerated() { known[tokens.string(place)] = id }
    for token in added { known[token.content] = token.id }
    added = try settings.adding(to: added, known: &known, file: file)
  }

  /// Where nothing but what `ByteTokenizer` does is asked for: how it cuts text; nil otherwise.
  private static func byteLevelSplits(_ steps: inout [TextPipeline.PreTokenizer]) -> [Vocabulary.Cut]? {
    guard case .byteLevel(prefixesSpace: false, let byPattern)? = steps.last else { return nil }
    var splits: [Vocabulary.Cut] = []
    for step in steps.dropLast() {
      switch step {
      case .scan(let split): splits.append(.scan(split))
      case .digits(single: true): splits.append(.scan(.digits))
      case .split(.pattern(let pattern), .isolated, inverted: false): splits.append(.pattern(pattern))
      default: return nil
      }
    }
    return byPattern ? splits + [.scan(.gpt2)] : splits
  }

  /// Whether added tokens are found in one pass and take nothing along.
  private var hasPlainAdded: Bool {
    added.allSatisfy { !$0.isSingleWord && !$0.stripsLeft && !$0.stripsRight && $0.isNormalized == added[0].isNormalized }
      && settings["fuse_unk"]?.bool != true && settings["byte_fallback"]?.bool != true
  }

  private func tokensByID(_ kinds: inout [Vocabulary.TokenKind]) throws(VocabularyError) -> PackedStrings {
    guard !ids.isEmpty else { throw corrupt("the model has no vocab") }
    let limit = ids.count + added.count
    var place = [Int](repeating: -1, count: limit)
    var count = 0
    for (at, id) in ids.enumerated() {
      guard id < limit else { throw corrupt("token “\(tokens.string(at))” has id \(id), and there are \(limit) tokens") }
      guard place[id] < 0 else { throw corrupt("id \(id) is given to “\(tokens.string(place[id]))” and to “\(tokens.string(at))”") }
      place[id] = at
      count = max(count, id + 1)
    }
    var addedPlace: [Int: Int] = [:]
    for (at, token) in added.enumerated() {
      guard token.id < limit else { throw corrupt("added token “\(token.content)” has id \(token.id), and there are \(limit) tokens") }
      if place[token.id] >= 0, !tokens[place[token.id]].elementsEqual(token.content.utf8) {
        throw corrupt("id \(token.id) is given to “\(tokens.string(place[token.id]))” and to “\(token.content)”")
      }
      addedPlace[token.id] = at
      count = max(count, token.id + 1)
    }
    var result = PackedStrings()
    result.reserveCapacity(count, bytes: tokens.byteCount)
    for id in 0..<count {
      if let at = addedPlace[id] {
        result.append(added[at].content.utf8)
        kinds.append(added[at].isSpecial ? (added[at].content == unknownToken ? .unknown : .control) : .userDefined)
      } else {
        // An id that no token has stays empty.
        if place[id] >= 0 { result.append(tokens[place[id]]) } else { result.append(EmptyCollection()) }
        kinds.append(place[id] >= 0 ? .normal : .unused)
      }
    }
    return result
  }
}
