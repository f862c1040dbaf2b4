extension LogicalTensor.RowOrder {
  /// Rows that follow each other in a file: `count` of them from row `disk` on, which in Meta's order are every `step`th from `meta` on.
  struct Run: Equatable {
    var meta: Int
    var step: Int
    var disk: Int
    var count: Int
  }

  /// The rows `rows` of Meta's order as runs of rows that lie side by side in this order; runs come in the order of the file.
  func runs(_ rows: Range<Int>) -> [Run] {
    guard case .halves(let headDim) = self else { return rows.isEmpty ? [] : [Run(meta: rows.lowerBound, step: 1, disk: rows.lowerBound, count: rows.count)] }
    var runs: [Run] = []
    var start = rows.lowerBound
    while start < rows.upperBound {
      let head = start / headDim * headDim
      let within = start - head..<min(rows.upperBound - head, headDim)
      // Meta's row 2i + j of a head is row j * headDim/2 + i here.
      for parity in 0..<2 {
        let first = (within.lowerBound + 1 - parity) / 2
        let end = (within.upperBound + 1 - parity) / 2
        if first < end { runs.append(Run(meta: head + 2 * first + parity, step: 2, disk: head + parity * (headDim / 2) + first, count: end - first)) }
      }
      start = head + within.upperBound
    }
    return runs
  }
}
