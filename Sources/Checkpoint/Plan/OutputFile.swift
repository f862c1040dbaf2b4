import Integrity

/// A file that a plan writes: pieces, one after the other, without gaps.
public struct OutputFile: Sendable {
  /// Relative to the output folder.
  public let name: String
  public private(set) var pieces: [Piece] = []
  public private(set) var byteCount = 0
  /// Whether pieces ask for the CRC-32 of others, as zip does.
  private(set) var needsChecksums = false

  public struct Piece: Sendable {
    public let offset: Int
    public let byteCount: Int
    let content: Content
  }

  enum Content: Sendable {
    /// Bytes that are known now, but for the CRC-32 (little-endian) of earlier pieces that go into them.
    case bytes([UInt8], checksums: [Checksum])
    case tensor(TensorRegion)
  }

  /// Where the CRC-32 of piece `piece` goes.
  struct Checksum: Sendable {
    let at: Int
    let piece: Int
  }

  init(name: String) { self.name = name }

  init(name: String, content: [UInt8]) {
    self.name = name
    append(content)
  }

  mutating func append(_ bytes: [UInt8], checksums: [Checksum] = []) {
    guard !bytes.isEmpty else { return }
    append(.bytes(bytes, checksums: checksums), count: bytes.count)
    if !checksums.isEmpty { needsChecksums = true }
  }

  mutating func append(_ region: TensorRegion) { append(.tensor(region), count: region.byteCount) }

  private mutating func append(_ content: Content, count: Int) {
    pieces.append(Piece(offset: byteCount, byteCount: count, content: content))
    byteCount += count
  }
}

/// A matrix to be written, rows first and without gaps, and where its elements come from.
struct TensorRegion: Sendable {
  let name: String
  /// As it is written.
  let dtype: DType
  let rows: Int
  let columns: Int
  /// Whether a reader sees one dimension.
  let isVector: Bool
  /// Rectangles that cover the region, each element once.
  let sources: [Source]

  var shape: [Int] { isVector ? [columns] : [rows, columns] }
  var rowBytes: Int { dtype.byteCount(columns) }
  var byteCount: Int { rows * rowBytes }

  /// A part of the region that follows what comes before it without a gap.
  struct Window: Sendable {
    let rows: Range<Int>
    let columns: Range<Int>
    /// Bytes from the region's start.
    let offset: Int
    let byteCount: Int
  }

  /// Window `index` of those of at most `limit` bytes, whole rows where they fit; nil beyond the last.
  func window(_ index: Int, limit: Int) -> Window? {
    let rows: Range<Int>
    let columns: Range<Int>
    if rowBytes <= limit {
      let step = limit / rowBytes
      guard index * step < self.rows else { return nil }
      rows = index * step..<min(self.rows, (index + 1) * step)
      columns = 0..<self.columns
    } else {
      let step = limit / dtype.blockBytes * dtype.blockElements
      let perRow = (self.columns + step - 1) / step
      guard index < self.rows * perRow else { return nil }
      rows = index / perRow..<index / perRow + 1
      columns = index % perRow * step..<min(self.columns, (index % perRow + 1) * step)
    }
    return Window(
      rows: rows, columns: columns, offset: rows.lowerBound * rowBytes + dtype.byteCount(columns.lowerBound),
      byteCount: rows.count * dtype.byteCount(columns.count))
  }

  /// A rectangle of the region, and where in a source file its elements lie.
  struct Source: Sendable {
    /// In the region.
    let rows: Range<Int>
    let columns: Range<Int>
    let part: LogicalTensor.Part
    let dtype: DType
    /// Row and column of the whole tensor that the region's first element is.
    let firstRow: Int
    let firstColumn: Int
    /// How rows are ordered in the source and in the output.
    let sourceOrder: LogicalTensor.RowOrder
    let outputOrder: LogicalTensor.RowOrder

    /// Which row of the part the region's row `row` is.
    func partRow(_ row: Int) -> Int {
      let whole = firstRow + row
      guard sourceOrder != outputOrder else { return whole - part.rows.lowerBound }
      return sourceOrder.diskRow(outputOrder.metaRow(whole)) - part.rows.lowerBound
    }

    /// Which element of a row of the part the region's column `column` is.
    func partColumn(_ column: Int) -> Int { firstColumn + column - part.columns.lowerBound }
  }

  /// - Parameters:
  ///   - order: how rows are ordered in the output.
  ///   - name: in the output; nil for Meta's.
  /// - Throws: when the tensor's parts don't cover the region, each element once.
  init(
    of tensor: LogicalTensor, rows: Range<Int>, columns: Range<Int>, as dtype: DType,
    order: LogicalTensor.RowOrder = .pairs, name: String? = nil
  ) throws(CheckpointError) {
    var sources: [Source] = []
    var seen: [LogicalTensor.Part] = []
    var covered = 0
    for part in tensor.parts where !seen.contains(where: { $0.rows == part.rows && $0.columns == part.columns }) {
      seen.append(part)
      let commonRows = part.rows.clamped(to: rows)
      let commonColumns = part.columns.clamped(to: columns)
      guard !commonRows.isEmpty, !commonColumns.isEmpty else { continue }
      sources.append(
        Source(
          rows: commonRows.lowerBound - rows.lowerBound..<commonRows.upperBound - rows.lowerBound,
          columns: commonColumns.lowerBound - columns.lowerBound..<commonColumns.upperBound - columns.lowerBound, part: part,
          dtype: tensor.dtype, firstRow: rows.lowerBound, firstColumn: columns.lowerBound, sourceOrder: tensor.rowOrder, outputOrder: order))
      covered += commonRows.count * commonColumns.count
    }
    for (index, a) in sources.enumerated() {
      for b in sources[..<index] where a.rows.overlaps(b.rows) && a.columns.overlaps(b.columns) {
        throw CheckpointError(.corrupt, "\(tensor.name) has parts that overlap: rows \(a.part.rows) and \(b.part.rows)")
      }
    }
    guard covered == rows.count * columns.count else {
      throw CheckpointError(.corrupt, "\(tensor.name) has parts that leave out \(rows.count * columns.count - covered) elements")
    }
    self.name = name ?? tensor.name.text
    self.dtype = dtype
    self.rows = rows.count
    self.columns = columns.count
    isVector = tensor.shape.count == 1
    self.sources = sources
  }
}

extension LogicalTensor.RowOrder {
  /// Where Meta's row `row` lies in this order.
  func diskRow(_ row: Int) -> Int {
    guard case .halves(let headDim) = self else { return row }
    let (head, within) = row.quotientAndRemainder(dividingBy: headDim)
    return head * headDim + within % 2 * (headDim / 2) + within / 2
  }

  /// Which of Meta's rows lies at `row` in this order.
  func metaRow(_ row: Int) -> Int {
    guard case .halves(let headDim) = self else { return row }
    let (head, within) = row.quotientAndRemainder(dividingBy: headDim)
    return head * headDim + within % (headDim / 2) * 2 + within / (headDim / 2)
  }
}
