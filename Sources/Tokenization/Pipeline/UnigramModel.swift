/// Unigram (Kudo 2018): of all ways to cut a piece into tokens, the one whose scores add up to the most.
struct UnigramModel: Sendable {
  private let tokens: ModelTokens
  private let scores: [Double]
  private let unknown: Int?
  private let bytePlaces: [Int?]
  private let prefixes: PrefixSearch
  /// Of a character that no token begins with: below the least score by as much as SentencePiece has it.
  private let unknownScore: Double

  init(_ tokens: ModelTokens, scores: [Double], unknown: Int?, fallsBackToBytes: Bool) {
    self.tokens = tokens
    self.scores = scores
    self.unknown = unknown
    bytePlaces = fallsBackToBytes ? tokens.bytePlaces : []
    prefixes = PrefixSearch(tokens.tokens)
    unknownScore = (scores.min() ?? 0) - 10
  }

  private struct Node {
    var start = -1
    var place = -1
    var score = 0.0
  }

  func encode(_ piece: UnsafeBufferPointer<UInt8>, into ids: inout [Int]) {
    var best = [Node](repeating: Node(), count: piece.count + 1)
    var at = 0
    while at < piece.count {
      let length = max(1, UTF8Scan.expectedLength(piece[at]))
      let here = best[at].score
      var hasCharacter = false
      prefixes.forEachPrefix(of: piece, from: at) { place, count in
        let score = scores[place] + here
        if best[at + count].start < 0 || score > best[at + count].score { best[at + count] = Node(start: at, place: place, score: score) }
        if count == length { hasCharacter = true }
      }
      if !hasCharacter {
        let score = unknownScore + here
        if best[at + length].start < 0 || score > best[at + length].score {
          best[at + length] = Node(start: at, place: unknown ?? -1, score: score)
        }
      }
      at += length
    }
    var pieces: [Range<Int>] = []
    var end = piece.count
    // Unknown characters that follow each other are one piece.
    var isUnknown = false
    while end > 0 {
      let node = best[end]
      let fuses = node.place < 0 || node.place == unknown
      if fuses, isUnknown, let last = pieces.last { pieces[pieces.count - 1] = node.start..<last.upperBound } else { pieces.append(node.start..<end) }
      isUnknown = fuses
      end = node.start
    }
    for range in pieces.reversed() {
      if let place = tokens.index.find(UnsafeBufferPointer(rebasing: piece[range])) {
        ids.append(tokens.ids[place])
        continue
      }
      let bytes = bytePlaces.isEmpty ? [] : piece[range].compactMap { bytePlaces[Int($0)] }
      if bytes.count == range.count { ids += bytes.map { tokens.ids[$0] } } else if let unknown { ids.append(tokens.ids[unknown]) }
    }
  }
}

/// Finds all strings of a list that a text begins with, in time linear in the longest of them.
struct PrefixSearch: Sendable {
  private let strings: PackedStrings
  /// Places in `strings`, in order of their bytes.
  private let sorted: [Int]

  init(_ strings: PackedStrings) {
    self.strings = strings
    sorted = (0..<strings.count).filter { !strings[$0].isEmpty }.sorted { strings[$0].lexicographicallyPrecedes(strings[$1]) }
  }

  /// Calls `body` with the place and length of each, the shortest first.
  func forEachPrefix(of text: UnsafeBufferPointer<UInt8>, from start: Int, _ body: (_ place: Int, _ length: Int) -> Void) {
    // Those that agree with the text so far.
    var range = 0..<sorted.count
    var length = 0
    while start + length < text.count, !range.isEmpty {
      let byte = text[start + length]
      func first(_ isPast: (UInt8) -> Bool) -> Int {
        var (low, high) = (range.lowerBound, range.upperBound)
        while low < high {
          let middle = (low + high) / 2
          if isPast(strings.byte(length, of: sorted[middle])) { high = middle } else { low = middle + 1 }
        }
        return low
      }
      range = first { $0 >= byte }..<first { $0 > byte }
      length += 1
      // Of strings that begin alike the shortest comes first.
      while let place = range.first.map({ sorted[$0] }), strings[place].count == length {
        body(place, length)
        range = range.dropFirst()
      }
    }
  }
}
