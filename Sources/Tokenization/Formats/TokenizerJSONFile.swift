import Platform
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
    try readJSON(bytes, in: file) { (reader) throws(JSONError) in try document.read(&reader) }
    return try document.vocabulary(settings)
  }
}

/// What a `tokenizer.json` says, before it is known to be usable.
struct TokenizerJSONDocument {
  let file: String
  var added: [AddedTokens.Token] = []
  private(set) var normalizer = JSONValue.null
  private(set) var preTokenizer = JSONValue.null
  private(set) var postProcessor = JSONValue.null
  private(set) var decoder = JSONValue.null
  private(set) var settings: [String: JSONValue] = [:]
  private(set) var hasModel = false
  private(set) var tokens = PackedStrings()
  private(set) var ids: [Int] = []
  /// Of a Unigram model.
  private(set) var scores: [Double] = []
  private(set) var lefts = PackedStrings()
  private(set) var rights = PackedStrings()

  init(file: String) { self.file = file }

  func unsupported(_ message: String) -> VocabularyError { VocabularyError(.unsupported, in: file, message) }
  func corrupt(_ message: String) -> VocabularyError { VocabularyError(.corrupt, in: file, message) }

  mutating func read(_ reader: inout JSONReader) throws(JSONError) {
    var document = self
    try reader.members { (reader, name) throws(JSONError) in
      switch name {
      case "added_tokens": try document.readAddedTokens(&reader)
      case "normalizer": document.normalizer = try reader.value()
      case "pre_tokenizer": document.preTokenizer = try reader.value()
      case "post_processor": document.postProcessor = try reader.value()
      case "decoder": document.decoder = try reader.value()
      case "model": try document.readModel(&reader)
      default: try reader.skip()
      }
    }
    self = document
  }

  private mutating func readAddedTokens(_ reader: inout JSONReader) throws(JSONError) {
    for value in try reader.value().elements {
      guard let id = value["id"]?.integer, 0...Int(Int32.max) ~= id, let token = AddedTokens.Token(value, id: id) else {
        throw reader.error("an added token without an id or content")
      }
      added.append(token)
    }
  }

  private mutating func readModel(_ reader: inout JSONReader) throws(JSONError) {
    hasModel = true
    var document = self
    try reader.members { (reader, name) throws(JSONError) in
      switch name {
      case "vocab" where !reader.isAtArray:
        try reader.object { (reader, token) throws(JSONError) in
          guard document.ids.count < Vocabulary.mostTokens else { throw reader.error("more than \(Vocabulary.mostTokens) tokens, which no vocabulary has") }
          guard token.count <= Vocabulary.longestToken else { throw reader.error("a token of \(token.count) bytes, which no vocabulary has") }
          document.tokens.append(token)
          document.ids.append(try reader.size("id", atMost: Int(Int32.max)))
        }
      case "vocab": try document.readScores(&reader)
      case "merges": try document.readMerges(&reader)
      default: document.settings[name] = try reader.value()
      }
    }
    self = document
  }

  /// A Unigram model's vocabulary: pairs of a token and its score, whose places are the ids.
  private mutating func readScores(_ reader: inout JSONReader) throws(JSONError) {
    var document = self
    var bytes: [UInt8] = []
    try reader.array { (reader) throws(JSONError) in
      var place = 0
      try reader.array { (reader) throws(JSONError) in
        switch place {
        case 0:
          bytes.removeAll(keepingCapacity: true)
          try reader.string(into: &bytes)
          document.tokens.append(bytes)
          document.ids.append(document.ids.count)
        case 1:
          guard let score = try reader.value().number else { throw reader.error("a token whose score isn't a number") }
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
  private mutating func readMerges(_ reader: inout JSONReader) throws(JSONError) {
    var lefts = PackedStrings()
    var rights = PackedStrings()
    var bytes: [UInt8] = []
    try reader.array { (reader) throws(JSONError) in
      bytes.removeAll(keepingCapacity: true)
      guard lefts.count < Vocabulary.mostMerges else { throw reader.error("more than \(Vocabulary.mostMerges) merges, which no vocabulary has") }
      if reader.isAtArray {
        var place = 0
        try reader.array { (reader) throws(JSONError) in
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
}

/// Reads the JSON of a tokenizer's file. Half of a surrogate pair becomes U+FFFD in it, as in the `tokenizers` library.
func readJSON<T>(_ bytes: [UInt8], in file: String, _ body: (inout JSONReader) throws(JSONError) -> T) throws(VocabularyError) -> T {
  do throws(JSONError) { return try JSONReader.read(bytes, replacesLoneSurrogates: true, body) } catch {
    throw VocabularyError(.corrupt, in: file, "byte \(error.byte): \(error.message)")
  }
}

extension AddedTokens.Token {
  /// A token as `tokenizer.json` and `tokenizer_config.json` describe it; nil without content.
  init?(_ value: JSONValue, id: Int) {
    guard let content = value["content"]?.text, !content.isEmpty else { return nil }
    func flag(_ key: String) -> Bool { value[key]?.bool ?? false }
    let isSpecial = flag("special")
    self.init(
      id: id, content: content, isSingleWord: flag("single_word"), stripsLeft: flag("lstrip"), stripsRight: flag("rstrip"),
      isNormalized: value["normalized"]?.bool ?? !isSpecial, isSpecial: isSpecial)
  }
}
