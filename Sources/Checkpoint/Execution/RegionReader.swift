import Integrity

#if canImport(Glibc)
  import Glibc
#endif

/// Fills a buffer with a part of a region. One for each thread: it has room of its own to read into.
struct RegionReader {
  private let files: [any ByteSource]
  private let scratch = Block(count: Self.scratchBytes)
  private var conversions: [[DType]: RowConversion] = [:]

  static let scratchBytes = 8 << 20
  /// As many bytes are read in about the time that a call takes.
  private static let leastBytes = 4096

  init(files: [any ByteSource]) { self.files = files }

  /// Writes `rows` × `columns` of `region`, of quantized types whole blocks, to `out`, rows first and without gaps.
  mutating func read(
    _ region: TensorRegion, rows: Range<Int>, columns: Range<Int>, into out: UnsafeMutableRawPointer
  ) throws(CheckpointError) {
    for source in region.sources {
      let commonRows = source.rows.clamped(to: rows)
      let commonColumns = source.columns.clamped(to: columns)
      guard !commonRows.isEmpty, !commonColumns.isEmpty else { continue }
      let pitch = region.dtype.byteCount(columns.count)
      let corner = out + (commonRows.lowerBound - rows.lowerBound) * pitch + region.dtype.byteCount(commonColumns.lowerBound - columns.lowerBound)
      try read(source, region, commonRows, commonColumns, into: corner, pitch: pitch)
    }
  }

  /// Weights aren't read through the map: a file that is cut short under it would end the program.
  private mutating func read(
    _ source: TensorRegion.Source, _ region: TensorRegion, _ rows: Range<Int>, _ columns: Range<Int>, into out: UnsafeMutableRawPointer, pitch: Int
  ) throws(CheckpointError) {
    let part = source.part
    let file = files[part.file]
    let element = source.dtype.blockBytes
    let block = source.dtype.blockElements
    let first = source.partColumn(columns.lowerBound)
    // The bytes of a row that are needed, from the start of the row.
    let from = first / block * part.columnStride
    let to = (first + columns.count - 1) / block * part.columnStride + element
    let isCopy = source.dtype == region.dtype && part.columnStride == element
    let isOrdered = source.sourceOrder == source.outputOrder || rows.count == 1

    let partRows = isOrdered ? source.partRow(rows.lowerBound)..<source.partRow(rows.upperBound - 1) + 1 : span(rows.map(source.partRow))
    let start = part.offset + partRows.lowerBound * part.rowStride + from
    let needed = rows.count * ((first + columns.count - 1) / block - first / block + 1) * element
    let span = (partRows.count - 1) * part.rowStride + to - from
    if isCopy, isOrdered, span == needed, pitch == to - from || rows.count == 1 {
      return try file.read(into: UnsafeMutableRawBufferPointer(start: out, count: span), at: start)
    }
    if span > Self.scratchBytes || span > max(2 * needed, Self.leastBytes) {
      if !file.isHere { throw CheckpointError(.unsupported, in: file.path, byte: start, "has rows that lie too far apart to be read while it arrives") }
      // In halves, cut where the file has the longer way, until what is between is worth reading.
      let step = max(block, region.dtype.blockElements)
      let cutsRows = rows.count > 1 && (columns.count <= step || (partRows.count - 1) * part.rowStride >= to - from)
      guard cutsRows || columns.count > step else { throw CheckpointError(.unsupported, in: file.path, byte: start, "has elements that lie too far apart") }
      let half = cutsRows ? rows.count / 2 : max(step, columns.count / 2 / step * step)
      if cutsRows {
        try read(source, region, rows.prefix(half), columns, into: out, pitch: pitch)
        try read(source, region, rows.dropFirst(half), columns, into: out + half * pitch, pitch: pitch)
      } else {
        try read(source, region, rows, columns.prefix(half), into: out, pitch: pitch)
        try read(source, region, rows, columns.dropFirst(half), into: out + region.dtype.byteCount(half), pitch: pitch)
      }
      return
    }
    try file.read(into: UnsafeMutableRawBufferPointer(rebasing: scratch.memory[..<span]), at: start)
    let base = UnsafeRawPointer(scratch.baseAddress)
    for (index, row) in rows.enumerated() {
      let at = base + (source.partRow(row) - partRows.lowerBound) * part.rowStride
      let to = out + index * pitch
      if isCopy {
        memcpy(to, at, region.dtype.byteCount(columns.count))
      } else if source.dtype == region.dtype, block == 1 {
        for column in 0..<columns.count { memcpy(to + column * element, at + column * part.columnStride, element) }
      } else {
        let isFinite = conversions[[source.dtype, region.dtype], default: RowConversion(from: source.dtype, to: region.dtype)].convert(
          at, first: first % block, columns: columns.count, columnStride: part.columnStride, into: to)
        guard isFinite else {
          throw CheckpointError(.refused, "\(region.name) has values too large for \(region.dtype.rawValue); keep \(source.dtype.rawValue), or choose bf16 or f32")
        }
      }
    }
  }

  private func span(_ rows: [Int]) -> Range<Int> { (rows.min() ?? 0)..<(rows.max() ?? 0) + 1 }
}

/// Memory that lives as long as this object.
final class Block: @unchecked Sendable {
  // Unchecked: who holds the block decides who touches it.
  let baseAddress: UnsafeMutableRawPointer
  let count: Int

  init(count: Int) {
    self.count = count
    baseAddress = UnsafeMutableRawPointer.allocate(byteCount: max(count, 1), alignment: 4096)
  }

  deinit { baseAddress.deallocate() }

  var memory: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(start: baseAddress, count: count) }
}
