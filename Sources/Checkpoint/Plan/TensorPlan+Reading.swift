import Integrity

/// Which bytes of which files a piece of work reads.
extension TensorPlan {
  /// - Returns: by file the stretch from the first byte that `chunk` needs to the last. There may be others between them.
  /// - Parameter comparesFirstRows: whether the first rows of all parts are read with the first chunk, where they must differ.
  func stretches(of chunk: Chunk, comparesFirstRows: Bool) -> [Int: Range<Int>] {
    var stretches: [Int: Range<Int>] = [:]
    func add(_ range: Range<Int>, of file: Int) { stretches[file] = stretches[file].map { min($0.lowerBound, range.lowerBound)..<max($0.upperBound, range.upperBound) } ?? range }
    for source in sources {
      let (rows, columns) = (source.part.rows.clamped(to: chunk.rows), source.part.columns.clamped(to: chunk.columns))
      guard !rows.isEmpty, !columns.isEmpty else { continue }
      for part in [source.part] + source.replicas {
        for run in tensor.rowOrder.runs(rows) {
          let first = run.disk - part.rows.lowerBound
          add(bytes(of: part, first..<first + run.count, columns.lowerBound - part.columns.lowerBound..<columns.upperBound - part.columns.lowerBound), of: part.file)
        }
        for table in part.coding?.tables ?? [] { add(table.bytes, of: table.file) }
      }
    }
    if comparesFirstRows, readsFirstRows(with: chunk) { for part in tensor.parts { add(bytes(of: part, 0..<1, 0..<part.columns.count), of: part.file) } }
    return stretches
  }

  /// Whether the first rows of all parts are compared when `chunk` is read.
  func readsFirstRows(with chunk: Chunk) -> Bool { tensor.firstRowsDiffer && chunk.rows.lowerBound == 0 && chunk.columns.lowerBound == 0 }

  /// Where rows and columns of a part lie, which count from its first.
  private func bytes(of part: LogicalTensor.Part, _ rows: Range<Int>, _ columns: Range<Int>) -> Range<Int> {
    let (block, width) = part.coding == nil ? (tensor.dtype.blockElements, tensor.dtype.blockBytes) : (1, 1)
    let columns = part.coding?.isRotated == true ? 0..<part.columns.count : columns
    let blocks = columns.lowerBound / block..<(columns.upperBound - 1) / block + 1
    let start = part.offset + rows.lowerBound * part.rowStride + blocks.lowerBound * part.columnStride
    return start..<start + (rows.count - 1) * part.rowStride + (blocks.count - 1) * part.columnStride + width
  }
}

extension StoredCoding {
  var tables: [Table] { [scales, zeros, adaptor?.a, adaptor?.b].compactMap(\.self) }
}

extension StoredCoding.Table {
  fileprivate var bytes: Range<Int> { offset..<offset + (rows - 1) * rowStride + (columns - 1) * columnStride + dtype.blockBytes }
}
