import DequeModule
import Glibc
import Synchronization

/// A bounded amount of memory for blocks.
///
/// A thread that receives fills a block and a worker on another core reads it. Memory that was given back lately is still in that core's cache, from where
/// the next writer would have to fetch it line by line: measured, writing then runs at a quarter of its speed. So memory rests before it is used again.
final class BlockPool: Sendable {
  struct Memory: @unchecked Sendable {
    // Unchecked: it belongs to one block, or to the pool.
    let bytes: UnsafeMutableRawBufferPointer
  }

  private struct State {
    /// Memory that had a block, the longest unused first.
    var free = Deque<Memory>()
    /// Memory that never had one.
    var fresh: [Memory] = []
    /// Blocks that exist.
    var used = 0
    var isWaitedFor = false
    /// What was allocated.
    var chunks: [Memory] = []
  }

  static let blockBytes = 1 << 20
  /// Blocks that only those may take whose bytes come next in their file: whatever else fills the memory, these go through it.
  static let reserve = 16
  /// Blocks that rest before one of them is used again: more than a core's second-level cache holds on any processor.
  private static let resting = 32
  /// Blocks that are allocated together: as one huge page they cost one fault (Documentation/admin-guide/mm/transhuge.rst).
  private static let chunkBytes = 2 << 20

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

  deinit { state.withLock { for chunk in $0.chunks { chunk.bytes.deallocate() } } }

  /// - Parameter isNext: whether all bytes before `offset` are here.
  /// - Returns: nil when there is no memory now; `freed` tells when to ask again.
  func take(at offset: Int, isNext: Bool) -> Block? {
    let memory = state.withLock { state -> Memory? in
      guard state.used < (isNext ? capacity : capacity - Self.reserve) else {
        state.isWaitedFor = true
        return nil
      }
      return take(&state)
    }
    return memory.map { Block($0, self, offset: offset) }
  }

  /// For what is read from the disk: there are never more of these than workers.
  func takeForReading(at offset: Int) -> Block { Block(state.withLock { take(&$0) }, self, offset: offset) }

  private func take(_ state: inout State) -> Memory {
    state.used += 1
    if state.free.count <= Self.resting, state.used + state.free.count <= capacity { return Self.allocated(&state) }
    return state.free.popFirst() ?? Self.allocated(&state)
  }

  /// Memory that nobody has had, and some more for the next.
  private static func allocated(_ state: inout State) -> Memory {
    if let fresh = state.fresh.popLast() { return fresh }
    let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: chunkBytes, alignment: chunkBytes)
    madvise(chunk.baseAddress, chunk.count, MADV_HUGEPAGE)
    state.chunks.append(Memory(bytes: chunk))
    for start in stride(from: 0, to: chunkBytes, by: blockBytes) {
      state.fresh.append(Memory(bytes: UnsafeMutableRawBufferPointer(rebasing: chunk[start..<start + blockBytes])))
    }
    return state.fresh.removeLast()
  }

  /// Takes back what a block had.
  func giveBack(_ memory: Memory) {
    let isWaitedFor = state.withLock { state in
      state.free.append(memory)
      state.used -= 1
      defer { state.isWaitedFor = false }
      return state.isWaitedFor
    }
    if isWaitedFor { freed() }
  }
}
