/// A run of a file's bytes on their way from the network to a hash and to the disk.
///
/// Its request's thread fills it from the front and publishes what is in it; workers read what was published. When the last of them lets go of it, its
/// memory goes back to the pool.
final class Block: @unchecked Sendable {
  // Unchecked: the request's thread writes behind what it published, everyone else reads before that, and publishing takes `Landing`'s lock.
  private let memory: BlockPool.Memory
  private let pool: BlockPool
  /// Where in the file it begins.
  let offset: Int
  /// Bytes in it, as the request's thread knows.
  private(set) var count = 0

  init(_ memory: BlockPool.Memory, _ pool: BlockPool, offset: Int) {
    self.memory = memory
    self.pool = pool
    self.offset = offset
  }

  deinit { pool.giveBack(memory) }

  /// Bytes that it can still take.
  var room: Int { memory.bytes.count - count }

  /// Puts `bytes`, for which there is room, behind what is in it. They aren't in it before `grow`.
  func copy(_ bytes: UnsafeRawBufferPointer) {
    UnsafeMutableRawBufferPointer(rebasing: memory.bytes[count..<count + bytes.count]).copyMemory(from: bytes)
  }

  /// Takes account of bytes that were copied.
  func grow(by count: Int) { self.count += count }

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
