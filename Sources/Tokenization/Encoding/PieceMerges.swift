extension Vocabulary {
  /// SentencePiece's scores as a list of merges, which is how `tokenizer.json` holds Llama 2's vocabulary.
  ///
  /// SentencePiece merges two neighbours whose characters together are a piece, the highest score first; a list names both neighbours, so it has every way
  /// to cut a piece into two others, in order of the piece's score. Of the ways to cut one piece the one with the longer left part comes first.
  /// - Throws: `unsupported` where a list can't say the same: of two pieces with one score SentencePiece takes the one further to the left in the text, which
  ///   often is another.
  func pieceMerges() throws(VocabularyError) -> [Merge] {
    func unsupported(_ what: String) -> VocabularyError { VocabularyError(.unsupported, in: "tokenizer.json", what) }
    let isPlain = !rules.isUnigram && rules.characters == nil && !rules.removesExtraSpaces && !rules.spaceFollows && rules.escapesSpaces && rules.prefix != .first
    guard isPlain, added?.tokens.allSatisfy({ !$0.isSingleWord && !$0.stripsLeft && !$0.stripsRight }) ?? true else {
      throw unsupported("a SentencePiece model that prepares text otherwise than Llama's do")
    }
    // Added tokens that are looked for in the prepared text are prepared themselves: with a space before it each would be another.
    if added == nil, rules.prefix == .always, let id = kinds.firstIndex(of: .userDefined) {
      throw unsupported(
        "the piece “\(tokens.string(id))” is defined by a user: SentencePiece puts a space before a text that begins with it and none behind it, and a tokenizer.json can say only one of the two")
    }
    if added == nil, let id = kinds.indices.first(where: { kinds[$0] == .userDefined && tokens[$0].contains(UInt8(ascii: " ")) }) {
      throw unsupported("the piece “\(tokens.string(id))” has a space where SentencePiece's texts have U+2581, so that SentencePiece never finds it and a tokenizer.json would")
    }
    try checkMergeWork()
    var cuts: [(score: Float, piece: Int, merges: [Merge])] = []
    for id in kinds.indices {
      switch kinds[id] {
      case .normal: break
      case .unknown, .control, .byte: continue
      // What a user defined is found before anything is merged, so that nothing is left to merge to it; unless that is looked for in the text as it is,
      // and merged with the space that is put before it.
      case .userDefined: if added == nil || !tokens[id].starts(with: "▁".utf8) { continue }
      case .unused: throw unsupported("the piece “\(tokens.string(id))” is unused, which a tokenizer.json says otherwise than SentencePiece")
      }
      var merges: [Merge] = []
      let isMadeOfPieces = tokens.withBytes(id) { bytes in
        guard let base = bytes.baseAddress else { return true }
        // From the right, so that longer left parts come first.
        var end = bytes.count
        for start in stride(from: bytes.count - 1, through: 0, by: -1) where bytes[start] & 0xC0 != 0x80 {
          if index.find(base + start, end - start) == nil { return false }
          end = start
          guard start > 0 else { break }
          guard let left = index.find(base, start), let right = index.find(base + start, bytes.count - start) else { continue }
          merges.append(Merge(left: Int32(left), right: Int32(right), result: Int32(id)))
        }
        return true
      }
      // SentencePiece would merge through it, and a list of merges has no name for it.
      guard isMadeOfPieces else { throw unsupported("the piece “\(tokens.string(id))” has a character that is no piece") }
      guard String(validating: tokens[id], as: UTF8.self) != nil else { throw unsupported("piece \(id) isn't UTF-8") }
      if !merges.isEmpty { cuts.append((scores[id], id, merges)) }
    }
    cuts.sort { ($1.score, $0.piece) < ($0.score, $1.piece) }
    let merges = cuts.flatMap(\.merges)
    let ties = Dictionary(grouping: cuts, by: \.score).values.filter { $0.count > 1 }.map { $0.map(\.piece).sorted() }.sorted { $0[0] < $1[0] }
    if !ties.isEmpty {
      let rule = PairRule(merges)
      // Real vocabularies have one group; each costs a look at all pieces.
      for tied in ties where ties.count > Self.mostTies || !isOrderless(tied, rule) {
        throw unsupported("the pieces “\(tokens.string(tied[0]))” and “\(tokens.string(tied[1]))” have the same score")
      }
    }
    return merges
  }

  private static let mostTies = 8
  private static let longestRun = 64

  /// Whether pieces with one score come out alike whichever of them is merged first, as Llama 2's runs of spaces do: they are all the runs of one character
  /// that are pieces, no other piece has two of it in a row, and runs of any length fall into the same pieces by score and by list.
  private func isOrderless(_ tied: [Int], _ list: PairRule) -> Bool {
    let first = tokens[tied[0]]
    let width = max(1, UTF8Scan.expectedLength(first[first.startIndex]))
    let character = Array(first.prefix(width))
    var longest = 0
    for id in tied {
      let length = tokens[id].count / width
      guard tokens[id].elementsEqual(repeatElement(character, count: length).joined()) else { return false }
      longest = max(longest, length)
    }
    guard longest <= Self.longestRun else { return false }
    let others = Set(kinds.indices.filter { kinds[$0] == .normal }).subtracting(tied)
    guard others.allSatisfy({ tokens[$0].firstRange(of: character + character) == nil }) else { return false }
    let byScore = ScoreRule(index: index, scores: scores)
    return (2...3 * longest).allSatisfy { merged(character, $0, by: byScore) == merged(character, $0, by: list) }
  }

  /// The pieces that `count` times a character become.
  private func merged(_ character: [UInt8], _ count: Int, by rule: some MergeRule) -> [Int32] {
    let text = Array(repeatElement(character, count: count).joined())
    return text.withUnsafeBufferPointer { text in
      guard let base = text.baseAddress else { return [] }
      var merger = MergeBuffer()
      for at in stride(from: 0, to: text.count, by: character.count) {
        merger.append(Symbol(start: at, length: character.count, id: Int32(index.find(base + at, character.count) ?? -1)))
      }
      merger.merge(in: base, by: rule)
      return merger.symbols.map(\.id)
    }
  }

  /// Finding all ways to cut a token takes time with the square of its length; a vocabulary that is made for that is refused.
  func checkMergeWork() throws(VocabularyError) {
    var work = 0
    for id in 0..<count {
      let length = tokens.withBytes(id, \.count)
      work += length * length
      // Llama 3's takes 8 million.
      guard work < 1 << 31 else { throw VocabularyError(.unsupported, in: "tokenizer.json", "tokens so long that all ways to cut them can't be found in sensible time") }
    }
  }
}
