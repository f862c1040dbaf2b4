/// Puts rows of heads that lie in halves, as Hugging Face has them, into Meta's order: row `j * headDim/2 + i` of a head is row `2i + j` there.
package struct HeadOrder: Sendable {
  private let headDim: Int
  private let rowBytes: Int
  private var begun: [UInt8] = []
  private var ordered: [UInt8]

  /// Of a head, which is kept in memory: those of 405B have 4 MB. More is damage or malice.
  package static let mostBytes = 64 << 20

  package init(headDim: Int, rowBytes: Int) {
    (self.headDim, self.rowBytes) = (headDim, rowBytes)
    begun.reserveCapacity(headDim * rowBytes)
    ordered = [UInt8](repeating: 0, count: headDim * rowBytes)
  }

  package var headBytes: Int { ordered.count }

  /// Takes the bytes that follow, and hands over each head that is whole, its rows in Meta's order.
  package mutating func take(_ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Void) {
    var rest = bytes
    while !rest.isEmpty {
      let count = min(rest.count, ordered.count - begun.count)
      begun += rest.prefix(count)
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
      guard begun.count == ordered.count else { return }
      begun.withUnsafeBytes { from in
        ordered.withUnsafeMutableBytes { to in
          for row in 0..<headDim {
            let source = (row % 2 * (headDim / 2) + row / 2) * rowBytes
            UnsafeMutableRawBufferPointer(rebasing: to[row * rowBytes..<(row + 1) * rowBytes])
              .copyMemory(from: UnsafeRawBufferPointer(rebasing: from[source..<source + rowBytes]))
          }
        }
      }
      ordered.withUnsafeBytes(body)
      begun.removeAll(keepingCapacity: true)
    }
  }
}
