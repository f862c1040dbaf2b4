import Integrity

#if canImport(Glibc)
  import Glibc
#endif

/// Writes chunks of tensors to the places that a plan has for them. One for each thread: it has room of its own.
struct ChunkWriter {
  let files: [OpenOutput]
  private var room = Room()
  /// What the last chunk adds to checksums of files' pieces.
  private(set) var sums: [PlanProgress.PieceSum] = []

  init(files: [OpenOutput]) { self.files = files }

  /// - Parameters:
  ///   - bytes: the chunk, row by row in Meta's order, without gaps.
  ///   - isSummed: whether files have its checksums already.
  ///   - keep: takes what isn't hashed as a weight, with its file and the byte where it lies.
  mutating func write(
    _ chunk: TensorPlan.Chunk, of plan: TensorPlan, _ bytes: UnsafeRawBufferPointer, isSummed: Bool = false,
    keep: (_ file: Int, _ offset: Int, [UInt8]) -> Void = { _, _, _ in }
  ) throws(CheckpointError) {
    sums.removeAll(keepingCapacity: true)
    guard let base = bytes.baseAddress else { return }
    let pitch = plan.dtype.byteCount(chunk.columns.count)
    for destination in plan.destinations {
      let region = destination.region
      let (rows, columns) = (region.rows.clamped(to: chunk.rows), region.columns.clamped(to: chunk.columns))
      guard !rows.isEmpty, !columns.isEmpty else { continue }
      let from = base + plan.dtype.byteCount(columns.lowerBound - chunk.columns.lowerBound)
      if columns != region.columns {
        // In the order of the source a chunk may be a part of each row.
        try Self.forEachRow(of: rows, columns, to: destination, plan.dtype, from: from, pitch: pitch, firstRow: chunk.rows.lowerBound) { row, offset throws(CheckpointError) in
          try write(row, at: offset, destination, isSummed: isSummed)
        }
        continue
      }
      let (width, runs) = (region.rowBytes, region.order.runs(rows))
      var index = 0
      while index < runs.count {
        // As many runs as follow each other in the file.
        var end = index + 1
        while end < runs.count, runs[end].disk == runs[end - 1].disk + runs[end - 1].count { end += 1 }
        let count = runs[index..<end].reduce(0) { $0 + $1.count }
        let offset = destination.offset + (runs[index].disk - region.rows.lowerBound) * width
        var stretch = UnsafeRawBufferPointer(start: from + (runs[index].meta - chunk.rows.lowerBound) * pitch, count: count * width)
        if width != pitch || runs[index].step != 1 {
          let to = room.of(count * width)
          var row = 0
          for run in runs[index..<end] {
            for step in 0..<run.count {
              memcpy(to + row * width, from + (run.meta + step * run.step - chunk.rows.lowerBound) * pitch, width)
              row += 1
            }
          }
          stretch = UnsafeRawBufferPointer(start: to, count: count * width)
        }
        try write(stretch, at: offset, destination, isSummed: isSummed)
        if plan.tensor.name.role.isBuffer { keep(destination.file, offset, Array(stretch)) }
        index = end
      }
    }
  }

  /// What a chunk adds to checksums of files' pieces, without writing it.
  /// - Parameters:
  ///   - whole: a chunk of the same rows that it is a part of.
  ///   - bytes: of `whole`.
  mutating func checksums(
    of chunk: TensorPlan.Chunk, in whole: TensorPlan.Chunk, of plan: TensorPlan, _ bytes: UnsafeRawBufferPointer
  ) -> [PlanProgress.PieceSum] {
    sums.removeAll(keepingCapacity: true)
    guard let base = bytes.baseAddress else { return [] }
    let pitch = plan.dtype.byteCount(whole.columns.count)
    for destination in plan.destinations where files[destination.file].file.needsChecksums {
      let region = destination.region
      let (rows, columns) = (region.rows.clamped(to: chunk.rows), region.columns.clamped(to: chunk.columns))
      guard !rows.isEmpty, !columns.isEmpty else { continue }
      let from = base + plan.dtype.byteCount(columns.lowerBound - whole.columns.lowerBound)
      Self.forEachRow(of: rows, columns, to: destination, plan.dtype, from: from, pitch: pitch, firstRow: whole.rows.lowerBound) { row, offset in
        add(files[destination.file].checksums.add(row, at: offset, piece: destination.piece), destination)
      }
    }
    return sums
  }

  /// Goes over parts of rows in the order of the file.
  /// - Parameters:
  ///   - rows: of the tensor, of which the destination takes each.
  ///   - columns: of the tensor, of which the destination takes each.
  ///   - from: where these columns begin in the row `firstRow` of the tensor.
  ///   - pitch: bytes from a row in memory to the next.
  ///   - body: takes the columns of a row, and the byte of the file where they lie.
  private static func forEachRow<Failure: Error>(
    of rows: Range<Int>, _ columns: Range<Int>, to destination: TensorPlan.Destination, _ dtype: DType, from: UnsafeRawPointer, pitch: Int, firstRow: Int,
    _ body: (UnsafeRawBufferPointer, Int) throws(Failure) -> Void
  ) throws(Failure) {
    let region = destination.region
    let (start, count) = (dtype.byteCount(columns.lowerBound - region.columns.lowerBound), dtype.byteCount(columns.count))
    for run in region.order.runs(rows) {
      for step in 0..<run.count {
        let row = UnsafeRawBufferPointer(start: from + (run.meta + step * run.step - firstRow) * pitch, count: count)
        try body(row, destination.offset + (run.disk + step - region.rows.lowerBound) * region.rowBytes + start)
      }
    }
  }

  private mutating func write(_ bytes: UnsafeRawBufferPointer, at offset: Int, _ destination: TensorPlan.Destination, isSummed: Bool) throws(CheckpointError) {
    let file = files[destination.file]
    if !isSummed { add(file.checksums.add(bytes, at: offset, piece: destination.piece), destination) }
    try file.write(bytes, at: offset)
  }

  private mutating func add(_ sum: UInt32?, _ destination: TensorPlan.Destination) {
    guard let sum else { return }
    if let last = sums.indices.last, sums[last].file == destination.file, sums[last].piece == destination.piece {
      sums[last].sum ^= sum
    } else {
      sums.append(.init(file: destination.file, piece: destination.piece, sum: sum))
    }
  }
}
