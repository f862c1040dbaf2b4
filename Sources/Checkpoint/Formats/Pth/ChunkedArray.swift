/// An array that grows without ever moving what it holds: moving takes, for a moment, three times the memory.
struct ChunkedArray<Element> {
  private var chunks: [[Element]] = []
  private(set) var count = 0

  private static var bits: Int { 14 }

  mutating func append(_ element: Element) {
    if count & (1 << Self.bits - 1) == 0 {
      chunks.append([])
      chunks[chunks.count - 1].reserveCapacity(1 << Self.bits)
    }
    chunks[chunks.count - 1].append(element)
    count += 1
  }

  /// - Precondition: `index` is less than `count`.
  subscript(index: Int) -> Element {
    get { chunks[index >> Self.bits][index & (1 << Self.bits - 1)] }
    set { chunks[index >> Self.bits][index & (1 << Self.bits - 1)] = newValue }
  }
}
