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
  /// For each token that a pair was looked at for, the bytes of the pair's left half; kept only when `keepsHalves`.
  private(set) var halves: [Int32: Int] = [:]
  private let keepsHalves: Bool
  private static let none = Candidate(rank: .max, id: -1)
  /// Where the scan's quadratic cost meets the heap's constant.
  private static let scanLimit = 64

  init(keepsHalves: Bool = false) { self.keepsHalves = keepsHalves }

  mutating func removeAll() { symbols.removeAll(keepingCapacity: true) }
  mutating func append(_ symbol: Symbol) { symbols.append(symbol) }

  mutating func merge(in text: UnsafePointer<UInt8>, by rule: some MergeRule) {
    guard symbols.count > 1 else { return }
    if symbols.count <= Self.scanLimit { scan(text, rule) } else { drain(text, rule) }
  }

  private mutating func candidate(_ left: Int, _ right: Int, _ text: UnsafePointer<UInt8>, _ rule: some MergeRule) -> Candidate {
    guard let candidate = rule.merge(symbols[left], symbols[right], in: text) else { return Self.none }
    if keepsHalves { halves[candidate.id] = symbols[left].length }
    return candidate
  }

  private mutating func scan(_ text: UnsafePointer<UInt8>, _ rule: some MergeRule) {
    ranks.removeAll(keepingCapacity: true)
    for at in 0..<symbols.count - 1 { ranks.append(candidate(at, at + 1, text, rule)) }
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
      if best > 0 { ranks[best - 1] = candidate(best - 1, best, text, rule) }
      if best < count - 1 { ranks[best] = candidate(best, best + 1, text, rule) }
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
    var heap = Heap<Entry>()
    func add(_ left: Int, _ right: Int, to buffer: inout MergeBuffer) {
      let candidate = buffer.candidate(left, right, text, rule)
      guard candidate.id >= 0 else { return }
      let length = buffer.symbols[left].length + buffer.symbols[right].length
      heap.insert(Entry(rank: candidate.rank, id: candidate.id, left: left, length: length))
    }
    for left in 0..<count - 1 { add(left, left + 1, to: &self) }
    while let top = heap.popMin() {
      let left = top.left
      let right = next[left]
      // A symbol that was merged away has length 0.
      guard symbols[left].length > 0, right < count, symbols[left].length + symbols[right].length == top.length else { continue }
      symbols[left].length = top.length
      symbols[left].id = top.id
      symbols[right].length = 0
      next[left] = next[right]
      if next[left] < count { previous[next[left]] = left }
      if previous[left] >= 0 { add(previous[left], left, to: &self) }
      if next[left] < count { add(left, next[left], to: &self) }
    }
    symbols.removeAll { $0.length == 0 }
  }
}
