/// Unigram (Kudo 2018): of all ways to cut a text into tokens, the one whose scores add up to the most.
///
/// Sources: `models/unigram/model.rs` of `tokenizers` and `unigram_model.cc` of SentencePiece, which differ only in how they add.
struct BestPath: Sendable {
  private let prefixes: PrefixSearch
  /// By place of a token.
  private let scores: [Double]
  /// Of a character that is no token.
  private let unknownScore: Double
  /// Sums are kept in single precision, as in SentencePiece.
  private let roundsSums: Bool

  /// How far the score of a character that is no token lies below the least score of a token.
  static let unknownPenalty = 10.0

  init(_ prefixes: PrefixSearch, scores: [Double], unknownScore: Double, roundsSums: Bool) {
    self.prefixes = prefixes
    self.scores = scores
    self.unknownScore = unknownScore
    self.roundsSums = roundsSums
  }

  private struct Node {
    var start = -1
    var place = -1
    var score = 0.0
  }

  /// - Parameter skips: says which tokens are passed over where they stand.
  /// - Returns: the tokens by their places, nil for characters that are none.
  func find(_ text: UnsafeBufferPointer<UInt8>, skips: (_ place: Int, Range<Int>) -> Bool = { _, _ in false }) -> [(range: Range<Int>, place: Int?)] {
    var best = [Node](repeating: Node(), count: text.count + 1)
    var at = 0
    while at < text.count {
      let length = min(max(1, UTF8Scan.expectedLength(text[at])), text.count - at)
      let here = best[at].score
      var hasCharacter = false
      func offer(_ place: Int, _ count: Int, _ tokenScore: Double) {
        let sum = tokenScore + here
        let score = roundsSums ? Double(Float(sum)) : sum
        guard best[at + count].start < 0 || score > best[at + count].score else { return }
        best[at + count] = Node(start: at, place: place, score: score)
      }
      prefixes.forEachPrefix(of: text, from: at) { place, count in
        if skips(place, at..<at + count) { return }
        offer(place, count, scores[place])
        if count == length { hasCharacter = true }
      }
      if !hasCharacter { offer(-1, length, unknownScore) }
      at += length
    }
    var steps: [(range: Range<Int>, place: Int?)] = []
    var end = text.count
    while end > 0 {
      let node = best[end]
      steps.append((node.start..<end, node.place < 0 ? nil : node.place))
      end = node.start
    }
    return steps.reversed()
  }
}

/// Finds all strings of a list that a text begins with, in time linear in the longest of them.
struct PrefixSearch: Sendable {
  private let strings: PackedStrings
  /// Places in `strings`, in order of their bytes.
  private let sorted: [Int]

  /// - Parameter isIncluded: says which of `strings` are looked for, by their places.
  init(_ strings: PackedStrings, where isIncluded: (Int) -> Bool) {
    self.strings = strings
    sorted = (0..<strings.count).filter { isIncluded($0) && !strings[$0].isEmpty }.sorted { strings[$0].lexicographicallyPrecedes(strings[$1]) }
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
