/// BPE over bytes: tiktoken (Llama 3) and byte-level BPE (GPT-2, SmolLM).
struct ByteTokenizer<Rule: MergeRule & Sendable>: Tokenizer {
  let vocabulary: Vocabulary
  private let rule: Rule
  /// The token of each byte, -1 where the vocabulary has none.
  private let byteIDs: [Int32]
  private let wholePieces: Bool
  private let userDefined: TextMatcher
  private let all: TextMatcher

  init(_ vocabulary: Vocabulary, rule: Rule) {
    self.vocabulary = vocabulary
    self.rule = rule
    let index = vocabulary.index
    byteIDs = (0..<256).map { byte in Int32(index.find(CollectionOfOne(UInt8(byte))) ?? -1) }
    wholePieces = vocabulary.model == .tiktoken || vocabulary.ignoresMerges
    let defined = vocabulary.kinds.indices.filter { vocabulary.kinds[$0] == .userDefined }
    userDefined = TextMatcher(vocabulary.tokens, ids: defined)
    all = TextMatcher(vocabulary.tokens, ids: defined + vocabulary.specials.values)
  }

  func encode(utf8: UnsafeBufferPointer<UInt8>, parsingSpecials: Bool, typed: inout TypedBytes, into ids: inout [Int]) throws(VocabularyError) {
    var merger = MergeBuffer()
    try (parsingSpecials ? all : userDefined).split(utf8) { typed.forbids($0, at: $1) } text: { (range) throws(VocabularyError) in
      let pieces = PreTokenizer(text: utf8)
      for part in vocabulary.model == .tiktoken ? ReferenceSlices.split(utf8, range) : [range] {
        try pieces.forEachPiece(part, vocabulary.splits[...]) { encode($0, of: utf8, &merger, into: &ids) }
      }
    } token: { ids.append($0) }
  }

  private func encode(_ piece: Range<Int>, of text: UnsafeBufferPointer<UInt8>, _ merger: inout MergeBuffer, into ids: inout [Int]) {
    guard let base = text.baseAddress else { return }
    if wholePieces || piece.count == 1, let id = vocabulary.index.find(base + piece.lowerBound, piece.count) {
      ids.append(id)
      return
    }
    merger.removeAll()
    for at in piece {
      // Like Hugging Face's tokenizers, a byte without a token is left out unless there is an unknown token.
      let id = byteIDs[Int(text[at])]
      if id >= 0 { merger.append(Symbol(start: at, length: 1, id: id)) } else if let unknown = vocabulary.unknown {
        merger.append(Symbol(start: at, length: 1, id: Int32(unknown)))
      }
    }
    merger.merge(in: base, by: rule)
    for symbol in merger.symbols { ids.append(Int(symbol.id)) }
  }

  func bytes(of id: Int) -> [UInt8] {
    guard let kind = vocabulary.kind(of: id), kind != .control, kind != .unknown else { return [] }
    return Array(vocabulary.tokens[id])
  }
}
