import Platform
import SystemPackage

/// What the files beside a tokenizer say of it, as `transformers` reads them: `tokenizer_config.json`, `added_tokens.json` and `special_tokens_map.json`.
struct TokenizerSettings {
  /// A token that a file names.
  struct Stated {
    var token: AddedTokens.Token
    /// nil where the file has only its name.
    var id: Int?
    /// The file says nothing of its spaces and words.
    var isOnlyNamed: Bool
  }

  /// Those without an id in the order in which they get one, and the file each comes from.
  private(set) var tokens: [(stated: Stated, source: String)] = []
  /// Where a token of some content stands in `tokens`, the first of several.
  private var places: [String: Int] = [:]
  private var bos: String?
  private var eos: String?
  private var padding: String?
  private var addsBOS: Bool?
  private var addsEOS: Bool?
  /// The class of `transformers` that the files are for.
  private(set) var tokenizerClass: String?
  /// Whether every run of text between added tokens gets a space in front, or only the first.
  private(set) var isLegacy: Bool?
  private(set) var prefixesSpace: Bool?

  /// Nothing is said.
  init() {}

  /// Reads what lies in `folder`.
  init(_ folder: FilePath) throws(VocabularyError) {
    let name = "tokenizer_config.json"
    if let config = try Self.json(folder, name) {
      bos = Self.content(config["bos_token"])
      eos = Self.content(config["eos_token"])
      padding = Self.content(config["pad_token"])
      addsBOS = config["add_bos_token"]?.bool
      addsEOS = config["add_eos_token"]?.bool
      tokenizerClass = config["tokenizer_class"]?.text
      isLegacy = config["legacy"]?.bool
      prefixesSpace = config["add_prefix_space"]?.bool
      try readAdded(config["added_tokens_decoder"], folder.appending(name).string, name)
      for key in Self.namedTokens { try addName(config[key], name) }
      for token in config["additional_special_tokens"]?.elements ?? [] { try addName(token, name) }
    }
    if let map = try Self.json(folder, "added_tokens.json") { try readIDs(map, folder.appending("added_tokens.json").string) }
    if let map = try Self.json(folder, "special_tokens_map.json") {
      for key in Self.namedTokens { try addName(map[key], "special_tokens_map.json") }
      for token in map["additional_special_tokens"]?.elements ?? [] { try addName(token, "special_tokens_map.json") }
    }
  }

  private static let namedTokens = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"]

  private static func content(_ token: JSONValue?) -> String? { token?.text ?? token?["content"]?.text }

  private mutating func readAdded(_ decoder: JSONValue?, _ file: String, _ source: String) throws(VocabularyError) {
    guard case .object(let entries)? = decoder else { return }
    try checkCount(entries.count, file)
    let numbered = entries.compactMap { key, value in Int(key).map { ($0, value) } }.sorted { $0.0 < $1.0 }
    guard numbered.count == entries.count else { throw VocabularyError(.corrupt, in: file, "added_tokens_decoder has a key that isn't an id") }
    for (id, value) in numbered {
      guard 0...Int(Int32.max) ~= id, let token = AddedTokens.Token(value, id: id) else {
        throw VocabularyError(.corrupt, in: file, "added_tokens_decoder has no content for id \(id)")
      }
      try add(Stated(token: token, id: id, isOnlyNamed: false), source)
    }
  }

  private mutating func readIDs(_ map: JSONValue, _ file: String) throws(VocabularyError) {
    guard case .object(let entries) = map else { throw VocabularyError(.corrupt, in: file, "isn't a list of tokens and their ids") }
    try checkCount(entries.count, file)
    var numbered: [(content: String, id: Int)] = []
    for (content, value) in entries {
      guard let id = value.integer, 0...Int(Int32.max) ~= id, !content.isEmpty else { throw VocabularyError(.corrupt, in: file, "“\(content)” has no id") }
      numbered.append((content, id))
    }
    for (content, id) in numbered.sorted(by: { $0.id < $1.id }) {
      if let place = places[content] {
        if let other = tokens[place].stated.id, other != id {
          throw VocabularyError(.corrupt, in: file, "token “\(content)” has id \(id) here and id \(other) in \(tokens[place].source)")
        }
        if tokens[place].stated.id == nil { tokens[place].source = "added_tokens.json" }
        tokens[place].stated.id = id
        continue
      }
      let token = AddedTokens.Token(id: id, content: content, isNormalized: true)
      try add(Stated(token: token, id: id, isOnlyNamed: true), "added_tokens.json")
    }
  }

  /// A token that has a part to play is special.
  private mutating func addName(_ value: JSONValue?, _ source: String) throws(VocabularyError) {
    guard let value, let content = Self.content(value), !content.isEmpty else { return }
    if let place = places[content] {
      tokens[place].stated.token.isSpecial = true
      return
    }
    var token = AddedTokens.Token(value, id: 0) ?? AddedTokens.Token(id: 0, content: content)
    token.isSpecial = true
    token.isNormalized = value["normalized"]?.bool ?? false
    try add(Stated(token: token, id: nil, isOnlyNamed: true), source)
  }

  /// Tokens beside a vocabulary: models have some hundreds.
  private static let mostTokens = 1 << 16

  private func checkCount(_ count: Int, _ file: String) throws(VocabularyError) {
    guard count <= Self.mostTokens else { throw VocabularyError(.corrupt, in: file, "names more than \(Self.mostTokens) tokens, which no model has beside its vocabulary") }
  }

  private mutating func add(_ stated: Stated, _ source: String) throws(VocabularyError) {
    try checkCount(tokens.count + 1, source)
    if places[stated.token.content] == nil { places[stated.token.content] = tokens.count }
    tokens.append((stated, source))
  }

  /// The tokens that a tokenizer has with those that only these files have; what they say of a token that it has too holds.
  /// - Parameters:
  ///   - added: the tokenizer's own added tokens.
  ///   - known: the ids of all its tokens; takes up new ones.
  ///   - file: the tokenizer's.
  func adding(to added: [AddedTokens.Token], known: inout [String: Int], file: String) throws(VocabularyError) -> [AddedTokens.Token] {
    guard !tokens.isEmpty else { return added }
    var added = added
    var next = (known.values.max() ?? -1) + 1
    var placesOfIDs = Dictionary(grouping: added.indices) { added[$0].id }
    var replaced: Set<Int> = []
    // Ids that are stated come first, then those that are given to what only has a name.
    let numbered = tokens.filter { $0.stated.id != nil }.sorted { ($0.stated.id ?? 0) < ($1.stated.id ?? 0) }
    for (stated, source) in numbered + tokens.filter({ $0.stated.id == nil }) {
      var token = stated.token
      func corrupt(_ message: String) -> VocabularyError { VocabularyError(.corrupt, in: file, message) }
      if let id = known[token.content] {
        if let other = stated.id, other != id { throw corrupt("token “\(token.content)” has id \(id) here and id \(other) in \(source)") }
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
      if stated.isOnlyNamed, let place = placesOfIDs[token.id]?.first {
        added[place].isSpecial = true
      } else {
        replaced.formUnion(placesOfIDs[token.id] ?? [])
        placesOfIDs[token.id] = [added.count]
        added.append(token)
      }
    }
    return replaced.isEmpty ? added : added.indices.filter { !replaced.contains($0) }.map { added[$0] }
  }

  /// Takes over which tokens begin and end a text.
  func apply(to vocabulary: inout Vocabulary) {
    func id(_ name: String?) -> Int? { name.flatMap { vocabulary.id(spelled: $0) } }
    vocabulary.bos = id(bos) ?? vocabulary.bos
    vocabulary.eos = id(eos) ?? vocabulary.eos
    vocabulary.padding = id(padding)
    // Where one of the two is stated, both count, whatever a tokenizer.json puts around a text. The class for bare SentencePiece models puts BOS before
    // a text unless it is told not to.
    guard addsBOS != nil || addsEOS != nil else { return }
    vocabulary.addsBOS = addsBOS ?? (vocabulary.model == .sentencePiece && vocabulary.addsBOS)
    vocabulary.addsEOS = addsEOS ?? false
  }

  private static func json(_ folder: FilePath, _ name: String) throws(VocabularyError) -> JSONValue? {
    let path = folder.appending(name)
    guard let bytes = try Vocabulary.readIfPresent(path) else { return nil }
    return try readJSON(bytes, in: path.string) { (reader) throws(JSONError) in try reader.value() }
  }
}
