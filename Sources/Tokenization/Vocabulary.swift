/// A tokenizer's data, whatever file it came from: the tokens, how text is cut before they are looked for, and how they are merged.
///
/// It is a value without behaviour; ``makeTokenizer()`` gives it some.
public struct Vocabulary: Sendable {
  /// How pieces of text become tokens.
  public enum Model: String, Sendable {
    /// SentencePiece (Llama 1 and 2): characters, merged while the result is a token, highest score first; or Unigram, as its rules say.
    case sentencePiece
    /// tiktoken (Llama 3): bytes, merged while the result is a token, lowest id first.
    case tiktoken
    /// Byte-level BPE (GPT-2, SmolLM): bytes, merged by a list of merges in order of rank.
    case byteLevel
    /// What a `tokenizer.json` says, step by step.
    case pipeline
  }

  /// What a token is for. The numbers are those of SentencePiece's `ModelProto.SentencePiece.Type` and of GGUF's `token_type`.
  public enum TokenKind: UInt8, Sendable {
    case normal = 1
    /// Stands for what has no token.
    case unknown = 2
    /// Never comes from text, and shows as nothing: BOS, EOS, headers.
    case control = 3
    /// Found in text before anything is merged.
    case userDefined = 4
    case unused = 5
    /// One byte, for characters without a token.
    case byte = 6
  }

  /// One step of cutting text before merging.
  public enum Cut: Sendable, Equatable {
    case scan(Split)
    /// What matches is a piece, and what lies between.
    case pattern(Pattern)
  }

  /// A pattern that a scanner stands for.
  public enum Split: Sendable, Equatable {
    /// GPT-2's pattern: words, numbers and symbols with a leading space.
    case gpt2
    /// Llama 3's pattern: digits in threes, words with one leading symbol, newlines with what is before them.
    case llama3
    /// Every numeric character (`\p{N}`) by itself.
    case digits
  }

  /// A merge of two tokens; its rank is its place in the list.
  public struct Merge: Sendable, Equatable {
    public let left: Int32
    public let right: Int32
    public let result: Int32
  }

  public let model: Model
  /// By id: raw bytes for ``Model/tiktoken`` and ``Model/byteLevel``; otherwise the piece as its file spells it (`▁the`, `<0x0A>`).
  public let tokens: PackedStrings
  /// By id.
  public let kinds: [TokenKind]
  /// By id, for ``Model/sentencePiece``; empty otherwise.
  public let scores: [Float]
  /// In order of rank, for ``Model/byteLevel``.
  public let merges: [Merge]
  /// Applied one after the other, each to what the last one left.
  public let splits: [Cut]
  /// For ``Model/sentencePiece``.
  let rules: SentencePieceRules
  /// A piece of text that is itself a token becomes that token, whatever the merges say (Llama 3's `ignore_merges`).
  public let ignoresMerges: Bool

  /// Begin-of-sequence token.
  public var bos: Int?
  /// End-of-sequence token.
  public var eos: Int?
  /// End-of-turn token of chat models (`<|eot_id|>`, `<|im_end|>`).
  public var eot: Int?
  /// End-of-message token of models that call tools (`<|eom_id|>`).
  public var eom: Int?
  /// The token for what has none.
  public var unknown: Int?
  /// What fills up the shorter rows of a batch; nothing here does.
  public var padding: Int?
  /// Whether a prompt starts with BOS, as the model was trained.
  public var addsBOS: Bool
  public var addsEOS: Bool
  /// The Jinja template that a GGUF has beside its vocabulary.
  public var chatTemplate: String?

  /// What a person should know about it, in sentences.
  public internal(set) var notes: [String] = []

  /// Of a SentencePiece model, the tokens that are looked for in text before it is prepared; nil where these are the control tokens.
  var added: AddedTokens?

  /// Text of the control (and unknown) tokens to their ids.
  public let specials: [String: Int]
  /// Tokens that can come out of merging.
  let index: TokenIndex
  /// For ``Model/pipeline``.
  let pipeline: TextPipeline?

  /// How many ids there are.
  public var count: Int { tokens.count }

  /// The kind of `id`; nil when there is no such token.
  public func kind(of id: Int) -> TokenKind? { kinds.indices.contains(id) ? kinds[id] : nil }

  /// The id of the token that is spelled so, of whatever kind but bytes: as its file spells it, `▁` for a space in SentencePiece.
  public func id(spelled piece: String) -> Int? {
    specials[piece] ?? index.find(piece.utf8) ?? added?.tokens.first { $0.content == piece }?.id
  }

  /// What ends a text: end of sequence first, then the ends of a turn and of a message where there are some, in the order of their ids.
  public var endTokens: [Int] {
    let named = ["<|end_of_text|>", "<|eom_id|>", "<|eot_id|>", "<|eom|>", "<|eot|>"].compactMap { specials[$0] }
    let others = Set([eot, eom].compactMap(\.self) + named)
    return [eos].compactMap(\.self) + others.filter { $0 != eos }.sorted()
  }

  /// Whether `id` is a control token: it shows as nothing and never comes from text.
  public func isControl(_ id: Int) -> Bool { kind(of: id) == .control }

  init(
    model: Model, tokens: PackedStrings, kinds: [TokenKind], scores: [Float] = [], merges: [Merge] = [], splits: [Cut] = [],
    rules: SentencePieceRules = SentencePieceRules(), ignoresMerges: Bool = false, addsBOS: Bool = false, index: TokenIndex? = nil, pipeline: TextPipeline? = nil
  ) {
    self.model = model
    self.tokens = tokens
    self.kinds = kinds
    self.scores = scores
    self.merges = merges
    self.splits = splits
    self.rules = rules
    self.ignoresMerges = ignoresMerges
    self.addsBOS = addsBOS
    addsEOS = false
    self.index = index ?? Self.makeIndex(tokens, kinds)
    self.pipeline = pipeline
    var specials: [String: Int] = [:]
    for (id, kind) in kinds.enumerated() where kind == .control || kind == .unknown {
      let text = tokens.string(id)
      if specials[text] == nil { specials[text] = id }
    }
    self.specials = specials
  }

  /// More than any vocabulary has: the largest have some 260,000 tokens, none over a few hundred bytes, and three merges a token. Beyond that a file is
  /// damaged or hostile, and what it would take in memory isn't spent.
  static let mostTokens = 1 << 20
  static let mostMerges = 4 << 20
  static let longestToken = 4096
  /// Bytes of a tokenizer's file.
  static let longestFile = 64 << 20

  static func makeIndex(_ tokens: PackedStrings, _ kinds: [TokenKind]) -> TokenIndex {
    TokenIndex(tokens) { id in
      switch kinds[id] {
      case .normal, .userDefined, .unused: true
      case .unknown, .control, .byte: false
      }
    }
  }

  /// Of byte-level BPE: those that are spelled in its alphabet, and user-defined ones, which aren't, where they have other bytes than any of those.
  static func makeByteIndex(_ tokens: PackedStrings, _ kinds: [TokenKind]) -> TokenIndex {
    let normal = TokenIndex(tokens) { kinds[$0] == .normal }
    guard kinds.contains(.userDefined) else { return normal }
    return TokenIndex(tokens) { kinds[$0] == .normal || kinds[$0] == .userDefined && normal.find(tokens[$0]) == nil }
  }
}
