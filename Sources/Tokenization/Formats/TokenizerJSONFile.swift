import SystemPackage

/// Hugging Face's `tokenizer.json`.
///
/// Source: the `tokenizers` library's serialisation.
extension Vocabulary {
  /// Parses a `tokenizer.json` that is alone.
  ///
  /// - Parameter file: the name that errors carry.
  public static func huggingFace(_ bytes: [UInt8], file: String) throws(VocabularyError) -> Vocabulary {
    try huggingFace(bytes, file: file, besides: TokenizerSettings())
  }

  /// - Parameter settings: what the files beside it say.
  static func huggingFace(_ bytes: [UInt8], file: String, besides settings: TokenizerSettings) throws(VocabularyError) -> Vocabulary {
    var document = TokenizerJSONDocument(file: file)
    // A closure that throws a typed error can't be passed through withUnsafeBufferPointer without losing its type.
    let result = bytes.withUnsafeBufferPointer { text in
      Result { () throws(VocabularyError) in try document.read(text) }
    }
    try result.get()
    return try document.vocabulary(settings)
  }
}

/// What a `tokenizer.json` says, before it is known to be usable.
private struct TokenizerJSONDocument {
  let file: String
  private var added: [AddedTokens.Token] = []
  private var normalizer = ParsedJSON.null
  private var preTokenizer = ParsedJSON.null
  private var postProcessor = ParsedJSON.null
  private var decoder = ParsedJSON.null
  private var settings: [String: ParsedJSON] = [:]
  private var hasModel = false
  private var tokens = PackedStrings()
  private var ids: [Int] = []
  /// Of a Unigram model.
  private var scores: [Double] = []
  private var lefts = PackedStrings()
  private var rights = PackedStrings()

  init(file: String) { self.file = file }

  private func unsupported(_ message: String) -> VocabularyError { VocabularyError(.unsupported, in: file, message) }
  private func corrupt(_ message: String) -> VocabularyError { VocabularyError(.corrupt, in: file, message) }

  mutating func read(_ text: UnsafeBufferPointer<UInt8>) throws(VocabularyError) {
    var reader = JSONReader(text, file: file)
    var document = self
    try reader.object { (reader, key) throws(VocabularyError) in
      switch String(decoding: key, as: UTF8.self) {
      case "added_tokens": try document.readAddedTokens(&reader)
      case "normalizer": document.normalizer = try reader.value()
      case "pre_tokenizer": document.preTokenizer = try reader.value()
      case "post_processor": document.postProcessor = try reader.value()
      case "decoder": document.decoder = try reader.value()
      case "model": try document.readModel(&reader)
      default: _ = try reader.value()
      }
    }
    try reader.finish()
    self = document
  }

  private mutating func readAddedTokens(_ reader: inout JSONReader) throws(VocabularyError) {
    for value in try reader.value().elements {
      guard let id = value["id"]?.id, 0...Int(Int32.max) ~= id, let token = AddedTokens.Token(value, id: id) else {
        throw corrupt("an added token without an id or content")
      }
      added.append(token)
    }
  }

  private mutating func readModel(_ reader: inout JSONReader) throws(VocabularyError) {
    guard !hasModel else { throw reader.error("a second “model”") }
    hasModel = true
    var document = self
    try reader.object { (reader, key) throws(VocabularyError) in
      switch String(decoding: key, as: UTF8.self) {
      case "vocab" where !document.ids.isEmpty: throw reader.error("a second “vocab”")
      case "vocab" where !reader.isAtArray:
        try reader.object { (reader, token) throws(VocabularyError) in
          guard document.ids.count < Vocabulary.mostTokens else { throw reader.error("more than \(Vocabulary.mostTokens) tokens, which no vocabulary has") }
          guard token.count <= Vocabulary.longestToken else { throw reader.error("a token of \(token.count) bytes, which no vocabulary has") }
          document.tokens.append(token)
          document.ids.append(try reader.id())
        }
      case "vocab": try document.readScores(&reader)
      case "merges": try document.readMerges(&reader)
      case let name: document.settings[name] = try reader.value()
      }
    }
    self = document
  }

  /// A Unigram model's vocabulary: pairs of a token and its score, whose places are the ids.
  private mutating func readScores(_ reader: inout JSONReader) throws(VocabularyError) {
    var document = self
    var bytes: [UInt8] = []
    try reader.array { (reader) throws(VocabularyError) in
      var place = 0
      try reader.array { (reader) throws(VocabularyError) in
        switch place {
        case 0:
          bytes.removeAll(keepingCapacity: true)
          try reader.string(into: &bytes)
          document.tokens.append(bytes)
          document.ids.append(document.ids.count)
        case 1:
          guard case .number(let score) = try reader.value() else { throw reader.error("a token whose score isn't a number") }
          document.scores.append(score)
        default: throw reader.error("more than a token and its score")
        }
        place += 1
      }
      guard place == 2 else { throw reader.error("a token without a score") }
    }
    self = document
  }

  /// Merges are pairs, or in older files strings with a space between.
  private mutating func readMerges(_ reader: inout JSONReader) throws(VocabularyError) {
    var lefts = PackedStrings()
    var rights = PackedStrings()
    var bytes: [UInt8] = []
    try reader.array { (reader) throws(VocabularyError) in
      bytes.removeAll(keepingCapacity: true)
      guard lefts.count < Vocabulary.mostMerges else { throw reader.error("more than \(Vocabulary.mostMerges) merges, which no vocabulary has") }
      if reader.isAtArray {
        var place = 0
        try reader.array { (reader) throws(VocabularyError) in
          bytes.removeAll(keepingCapacity: true)
          try reader.string(into: &bytes)
          if place == 0 { lefts.append(bytes) } else { rights.append(bytes) }
          place += 1
          if place > 2 { throw reader.error("a merge of more than two tokens") }
        }
        guard place == 2 else { throw reader.error("a merge of fewer than two tokens") }
      } else {
        try reader.string(into: &bytes)
        guard let space = bytes.firstIndex(of: UInt8(ascii: " ")) else { throw reader.error("a merge that is not two tokens and a space") }
        lefts.append(bytes[..<space])
        rights.append(bytes[(space + 1)...])
      }
    }
    self.lefts = lefts
    self.rights = rights
  }

  mutating func vocabulary(_ settings: TokenizerSettings) throws(VocabularyError) -> Vocabulary {
    guard hasModel else { throw corrupt("no “model”: not a tokenizer.json") }
    try addTokens(of: settings)
    let type = self.settings["type"]?.string ?? (scores.isEmpty ? "BPE" : "Unigram")
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

  private var unknownToken: String? {
    if let id = settings["unk_id"]?.id, tokens.count > id, id >= 0 { return tokens.string(id) }
    return settings["unk_token"]?.string
  }

  /// Adds the tokens that only the files beside this one have; what they say of a token that this one has too holds.
  private mutating func addTokens(of settings: TokenizerSettings) throws(VocabularyError) {
    guard !settings.tokens.isEmpty else { return }
    var known: [String: Int] = [:]
    for (place, id) in ids.enumerated() { known[tokens.string(place)] = id }
    for token in added { known[token.content] = token.id }
    var next = (known.values.max() ?? -1) + 1
    for (stated, source) in settings.tokens {
      var token = stated.token
      if let id = known[token.content] {
        if let other = stated.id, other != id {
          throw corrupt("token “\(token.content)” has id \(id) here and id \(other) in \(source)")
        }
        token.id = id
      } else {
        if let other = stated.id, other != next {
          let holder = known.first { $0.value == other }?.key
          throw corrupt(
            holder.map { "id \(other) is “\($0)” here and “\(token.content)” in \(source)" }
              ?? "\(source) gives “\(token.content)” the id \(other), and the next one free is \(next)")
        }
        token.id = next
        known[token.content] = next
        next += 1
      }
      // A name alone says nothing of a token that is described here.
      if stated.isOnlyNamed, let place = added.firstIndex(where: { $0.id == token.id }) { added[place].isSpecial = true } else {
        added.removeAll { $0.id == token.id }
        added.append(token)
      }
    }
  }

  /// Where nothing but what `ByteTokenizer` does is asked for: how it cuts text; nil otherwise.
  private static func byteLevelSplits(_ steps: inout [TextPipeline.PreTokenizer]) -> [Vocabulary.Split]? {
    guard case .byteLevel(prefixesSpace: false, let byPattern)? = steps.last else { return nil }
    var splits: [Vocabulary.Split] = []
    for step in steps.dropLast() {
      switch step {
      case .scan(let split): splits.append(split)
      case .digits(single: true): splits.append(.digits)
      default: return nil
      }
    }
    return byPattern ? splits + [.gpt2] : splits
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

  // MARK: Models

  /// - Throws: for options that change what comes out and aren't known here.
  private func checkSettings(_ known: Set<String>) throws(VocabularyError) {
    for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
      if let affix = settings[key]?.string, !affix.isEmpty { throw unsupported("uses \(key), which isn't supported") }
    }
    if case .number(let dropout)? = settings["dropout"], dropout > 0 { throw unsupported("uses dropout, so that ids are random, which isn't supported") }
    let all = known.union(["type", "continuing_subword_prefix", "end_of_word_suffix", "dropout"])
    for key in settings.keys.sorted() where !all.contains(key) { throw unsupported("the model has the key “\(key)”, which isn't supported") }
  }

  private func byteLevel(_ spelled: PackedStrings, _ kinds: [Vocabulary.TokenKind], _ splits: [Vocabulary.Split]) throws(VocabularyError) -> Vocabulary {
    try checkSettings(["unk_token", "fuse_unk", "byte_fallback", "ignore_merges"])
    var kinds = kinds
    let tokens = Vocabulary.byteTokens(spelled, &kinds)
    let index = Vocabulary.makeIndex(tokens, kinds)
    var builder = MergeListBuilder(index: index, capacity: lefts.count)
    for rank in 0..<lefts.count {
      let problem = lefts.withBytes(rank) { left in rights.withBytes(rank) { builder.add(byteLevel: left, $0) } }
      if let problem { throw corrupt("merge \(rank) \(problem)") }
    }
    return Vocabulary(
      model: .byteLevel, tokens: tokens, kinds: kinds, merges: builder.merges, splits: splits,
      ignoresMerges: settings["ignore_merges"]?.bool ?? false, index: index)
  }

  private func modelTokens() throws(VocabularyError) -> ModelTokens {
    let model = ModelTokens(tokens: tokens, ids: ids, index: TokenIndex(tokens) { _ in true })
    if model.index.count < (0..<tokens.count).count(where: { !tokens[$0].isEmpty }),
      let twice = (0..<tokens.count).first(where: { !tokens[$0].isEmpty && model.index.find(tokens[$0]) != $0 }) {
      throw corrupt("token “\(tokens.string(twice))” is in the vocab twice")
    }
    return model
  }

  private func bpe() throws(VocabularyError) -> PieceModel {
    try checkSettings(["unk_token", "fuse_unk", "byte_fallback", "ignore_merges"])
    let model = try modelTokens()
    var unknown: Int?
    if let name = settings["unk_token"]?.string {
      unknown = model.index.find(name.utf8)
      if unknown == nil { throw corrupt("the unk_token “\(name)” isn't in the vocab") }
    }
    var builder = MergeListBuilder(index: model.index, capacity: lefts.count)
    for rank in 0..<lefts.count {
      if let problem = builder.add(left: lefts[rank], right: rights[rank]) { throw corrupt("merge \(rank) \(problem)") }
    }
    return .bpe(
      BPEModel(
        model, merges: builder.merges, unknown: unknown, fusesUnknown: settings["fuse_unk"]?.bool ?? false,
        fallsBackToBytes: settings["byte_fallback"]?.bool ?? false, ignoresMerges: settings["ignore_merges"]?.bool ?? false))
  }

  private func unigram() throws(VocabularyError) -> PieceModel {
    try checkSettings(["unk_id", "byte_fallback"])
    let unknown = settings["unk_id"]?.id
    if let unknown, !(0..<tokens.count).contains(unknown) { throw corrupt("unk_id is \(unknown), and there are \(tokens.count) tokens") }
    return .unigram(
      UnigramModel(try modelTokens(), scores: scores, unknown: unknown, fallsBackToBytes: settings["byte_fallback"]?.bool ?? false))
  }

  // MARK: Around a text

  /// Which tokens are put around a text.
  private func applyPostProcessor(_ processor: ParsedJSON, to vocabulary: inout Vocabulary) throws(VocabularyError) {
    func id(_ name: String?) throws(VocabularyError) -> Int {
      guard let name, let id = vocabulary.specials[name] ?? vocabulary.index.find(name.utf8) else {
        throw corrupt("the post-processor names the token “\(name ?? "")”, which the vocabulary doesn't have")
      }
      return id
    }
    var (before, after): ([Int], [Int]) = ([], [])
    switch processor["type"]?.string {
    case nil, "ByteLevel": return
    case "Sequence":
      for inner in processor["processors"]?.elements ?? [] { try applyPostProcessor(inner, to: &vocabulary) }
      return
    case "TemplateProcessing":
      var isBefore = true
      for item in processor["single"]?.elements ?? [] {
        if item["Sequence"] != nil { isBefore = false } else if isBefore { before.append(try id(item["SpecialToken"]?["id"]?.string)) } else {
          after.append(try id(item["SpecialToken"]?["id"]?.string))
        }
      }
    case "RobertaProcessing", "BertProcessing":
      before = [try id(processor["cls"]?.elements.first?.string)]
      after = [try id(processor["sep"]?.elements.first?.string)]
    case let other?: throw unsupported("the post-processor \(other) isn't supported")
    }
    guard before.count < 2, after.count < 2 else { throw unsupported("the post-processor puts several tokens before or after a text, which isn't supported") }
    if let id = before.first { (vocabulary.bos, vocabulary.addsBOS) = (id, true) }
    if let id = after.first { (vocabulary.eos, vocabulary.addsEOS) = (id, true) }
  }
}

extension AddedTokens.Token {
  /// A token as `tokenizer.json` and `tokenizer_config.json` describe it; nil without content.
  init?(_ value: ParsedJSON, id: Int) {
    guard let content = value["content"]?.string, !content.isEmpty else { return nil }
    func flag(_ key: String) -> Bool { value[key]?.bool ?? false }
    let isSpecial = flag("special")
    self.init(
      id: id, content: content, isSingleWord: flag("single_word"), stripsLeft: flag("lstrip"), stripsRight: flag("rstrip"),
      isNormalized: value["normalized"]?.bool ?? !isSpecial, isSpecial: isSpecial)
  }
}
