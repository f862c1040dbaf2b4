import Integrity

extension LogicalTensor.Part {
  /// Whether two parts of the same size hold the same bytes.
  func isEqual(in file: any ByteSource, to other: Self, in otherFile: any ByteSource, _ dtype: DType) throws(CheckpointError) -> Bool {
    guard rows.count == other.rows.count, columns.count == other.columns.count else { return false }
    let blocks = columns.count / dtype.blockElements
    // As much of a row as fits, and whole rows where several fit.
    let blockStep = max(1, min(blocks, Self.comparedBytes / max(columnStride, other.columnStride, 1)))
    let rowStep = blockStep < blocks ? 1 : max(1, Self.comparedBytes / max(rowStride, other.rowStride, 1))
    for row in stride(from: 0, to: rows.count, by: rowStep) {
      let rowRun = row..<min(row + rowStep, rows.count)
      for block in stride(from: 0, to: blocks, by: blockStep) {
        let blockRun = block..<min(block + blockStep, blocks)
        let a = try file.bytes(range(rowRun, blockRun, dtype))
        let b = try otherFile.bytes(other.range(rowRun, blockRun, dtype))
        if a == b, rowStride == other.rowStride || rowRun.count == 1, columnStride == other.columnStride || blockRun.count == 1 { continue }
        // They differ, perhaps only between the elements.
        for row in 0..<rowRun.count {
          for block in 0..<blockRun.count {
            let (x, y) = (row * rowStride + block * columnStride, row * other.rowStride + block * other.columnStride)
            guard a[x..<x + dtype.blockBytes] == b[y..<y + dtype.blockBytes] else { return false }
          }
        }
      }
    }
    return true
  }

  /// The bytes of a row, whose elements follow each other or don't.
  func row(_ row: Int, in file: any ByteSource, _ dtype: DType) throws(CheckpointError) -> [UInt8] {
    let blocks = columns.count / dtype.blockElements
    let bytes = try file.bytes(range(row..<row + 1, 0..<blocks, dtype))
    return (0..<blocks).flatMap { bytes[$0 * columnStride..<$0 * columnStride + dtype.blockBytes] }
  }

  private static let comparedBytes = 256 << 10

  /// The bytes of the file from the first block to the last of a run of rows and of blocks within them.
  private func range(_ rows: Range<Int>, _ blocks: Range<Int>, _ dtype: DType) -> Range<Int> {
    let start = offset + rows.lowerBound * rowStride + blocks.lowerBound * columnStride
    return start..<start + (rows.count - 1) * rowStride + (blocks.count - 1) * columnStride + dtype.blockBytes
  }
}
