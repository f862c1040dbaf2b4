#if canImport(Glibc)
  import Glibc
#endif

/// Float32 memory that reads as zero until it is written; the system finds pages for it when they are first touched.
final class FloatMemory: @unchecked Sendable {
  // Unchecked: threads share it only in the loops of `ThreadPool`, each of whose tasks writes elements of its own.
  let base: UnsafeMutablePointer<Float>
  private let bytes: Int

  /// - Throws: `InferenceError.badParameters` when the system refuses that much address space.
  init(count: Int, for purpose: String) throws(InferenceError) {
    let (bytes, overflow) = max(count, 1).multipliedReportingOverflow(by: MemoryLayout<Float>.stride)
    guard !overflow, let map = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
      map != MAP_FAILED
    else { throw .badParameters("\(purpose) would take \(count) numbers, more memory than there is") }
    self.bytes = bytes
    base = map.bindMemory(to: Float.self, capacity: count)
  }

  deinit { munmap(base, bytes) }
}

/// Activations, [count, width] in float32; each row is padded with zeros to whole vectors of sixteen.
struct Rows: Sendable {
  let width: Int
  /// Elements from one row to the next.
  let stride: Int
  private let memory: FloatMemory

  init(count: Int, width: Int) throws(InferenceError) {
    self.width = width
    stride = padded(width)
    let (size, overflow) = count.multipliedReportingOverflow(by: stride)
    memory = try FloatMemory(count: overflow ? .max : size, for: "the activations")
  }

  /// The first element of row `index`.
  subscript(index: Int) -> UnsafeMutablePointer<Float> { memory.base + index * stride }
}

/// `count` rounded up to whole vectors of sixteen.
func padded(_ count: Int) -> Int { (count + 15) & ~15 }
