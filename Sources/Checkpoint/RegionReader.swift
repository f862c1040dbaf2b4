import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// Fills a buffer with a part of a region. One for each thread: it has room of its own to read into.
struct RegionReader {
  private let files: [MappedFile]
  private let scratch = Block(count: Self.scratchBytes)
  private let resident: ResidentPages
  private var conversions: [[DType]: RowConversion] = [:]

  static let scratchBytes = 8 << 20

  init(files: [MappedFile], resident: ResidentPages) {
    self.files = files
    self.resident = resident
  }

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
    let isOrdered = source.sourceOrder == source.outputOrder

    let partRows = isOrdered ? source.partRow(rows.lowerBound)..<source.partRow(rows.upperBound - 1) + 1 : span(rows.map(source.partRow))
    let start = part.offset + partRows.lowerBound * part.rowStride + from
    let needed = rows.count * (to - from)
    let span = (partRows.count - 1) * part.rowStride + to - from
    if isCopy, isOrdered, span == needed, pitch == to - from || rows.count == 1 {
      return try file.read(into: UnsafeMutableRawBufferPointer(start: out, count: span), at: start)
    }
    // Sparse rows are cheaper through the map; anything else is read in one go.
    let base: UnsafeRawPointer
    let isMapped = span > Self.scratchBytes || span > 2 * needed
    if isMapped {
      // Its map has no weights.
      if file.isPartial { throw CheckpointError(.unsupported, in: file.path, byte: start, "has rows that lie too far apart to be read while it arrives") }
      guard let map = file.bytes.baseAddress else { return }
      base = map + start
    } else {
      try file.read(into: UnsafeMutableRawBufferPointer(rebasing: scratch.memory[..<span]), at: start)
      base = UnsafeRawPointer(scratch.baseAddress)
    }
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
    if isMapped { resident.didTouch(min(span, needed + rows.count * 4096), of: file) }
  }

  private func span(_ rows: [Int]) -> Range<Int> { (rows.min() ?? 0)..<(rows.max() ?? 0) + 1 }
}

/// Gives pages of maps back before too many of them count as resident.
final class ResidentPages: Sendable {
  private let files: [MappedFile]
  private let touched = Atomic(0)

  static let limit = 32 << 20

  init(files: [MappedFile]) { self.files = files }

  func didTouch(_ bytes: Int, of file: MappedFile) {
    let sum = touched.add(bytes, ordering: .relaxed)
    if sum.oldValue / Self.limit != sum.newValue / Self.limit { for file in files { file.releasePages() } }
  }
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
