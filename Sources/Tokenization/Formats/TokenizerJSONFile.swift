import SystemPackage

/// Hugging Face's `tokenizer.json`, for the BPE models that the Llama architecture comes with.
///
/// Source: the `tokenizers` library's serialisation.
extension Vocabulary {
  /// Parses a `tokenizer.json`.
  ///
  /// - Parameter file: the name that errors carry.
  public static func huggingFace(_ bytes: [UInt8], file: String) throws(VocabularyError) -> Vocabulary {
    var document = TokenizerJSONDocument(file: file)
    // A closure that throws a typed error can't be passed through withUnsafeBufferPointer without losing its type.
    let result = bytes.withUnsafeBufferPointer { text in
      Result { () throws(VocabularyError) in try document.read(text) }
    }
    try result.get()
    return try document.vocabulary()
  }

  /// Parses `tokenizer.json` with what lies beside it.
  static func huggingFace(_ path: FilePath, _ bytes: [UInt8]) throws(VocabularyError) -> Vocabulary {
    var vocabulary = try huggingFace(bytes, file: path.string)
    let folder = path.removingLastComponent()
    if let config = try readIfPresent(folder.appending("tokenizer_config.json")) {
      let file = folder.appending("tokenizer_config.json").string
      let parsed = config.withUnsafeBufferPointer { text in
        Result { () throws(VocabularyError) in
          var reader = JSONReader(text, file: file)
          return try reader.value()
        }
      }
      try vocabulary.apply(config: parsed.get(), file: file)
    }
    return vocabulary
  }

  private static func readIfPresent(_ path: FilePath) throws(VocabularyError) -> [UInt8]? {
    do {
      return try read(path)
    } catch {
      if error.reason == .missing { return nil }
      throw error
    }
  }

  /// Takes over what `tokenizer_config.json` knows better: BOS and EOS.
  private mutating func apply(config: ParsedJSON, file: String) throws(VocabularyError) {
    func token(_ key: String) -> Int? {
      let name = config[key]?.string ?? config[key]?["content"]?.string
      return name.flatMap { specials[$0] ?? index.find($0.utf8) }
    }
    bos = token("bos_token") ?? bos
    eos = token("eos_token") ?? eos
    addsBOS = config["add_bos_token"]?.bool ?? addsBOS
    addsEOS = config["add_eos_token"]?.bool ?? addsEOS
  }
}

/// What a `tokenizer.json` says, before it is known to be usable.
private struct TokenizerJSONDocument {
  let file: String
  private var added: [AddedToken] = []
  private var normalizer = ParsedJSON.null
  private var preTokenizer = ParsedJSON.null
  private var postProcessor = ParsedJSON.null
  private var settings: [String: ParsedJSON] = [:]
  private var hasModel = false
  private var tokens = PackedStrings()
  private var ids: [Int] = []
  private var lefts = PackedStrings()
  private var rights = PackedStrings()

  private struct AddedToken {
    var id: Int
    var content: String
    var isSpecial: Bool
  }

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
      case "model": try document.readModel(&reader)
      default: _ = try reader.value()
      }
    }
    try reader.finish()
    self = document
  }

  private mutating func readAddedTokens(_ reader: inout JSONReader) throws(VocabularyError) {
    for token in try reader.value().elements {
      guard let id = token["id"]?.id, let content = token["content"]?.string, !content.isEmpty, 0...Int(Int32.max) ~= id else {
        throw corrupt("an added token without an id or content")
      }
      for flag in ["single_word", "lstrip", "rstrip"] where token[flag]?.bool == true {
        throw unsupported("added token “\(content)” has \(flag) set, which isn't supported")
      }
      added.append(AddedToken(id: id, content: content, isSpecial: token["special"]?.bool ?? false))
    }
  }

  private mutating func readModel(_ reader: inout JSONReader) throws(VocabularyError) {
    hasModel = true
    var document = self
    try reader.object { (reader, key) throws(VocabularyError) in
      switch String(decoding: key, as: UTF8.self) {
      case "vocab" where !reader.isAtArray:
        try reader.object { (reader, token) throws(VocabularyError) in
          document.tokens.append(token)
          document.ids.append(try reader.id())
        }
      case "merges": try document.readMerges(&reader)
      case let name: document.settings[name] = try reader.value()
      }
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

  func vocabulary() throws(VocabularyError) -> Vocabulary {
    guard hasModel else { throw corrupt("no “model”: not a tokenizer.json") }
    let type = settings["type"]?.string
    guard type == nil || type == "BPE" else { throw unsupported("a tokenizer of type \(type ?? ""), and only BPE is supported") }
    for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
      if let affix = settings[key]?.string, !affix.isEmpty { throw unsupported("uses \(key), which isn't supported") }
    }
    var kinds: [Vocabulary.TokenKind] = []
    let spelled = try tokensByID(&kinds)
    let splits = try TokenizerJSONSplits(preTokenizer, file: file)
    let unknown = settings["unk_token"]?.string
    var vocabulary =
      splits.isByteLevel ? try byteLevel(spelled, kinds, splits) : try byteFallback(spelled, kinds, splits, unknown: unknown)
    vocabulary.unknown = unknown.flatMap { vocabulary.specials[$0] ?? vocabulary.index.find($0.utf8) }
    applyTemplate(postProcessor, to: &vocabulary)
    vocabulary.bos = vocabulary.bos ?? ["<|begin_of_text|>", "<s>"].lazy.compactMap { vocabulary.specials[$0] }.first
    vocabulary.eos = vocabulary.eos ?? ["<|end_of_text|>", "</s>", "<|endoftext|>"].lazy.compactMap { vocabulary.specials[$0] }.first
    vocabulary.eot = Vocabulary.endOfTurnNames.lazy.compactMap { vocabulary.specials[$0] }.first
    return vocabulary
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
    let unknown = settings["unk_token"]?.string
    for id in 0..<count {
      if let at = addedPlace[id] {
        result.append(added[at].content.utf8)
        kinds.append(added[at].isSpecial ? (added[at].content == unknown ? .unknown : .control) : .userDefined)
      } else {
        // An id that no token has stays empty.
        if place[id] >= 0 { result.append(tokens[place[id]]) } else { result.append(EmptyCollection()) }
        kinds.append(place[id] >= 0 ? .normal : .unused)
      }
    }
    return result
  }

  private func byteLevel(
    _ spelled: PackedStrings, _ kinds: [Vocabulary.TokenKind], _ splits: TokenizerJSONSplits
  ) throws(VocabularyError) -> Vocabulary {
    guard normalizer.isNull else { throw unsupported("normalises text (\(normalizer["type"]?.string ?? "unnamed")), which isn't supported") }
    var kinds = kinds
    let tokens = Vocabulary.byteTokens(spelled, &kinds)
    let index = Vocabulary.makeIndex(tokens, kinds)
    var builder = MergeListBuilder(index: index, capacity: lefts.count)
    for rank in 0..<lefts.count {
      let problem = lefts.withBytes(rank) { left in rights.withBytes(rank) { builder.add(byteLevel: left, $0) } }
      if let problem { throw corrupt("merge \(rank) \(problem)") }
    }
    return Vocabulary(
      model: .byteLevel, tokens: tokens, kinds: kinds, merges: builder.merges, splits: splits.splits,
      ignoresMerges: settings["ignore_merges"]?.bool ?? false, index: index)
  }

  private func byteFallback(
    _ tokens: PackedStrings, _ kinds: [Vocabulary.TokenKind], _ splits: TokenizerJSONSplits, unknown: String?
  ) throws(VocabularyError) -> Vocabulary {
    guard settings["byte_fallback"]?.bool == true else {
      throw unsupported("neither byte-level BPE nor BPE with byte fallback, and nothing else is supported")
    }
    var kinds = kinds
    for id in kinds.indices where kinds[id] == .normal && Vocabulary.byteValue(tokens[id]) != nil { kinds[id] = .byte }
    let index = Vocabulary.makeIndex(tokens, kinds)
    var builder = MergeListBuilder(index: index, capacity: lefts.count)
    for rank in 0..<lefts.count {
      if let problem = builder.add(left: lefts[rank], right: rights[rank]) { throw corrupt("merge \(rank) \(problem)") }
    }
    return Vocabulary(
      model: .byteFallback, tokens: tokens, kinds: kinds, merges: builder.merges,
      spacePrefix: try TokenizerJSONSplits.spacePrefix(normalizer, preTokenizer, file: file), index: index)
  }

  /// What `TemplateProcessing` puts around a text.
  private func applyTemplate(_ processor: ParsedJSON, to vocabulary: inout Vocabulary) {
    if processor["type"]?.string == "Sequence" {
      for inner in processor["processors"]?.elements ?? [] { applyTemplate(inner, to: &vocabulary) }
    }
    guard processor["type"]?.string == "TemplateProcessing" else { return }
    var isBefore = true
    for item in processor["single"]?.elements ?? [] {
      if item["Sequence"] != nil { isBefore = false }
      guard let id = (item["SpecialToken"]?["id"]?.string).flatMap({ vocabulary.specials[$0] }) else { continue }
      if isBefore { (vocabulary.bos, vocabulary.addsBOS) = (id, true) } else { (vocabulary.eos, vocabulary.addsEOS) = (id, true) }
    }
  }
}
