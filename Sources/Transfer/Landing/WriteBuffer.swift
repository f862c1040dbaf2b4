/// Bytes on their way to a file. libcurl brings them in pieces of 16 KB; a page cache takes larger ones for half the time.
struct WriteBuffer: ~Copyable {
  private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 4096)
  private var count = 0

  deinit { memory.deallocate() }

  var isFull: Bool { count == memory.count }

  /// Takes as many of `bytes` as there is room for.
  /// - Returns: how many that were.
  mutating func append(_ bytes: UnsafeRawBufferPointer) -> Int {
    let taken = min(bytes.count, memory.count - count)
    UnsafeMutableRawBufferPointer(rebasing: memory[count..<count + taken]).copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<taken]))
    count += taken
    return taken
  }

  /// Hands everything to `body`, and is empty then.
  mutating func empty<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    defer { count = 0 }
    return body(UnsafeRawBufferPointer(rebasing: memory[..<count]))
  }
}
