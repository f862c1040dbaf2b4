import Integrity

#if canImport(Glibc)
  import Glibc
#endif

extension LogicalTensor.Part {
  /// Whether two parts of the same size hold the same bytes.
  func isEqual(in file: MappedFile, to other: Self, in otherFile: MappedFile, _ dtype: DType) -> Bool {
    guard rows.count == other.rows.count, columns.count == other.columns.count, let base = file.bytes.baseAddress,
      let otherBase = otherFile.bytes.baseAddress
    else { return false }
    let element = dtype.blockBytes
    let blocks = columns.count / dtype.blockElements
    let isContiguous = columnStride == element && other.columnStride == element
    for row in 0..<rows.count {
      let a = base + offset + row * rowStride
      let b = otherBase + other.offset + row * other.rowStride
      if isContiguous {
        if memcmp(a, b, blocks * element) != 0 { return false }
      } else {
        for block in 0..<blocks where memcmp(a + block * columnStride, b + block * other.columnStride, element) != 0 { return false }
      }
    }
    return true
  }
}
