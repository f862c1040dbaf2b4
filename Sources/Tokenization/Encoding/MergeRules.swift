/// tiktoken: two symbols merge when their bytes are a token; the token's id is the rank.
struct RankRule: MergeRule {
  let index: TokenIndex

  func merge(_ left: Symbol, _ right: Symbol, in text: UnsafePointer<UInt8>) -> Candidate? {
    index.find(text + left.start, left.length + right.length).map { Candidate(rank: UInt32($0), id: Int32($0)) }
  }
}

/// SentencePiece: two symbols merge when their characters are a piece; the highest score comes first.
struct ScoreRule: MergeRule {
  let index: TokenIndex
  /// By id; falls as the score rises.
  let ranks: [UInt32]

  init(index: TokenIndex, scores: [Float]) {
    self.index = index
    // The bits of a float, made to sort like the float: flip the sign bit of a positive, all bits of a negative number.
    ranks = scores.map { score in
      let bits = (score + 0).bitPattern
      return ~(bits >> 31 == 0 ? bits | 1 << 31 : ~bits)
    }
  }

  func merge(_ left: Symbol, _ right: Symbol, in text: UnsafePointer<UInt8>) -> Candidate? {
    index.find(text + left.start, left.length + right.length).map { Candidate(rank: ranks[$0], id: Int32($0)) }
  }
}

/// A list of merges: two symbols merge when the list has them; its place there is the rank.
struct PairRule: MergeRule {
  private let merges: [Vocabulary.Merge]
  /// Open addressing; rank + 1, 0 is empty.
  private let slots: [UInt32]
  private let hash = KeyedHash()

  /// Of two equal pairs the later counts, as in Hugging Face's `tokenizers`.
  init(_ merges: [Vocabulary.Merge]) {
    var capacity = 16
    while capacity < merges.count + merges.count / 2 { capacity *= 2 }
    var slots = [UInt32](repeating: 0, count: capacity)
    for (rank, merge) in merges.enumerated() {
      var slot = Self.slot(hash, merge.left, merge.right, capacity)
      while slots[slot] != 0 {
        let other = merges[Int(slots[slot]) - 1]
        if other.left == merge.left, other.right == merge.right { break }
        slot = (slot + 1) & (capacity - 1)
      }
      slots[slot] = UInt32(rank + 1)
    }
    self.merges = merges
    self.slots = slots
  }

  func merge(_ left: Symbol, _ right: Symbol, in text: UnsafePointer<UInt8>) -> Candidate? {
    guard left.id >= 0, right.id >= 0 else { return nil }
    var slot = Self.slot(hash, left.id, right.id, slots.count)
    while slots[slot] != 0 {
      let rank = slots[slot] - 1
      let merge = merges[Int(rank)]
      if merge.left == left.id, merge.right == right.id { return Candidate(rank: rank, id: merge.result) }
      slot = (slot + 1) & (slots.count - 1)
    }
    return nil
  }

  private static func slot(_ hash: KeyedHash, _ left: Int32, _ right: Int32, _ capacity: Int) -> Int {
    Int(truncatingIfNeeded: hash(UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right)))) & (capacity - 1)
  }
}
