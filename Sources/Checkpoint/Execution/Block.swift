/// Memory that lives as long as this object. One thread's own, unless a comment says otherwise.
final class Block {
  let baseAddress: UnsafeMutableRawPointer
  let count: Int

  init(count: Int) {
    self.count = count
    baseAddress = UnsafeMutableRawPointer.allocate(byteCount: max(count, 1), alignment: 4096)
  }

  deinit { baseAddress.deallocate() }

  var memory: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(start: baseAddress, count: count) }
}

/// A block that is replaced by a larger one when that is needed. What was in it is lost then.
struct Room {
  private var block = Block(count: 0)

  mutating func of(_ bytes: Int) -> UnsafeMutableRawPointer {
    if block.count < bytes { block = Block(count: bytes) }
    return block.baseAddress
  }
}
