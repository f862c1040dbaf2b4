/// Unigram of a `tokenizer.json`.
struct UnigramModel: Sendable {
  private let tokens: ModelTokens
  private let unknown: Int?
  private let bytePlaces: [Int?]
  private let paths: BestPath

  init(_ tokens: ModelTokens, scores: [Double], unknown: Int?, fallsBackToBytes: Bool) {
    self.tokens = tokens
    self.unknown = unknown
    bytePlaces = fallsBackToBytes ? tokens.bytePlaces : []
    paths = BestPath(
      PrefixSearch(tokens.tokens) { _ in true }, scores: scores, unknownScore: (scores.min() ?? 0) - BestPath.unknownPenalty, roundsSums: false)
  }

  func encode(_ piece: UnsafeBufferPointer<UInt8>, into ids: inout [Int]) {
    var pieces: [Range<Int>] = []
    // Unknown characters that follow each other are one piece.
    var isAfterUnknown = false
    for step in paths.find(piece) {
      let isUnknown = step.place == nil || step.place == unknown
      if isUnknown, isAfterUnknown, let last = pieces.last { pieces[pieces.count - 1] = last.lowerBound..<step.range.upperBound } else { pieces.append(step.range) }
      isAfterUnknown = isUnknown
    }
    for range in pieces {
      if let place = tokens.index.find(UnsafeBufferPointer(rebasing: piece[range])) {
        ids.append(tokens.ids[place])
        continue
      }
      let bytes = bytePlaces.isEmpty ? [] : piece[range].compactMap { bytePlaces[Int($0)] }
      if bytes.count == range.count { ids += bytes.map { tokens.ids[$0] } } else if let unknown { ids.append(tokens.ids[unknown]) }
    }
  }
}
