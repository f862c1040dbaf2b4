/// A vocabulary from a GGUF's metadata (`tokenizer.ggml.*`), given as plain arrays: this library doesn't know the file format.
///
/// Source: ggml's gguf.md, and `llama-vocab.cpp` for what the names of `pre` mean.
extension Vocabulary {
  /// The metadata, by the names of its keys after `tokenizer.ggml.`; nil where a key is missing.
  public struct GGUFMetadata: Sendable {
    /// `model`: `llama` (SentencePiece BPE) or `gpt2` (byte-level BPE).
    public var model: String
    public var tokens = PackedStrings()
    /// `scores`
    public var scores: [Float] = []
    /// `token_type`
    public var tokenTypes: [Int] = []
    /// `merges`: two tokens with a space between.
    public var merges = PackedStrings()
    /// `pre`: which pattern cuts the text.
    public var pre: String?
    /// `bos_token_id`
    public var bos: Int?
    /// `eos_token_id`
    public var eos: Int?
    /// `eot_token_id`
    public var eot: Int?
    /// `eom_token_id`
    public var eom: Int?
    /// `unknown_token_id`
    public var unknown: Int?
    /// `padding_token_id`
    public var padding: Int?
    /// `add_bos_token`
    public var addsBOS: Bool?
    /// `add_eos_token`
    public var addsEOS: Bool?
    /// `add_space_prefix`
    public var addsSpacePrefix: Bool?
    /// `tokenizer.chat_template`
    public var chatTemplate: String?

    public init(model: String) { self.model = model }
  }

  /// - Parameter file: the name that errors carry.
  public init(gguf metadata: GGUFMetadata, file: String) throws(VocabularyError) {
    let count = metadata.tokens.count
    guard count > 0 else { throw VocabularyError(.corrupt, in: file, "tokenizer.ggml.tokens is missing or empty") }
    guard count <= Self.mostTokens, metadata.merges.count <= Self.mostMerges else {
      throw VocabularyError(
        .corrupt, in: file, "tokenizer.ggml.tokens has \(count) tokens and tokenizer.ggml.merges \(metadata.merges.count) merges, more than any vocabulary has")
    }
    for id in 0..<count where metadata.tokens[id].count > Self.longestToken {
      throw VocabularyError(.corrupt, in: file, "tokenizer.ggml.tokens, entry \(id), has \(metadata.tokens[id].count) bytes, which no token has")
    }
    guard metadata.tokenTypes.isEmpty || metadata.tokenTypes.count == count else {
      throw VocabularyError(.corrupt, in: file, "tokenizer.ggml.token_type has \(metadata.tokenTypes.count) entries for \(count) tokens")
    }
    var kinds = [TokenKind](repeating: .normal, count: count)
    for (id, type) in metadata.tokenTypes.enumerated() {
      guard let kind = UInt8(exactly: type).flatMap({ TokenKind(rawValue: $0) }) else {
        throw VocabularyError(.corrupt, in: file, "tokenizer.ggml.token_type gives token \(id) the unknown type \(type)")
      }
      kinds[id] = kind
    }
    for (key, id) in [
      ("bos", metadata.bos), ("eos", metadata.eos), ("eot", metadata.eot), ("eom", metadata.eom), ("unknown", metadata.unknown), ("padding", metadata.padding),
    ] {
      if let id, !(0..<count).contains(id) {
        throw VocabularyError(.corrupt, in: file, "tokenizer.ggml.\(key)_token_id is \(id), and there are \(count) tokens")
      }
    }
    switch metadata.model {
    case "llama":
      guard metadata.scores.count == count else {
        throw VocabularyError(.corrupt, in: file, "tokenizer.ggml.scores has \(metadata.scores.count) entries for \(count) tokens")
      }
      self = try .sentencePiece(
        tokens: metadata.tokens, scores: metadata.scores, kinds: kinds, rules: SentencePieceRules(prefix: metadata.addsSpacePrefix ?? true ? .always : .never), file: file)
      addsBOS = metadata.addsBOS ?? true
      unknown = metadata.unknown ?? unknown
      // llama.cpp looks for user-defined tokens in the text as it is, and begins anew behind each.
      added = AddedTokens(
        specials.map { AddedTokens.Token(id: $0.value, content: $0.key, isSpecial: true) }
          + kinds.indices.filter { kinds[$0] == .userDefined }.map { AddedTokens.Token(id: $0, content: metadata.tokens.string($0)) })
    case "gpt2":
      self = try .byteLevel(metadata, kinds: kinds, file: file)
      unknown = nil
    default:
      throw VocabularyError(
        .unsupported, in: file, "tokenizer.ggml.model is “\(metadata.model)”; only llama (SentencePiece BPE) and gpt2 (byte-level BPE) are supported")
    }
    bos = metadata.bos ?? control("<s>")
    eos = metadata.eos ?? control("</s>")
    eot = metadata.eot ?? Self.endOfTurnNames.lazy.compactMap { [specials] in specials[$0] }.first
    eom = metadata.eom
    addsEOS = metadata.addsEOS ?? false
    padding = metadata.padding
    chatTemplate = metadata.chatTemplate
  }

  /// Tokens that end a turn, by the names they go by.
  static let endOfTurnNames = ["<|eot_id|>", "<|im_end|>", "<|end_of_turn|>", "<end_of_turn>"]

  private static func byteLevel(_ metadata: GGUFMetadata, kinds: [TokenKind], file: String) throws(VocabularyError) -> Vocabulary {
    var notes: [String] = []
    let name: String
    if let stated = metadata.pre { name = stated } else if holdsLlama3(metadata.tokens) { name = GGUFPreTokenizer.llama3 } else {
      name = "default"
      notes.append(
        "\(file) doesn't say how the model's text is cut into pieces (tokenizer.ggml.pre), as files from before May 2024 don't; it is cut as llama.cpp cuts such files', which may not be how the model was trained")
    }
    guard let pre = try GGUFPreTokenizer(name, file: file) else {
      throw VocabularyError(.unsupported, in: file, "tokenizer.ggml.pre is “\(name)”; supported are \(GGUFPreTokenizer.names.joined(separator: ", "))")
    }
    var kinds = kinds
    let tokens = byteTokens(metadata.tokens, &kinds)
    let index = makeByteIndex(tokens, kinds)
    var builder = MergeListBuilder(index: index, capacity: metadata.merges.count)
    for rank in 0..<metadata.merges.count {
      let problem = metadata.merges.withBytes(rank) { builder.add(byteLevel: $0) }
      if let problem { throw VocabularyError(.corrupt, in: file, "tokenizer.ggml.merges, entry \(rank), \(problem)") }
    }
    var vocabulary = Vocabulary(
      model: .byteLevel, tokens: tokens, kinds: kinds, merges: builder.merges, splits: pre.cuts, ignoresMerges: pre.ignoresMerges,
      addsBOS: metadata.addsBOS ?? pre.addsBOS, index: index)
    vocabulary.notes = notes
    return vocabulary
  }

  /// Whether the first 128,000 tokens are Llama 3's: told by FNV-1a (64 bits) over their spellings, each with a newline after it.
  private static func holdsLlama3(_ tokens: PackedStrings) -> Bool {
    let count = 128_000
    guard tokens.count >= count else { return false }
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for id in 0..<count {
      tokens.withBytes(id) { bytes in for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 } }
      hash = (hash ^ 0x0A) &* 0x100_0000_01B3
    }
    return hash == 0xF98E_FBC9_C1FD_EE95
  }

  /// Tokens spelled in GPT-2's byte alphabet as bytes. Control and user-defined tokens are text already; a normal token that isn't in the
  /// alphabet can't come out of merging, so it counts as unused.
  static func byteTokens(_ spelled: PackedStrings, _ kinds: inout [TokenKind]) -> PackedStrings {
    var tokens = PackedStrings()
    tokens.reserveCapacity(spelled.count, bytes: spelled.byteCount)
    var bytes: [UInt8] = []
    for id in 0..<spelled.count {
      bytes.removeAll(keepingCapacity: true)
      if kinds[id] == .normal, spelled.withBytes(id, { ByteAlphabet.decode($0, into: &bytes) }) {
        tokens.append(bytes)
      } else {
        if kinds[id] == .normal { kinds[id] = .unused }
        tokens.append(spelled[id])
      }
    }
    return tokens
  }
}

/// Turns merges that are spelled out into ids.
struct MergeListBuilder {
  private let index: TokenIndex
  private(set) var merges: [Vocabulary.Merge] = []
  private var bytes: [UInt8] = []

  init(index: TokenIndex, capacity: Int) {
    self.index = index
    merges.reserveCapacity(capacity)
  }

  /// Adds a merge of two tokens in GPT-2's byte alphabet with a space between.
  ///
  /// - Returns: nil, or what is wrong with it.
  mutating func add(byteLevel text: UnsafeBufferPointer<UInt8>) -> String? {
    guard let space = text.firstIndex(of: UInt8(ascii: " ")), space > 0, space + 1 < text.count else { return "is not two tokens and a space" }
    return add(byteLevel: UnsafeBufferPointer(rebasing: text[..<space]), UnsafeBufferPointer(rebasing: text[(space + 1)...]))
  }

  mutating func add(byteLevel left: UnsafeBufferPointer<UInt8>, _ right: UnsafeBufferPointer<UInt8>) -> String? {
    bytes.removeAll(keepingCapacity: true)
    guard ByteAlphabet.decode(left, into: &bytes) else { return "is not in the byte alphabet" }
    let middle = bytes.count
    guard ByteAlphabet.decode(right, into: &bytes) else { return "is not in the byte alphabet" }
    return add(cutAt: middle)
  }

  /// Adds a merge of two tokens given as their bytes.
  mutating func add(left: some Sequence<UInt8>, right: some Sequence<UInt8>) -> String? {
    bytes.removeAll(keepingCapacity: true)
    bytes.append(contentsOf: left)
    let middle = bytes.count
    bytes.append(contentsOf: right)
    return add(cutAt: middle)
  }

  private mutating func add(cutAt middle: Int) -> String? {
    let merge: Vocabulary.Merge? = bytes.withUnsafeBufferPointer { [index] bytes in
      guard let base = bytes.baseAddress, let left = index.find(base, middle), let right = index.find(base + middle, bytes.count - middle),
        let result = index.find(base, bytes.count)
      else { return nil }
      return Vocabulary.Merge(left: Int32(left), right: Int32(right), result: Int32(result))
    }
    guard let merge else { return "names a token that the vocabulary doesn't have" }
    merges.append(merge)
    return nil
  }
}
