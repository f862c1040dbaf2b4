import Synchronization

/// A run of a file's bytes on their way from the network to a hash and to the disk.
///
/// The network's thread fills it from the front and publishes what is in it; workers read what was published. When the last of them lets go of it, its
/// memory goes back to the pool.
final class Block: @unchecked Sendable {
  // Unchecked: the network's thread writes behind what it published, everyone else reads before that, and publishing takes `Landing`'s lock.
  private let memory: BlockPool.Memory
  private let pool: BlockPool
  /// Where in the file it begins.
  let offset: Int
  /// Bytes in it, as the network's thread knows.
  private(set) var count = 0

  fileprivate init(_ memory: BlockPool.Memory, _ pool: BlockPool, offset: Int) {
    self.memory = memory
    self.pool = pool
    self.offset = offset
  }

  deinit { pool.giveBack(memory) }

  /// Bytes that it can still take.
  var room: Int { memory.bytes.count - count }

  /// Takes as many of `bytes` as there is room for.
  /// - Returns: how many that were.
  func append(_ bytes: UnsafeRawBufferPointer) -> Int {
    let taken = min(bytes.count, room)
    UnsafeMutableRawBufferPointer(rebasing: memory.bytes[count..<count + taken]).copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<taken]))
    count += taken
    return taken
  }

  /// Has `body` fill its first `count` bytes.
  func fill<E: Error>(_ count: Int, _ body: (UnsafeMutableRawBufferPointer) throws(E) -> Void) throws(E) {
    try body(UnsafeMutableRawBufferPointer(rebasing: memory.bytes[..<count]))
    self.count = count
  }

  /// Bytes of `range`, which counts from the file's beginning.
  subscript(range: Range<Int>) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(memory.bytes)[range.lowerBound - offset..<range.upperBound - offset])
  }
}

/// A bounded amount of memory for blocks. It is used again, the latest first: fresh memory costs a fault a page, and what was used last is in a cache.
final class BlockPool: Sendable {
  struct Memory: @unchecked Sendable {
    // Unchecked: it belongs to one block, or to the pool.
    let bytes: UnsafeMutableRawBufferPointer
  }

  private struct State {
    var free: [Memory] = []
    /// Blocks that exist.
    var used = 0
    var isWaitedFor = false
  }

  static let blockBytes = 1 << 20
  /// Blocks that only those may take whose bytes come next in their file: whatever else fills the memory, these go through it.
  static let reserve = 16

  private let state = Mutex(State())
  private let capacity: Int
  private let freed: @Sendable () -> Void

  /// - Parameters:
  ///   - capacity: most blocks at a time.
  ///   - freed: called, on any thread, when there is memory again after `take` had none.
  init(capacity: Int, freed: @escaping @Sendable () -> Void) {
    self.capacity = capacity
    self.freed = freed
  }

  deinit { state.withLock { for memory in $0.free { memory.bytes.deallocate() } } }

  /// - Parameter isNext: whether all bytes before `offset` are here.
  /// - Returns: nil when there is no memory now; `freed` tells when to ask again.
  func take(at offset: Int, isNext: Bool) -> Block? {
    let memory = state.withLock { state -> Memory? in
      guard state.used < (isNext ? capacity : capacity - Self.reserve) else {
        state.isWaitedFor = true
        return nil
      }
      return Self.take(&state)
    }
    return memory.map { Block($0, self, offset: offset) }
  }

  /// For what is read from the disk: there are never more of these than workers.
  func takeForReading(at offset: Int) -> Block { Block(state.withLock { Self.take(&$0) }, self, offset: offset) }

  private static func take(_ state: inout State) -> Memory {
    state.used += 1
    return state.free.popLast() ?? Memory(bytes: .allocate(byteCount: blockBytes, alignment: 4096))
  }

  fileprivate func giveBack(_ memory: Memory) {
    let isWaitedFor = state.withLock { state in
      state.free.append(memory)
      state.used -= 1
      defer { state.isWaitedFor = false }
      return state.isWaitedFor
    }
    if isWaitedFor { freed() }
  }
}
