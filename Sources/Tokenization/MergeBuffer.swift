import HeapModule

/// Decides which neighbouring symbols may become one token.
protocol MergeRule {
  /// The token that `left` and `right` (neighbours in `text`) make, and its rank; the lowest rank is merged first.
  func merge(_ left: Symbol, _ right: Symbol, in text: UnsafePointer<UInt8>) -> Candidate?
}

/// A run of bytes on its way to being a token.
struct Symbol {
  var start: Int
  var length: Int
  /// -1 while there is no token for it.
  var id: Int32
}

struct Candidate {
  var rank: UInt32
  var id: Int32
}

/// Byte-pair encoding (Sennrich et al. 2016): merges the neighbours of lowest rank, the leftmost first, until none can be merged.
///
/// Short pieces are scanned, long ones go through a heap of candidates: O(n log n), so that a megabyte without a space is only slow, not endless.
struct MergeBuffer {
  private(set) var symbols: [Symbol] = []
  private var ranks: [Candidate] = []
  private static let none = Candidate(rank: .max, id: -1)
  /// Where the scan's quadratic cost meets the heap's constant.
  private static let scanLimit = 64

  mutating func removeAll() { symbols.removeAll(keepingCapacity: true) }
  mutating func append(_ symbol: Symbol) { symbols.append(symbol) }

  mutating func merge(in text: UnsafePointer<UInt8>, by rule: some MergeRule) {
    guard symbols.count > 1 else { return }
    if symbols.count <= Self.scanLimit { scan(text, rule) } else { drain(text, rule) }
  }

  private mutating func scan(_ text: UnsafePointer<UInt8>, _ rule: some MergeRule) {
    ranks.removeAll(keepingCapacity: true)
    for at in 0..<symbols.count - 1 { ranks.append(rule.merge(symbols[at], symbols[at + 1], in: text) ?? Self.none) }
    var count = symbols.count
    while count > 1 {
      var best = 0
      for at in 1..<max(count - 1, 1) where ranks[at].rank < ranks[best].rank { best = at }
      guard ranks[best].id >= 0 else { break }
      symbols[best].length += symbols[best + 1].length
      symbols[best].id = ranks[best].id
      count -= 1
      for at in best + 1..<max(count, best + 1) {
        symbols[at] = symbols[at + 1]
        ranks[at - 1] = ranks[at]
      }
      if best > 0 { ranks[best - 1] = rule.merge(symbols[best - 1], symbols[best], in: text) ?? Self.none }
      if best < count - 1 { ranks[best] = rule.merge(symbols[best], symbols[best + 1], in: text) ?? Self.none }
    }
    symbols.removeLast(symbols.count - count)
  }

  private struct Entry: Comparable {
    let rank: UInt32
    let id: Int32
    let left: Int
    /// Bytes of both symbols: tells an entry whose symbols have changed since.
    let length: Int

    static func < (a: Entry, b: Entry) -> Bool { a.rank != b.rank ? a.rank < b.rank : a.left < b.left }
  }

  private mutating func drain(_ text: UnsafePointer<UInt8>, _ rule: some MergeRule) {
    let count = symbols.count
    var next = (0..<count).map { $0 + 1 }
    var previous = (0..<count).map { $0 - 1 }
    var entries: [Entry] = []
    func entry(_ left: Int, _ right: Int) -> Entry? {
      rule.merge(symbols[left], symbols[right], in: text).map {
        Entry(rank: $0.rank, id: $0.id, left: left, length: symbols[left].length + symbols[right].length)
      }
    }
    for left in 0..<count - 1 { entry(left, left + 1).map { entries.append($0) } }
    var heap = Heap(entries)
    while let top = heap.popMin() {
      let left = top.left
      let right = next[left]
      // A symbol that was merged away has length 0.
      guard symbols[left].length > 0, right < count, symbols[left].length + symbols[right].length == top.length else { continue }
      symbols[left].length = top.length
      symbols[left].id = top.id
      symbols[right].length = 0
      next[left] = next[right]
      if next[left] < count {
        previous[next[left]] = left
        entry(left, next[left]).map { heap.insert($0) }
      }
      if previous[left] >= 0 { entry(previous[left], left).map { heap.insert($0) } }
    }
    symbols.removeAll { $0.length == 0 }
  }
}
