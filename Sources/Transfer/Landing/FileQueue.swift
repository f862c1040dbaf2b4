/// What of one file is on its way through its chain: the blocks that arrived, in the file's order.
struct FileQueue {
  struct Entry {
    let block: Block
    /// Where what may be read of it ends, in the file.
    var published: Int
    /// Where what is on the disk of it ends, in the file.
    var written: Int
    /// Whether a worker has it.
    var isTaken = false
    /// Whether no more will come into it.
    var isClosed = false
    /// Whether it stays in memory until the chain comes to it.
    let isKept: Bool
  }

  /// nil before it is known what is here of the file.
  var chain: FileChain?
  /// Where the chain is.
  private(set) var position = 0
  /// The file's length, once that is known.
  var length: Int?
  /// Whether a thread has the chain.
  var isTaken = false
  /// Whether someone waits for the chain who goes before the workers.
  var isWanted = false
  /// Blocks that are being written without the chain.
  var writes = 0
  /// Ascending. None of it is both hashed and written.
  private(set) var entries: [Entry] = []
  /// What lies on the disk behind the chain's place and isn't in memory: from an earlier run, or dropped.
  private var onDisk = RangeSet<Int>()
  private var isAbandoned = true
  /// Since when it has waited for a worker, on the steady clock; nil when it doesn't.
  var readySince: Double?

  /// Begins, or begins anew.
  mutating func open(_ chain: FileChain, onDisk: RangeSet<Int>, length: Int?) {
    (entries, isAbandoned) = ([], false)
    (self.chain, self.length, position) = (chain, length, chain.position)
    self.onDisk = onDisk
    self.onDisk.remove(contentsOf: 0..<position)
  }

  /// Lets go of everything.
  mutating func close() {
    abandon()
    chain = nil
  }

  /// Takes nothing any more; the chain stays where it is.
  mutating func abandon() { (entries, onDisk, isAbandoned) = ([], RangeSet(), true) }

  /// Whether every byte was hashed and written.
  var isWhole: Bool { length == position }

  /// The block that the chain goes on in, if it is there and nobody has it.
  var next: Int? { entries.firstIndex { $0.block.offset <= position && position < $0.published && !$0.isTaken } }

  /// What the chain has to read from the disk next.
  var nextOnDisk: Range<Int>? {
    guard let range = onDisk.ranges.first, range.lowerBound == position, !entries.contains(where: { $0.block.offset <= position && position < $0.published }) else {
      return nil
    }
    return position..<min(range.upperBound, position + BlockPool.blockBytes)
  }

  /// Bytes in memory that the chain can go through without a gap.
  var waiting: Int {
    var end = position
    for entry in entries where entry.block.offset <= end { end = max(end, entry.published) }
    return end - position
  }

  /// Whether the chain can go on now.
  var isReady: Bool { !isAbandoned && !isTaken && !isWanted && (next != nil || nextOnDisk != nil) }

  /// Whether there is anything in memory that can be hashed or has to be written.
  var isDrained: Bool { !isTaken && writes == 0 && (isAbandoned || next == nil && entries.allSatisfy { $0.written == $0.published }) }

  subscript(block: Block) -> Entry? {
    get { entries.first { $0.block === block } }
    set { if let newValue, let index = entries.firstIndex(where: { $0.block === block }) { entries[index] = newValue } }
  }

  /// Says how many bytes of a block may be read.
  mutating func publish(_ block: Block, count: Int, isClosed: Bool, isKept: Bool) {
    if isAbandoned { return }
    let index = entries.firstIndex { $0.block === block } ?? insert(block, isKept)
    entries[index].published = block.offset + count
    entries[index].isClosed = isClosed
    tidy()
  }

  private mutating func insert(_ block: Block, _ isKept: Bool) -> Int {
    let index = entries.firstIndex { $0.block.offset > block.offset } ?? entries.endIndex
    entries.insert(Entry(block: block, published: block.offset, written: block.offset, isKept: isKept), at: index)
    return index
  }

  /// Moves the chain's place on.
  mutating func advance(to position: Int) {
    self.position = position
    onDisk.remove(contentsOf: 0..<position)
    tidy()
  }

  /// Lets go of blocks that are done with.
  mutating func tidy() {
    for entry in entries where !entry.isKept && entry.isClosed && !entry.isTaken && entry.written == entry.published && entry.block.offset > position {
      onDisk.insert(contentsOf: entry.block.offset..<entry.published)
    }
    entries.removeAll { entry in
      guard entry.isClosed, !entry.isTaken, entry.written == entry.published else { return false }
      return entry.published <= position || !entry.isKept && entry.block.offset > position
    }
  }
}
