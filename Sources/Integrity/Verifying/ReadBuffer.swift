/// Memory that one or several chunks are read into.
final class ReadBuffer: @unchecked Sendable {
  // Unchecked: it belongs to the task that reads, then to those that hash; `chunks` is touched under the pipeline's lock.
  let memory: UnsafeMutableRawBufferPointer
  /// Chunks in it that somebody needs.
  var chunks = 0
  private let allocation: UnsafeMutableRawPointer

  /// - Parameter shift: bytes from the start of a page to the start of the buffer.
  init(bytes: Int, shift: Int = 0) {
    allocation = .allocate(byteCount: bytes + shift, alignment: ReadOnceFile.alignment)
    memory = UnsafeMutableRawBufferPointer(start: allocation + shift, count: bytes)
  }

  deinit { allocation.deallocate() }
}

/// Buffers that are used again and again, so that the memory of a run is bounded.
struct BufferPool {
  /// Spans in memory at once.
  static let mostSpans = 32

  private var chunks: [ReadBuffer] = []
  private var chunksMade = 0
  private var spans: [ReadBuffer] = []
  private var spansMade = 0

  /// For one small chunk out of the page cache. Who takes them bounds their number.
  mutating func takeChunk() -> ReadBuffer {
    if let buffer = chunks.popLast() { return buffer }
    chunksMade += 1
    // Sixteen streams read at the same offset of a page would all want the same few lines of the first cache.
    return ReadBuffer(bytes: Stretch.chunkBytes, shift: 64 * (chunksMade % 64))
  }

  /// For what is read in larger requests.
  /// - Returns: nil when all are in use.
  mutating func takeSpan() -> ReadBuffer? {
    if let buffer = spans.popLast() { return buffer }
    guard spansMade < Self.mostSpans else { return nil }
    spansMade += 1
    return ReadBuffer(bytes: Stretch.spanBytes)
  }

  mutating func giveBack(_ buffers: [ReadBuffer]) {
    for buffer in buffers { if buffer.memory.count == Stretch.spanBytes { spans.append(buffer) } else { chunks.append(buffer) } }
  }
}
