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
    case region(OutputRegion)
  }

  /// Where the CRC-32 of `pieces`, which follow each other, goes.
  struct Checksum: Sendable {
    let at: Int
    let pieces: Range<Int>
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

  /// Appends all of another file.
  mutating func append(contentsOf other: OutputFile) {
    let first = pieces.count
    for piece in other.pieces {
      switch piece.content {
      case .bytes(let bytes, let checksums): append(bytes, checksums: checksums.map { Checksum(at: $0.at, pieces: first + $0.pieces.lowerBound..<first + $0.pieces.upperBound) })
      case .region(let region): append(region)
      }
    }
  }

  mutating func append(_ region: OutputRegion) { append(.region(region), count: region.byteCount) }

  private mutating func append(_ content: Content, count: Int) {
    pieces.append(Piece(offset: byteCount, byteCount: count, content: content))
    byteCount += count
  }
}

/// A rectangle of a tensor as a file holds it: row by row, without gaps.
struct OutputRegion: Sendable, Equatable {
  let tensor: TensorName
  /// What the format calls it.
  let name: String
  let dtype: DType
  /// Of the whole tensor, in Meta's order.
  let rows: Range<Int>
  let columns: Range<Int>
  /// Whether a reader sees one dimension.
  let isVector: Bool
  /// How its rows follow each other in the file.
  let order: LogicalTensor.RowOrder

  /// - Parameter name: nil for Meta's.
  init(
    of tensor: LogicalTensor, rows: Range<Int>, columns: Range<Int>, as dtype: DType, order: LogicalTensor.RowOrder = .pairs, name: String? = nil
  ) {
    self.tensor = tensor.name
    self.name = name ?? tensor.name.text
    self.dtype = dtype
    self.rows = rows
    self.columns = columns
    isVector = tensor.storedShape.count == 1
    self.order = order
  }

  /// All of a tensor.
  init(whole tensor: LogicalTensor, as dtype: DType, order: LogicalTensor.RowOrder = .pairs, name: String? = nil) {
    self.init(of: tensor, rows: 0..<tensor.rows, columns: 0..<tensor.columns, as: dtype, order: order, name: name)
  }

  /// A vector is one row, or one column.
  var shape: [Int] { isVector ? [rows.count * columns.count] : [rows.count, columns.count] }
  var rowBytes: Int { dtype.byteCount(columns.count) }
  var byteCount: Int { rows.count * rowBytes }
}

/// A tensor as a file holds it: a rectangle of a weight, or several, whose rows follow each other.
struct OutputTensor: Sendable, Equatable {
  let name: String
  /// As wide as each other, of one dtype.
  private(set) var regions: [OutputRegion]

  init(_ region: OutputRegion) { (name, regions) = (region.name, [region]) }

  /// - Parameter regions: one at least.
  /// - Throws: where they aren't of one dtype.
  init(name: String, _ regions: [OutputRegion]) throws(CheckpointError) {
    (self.name, self.regions) = (name, regions)
    if let other = regions.first(where: { $0.dtype != dtype }) {
      throw CheckpointError(
        .refused, "\(regions[0].tensor) would be \(dtype.rawValue) and \(other.tensor) \(other.dtype.rawValue), and both lie in \(name): ask for one dtype for the two")
    }
  }

  var dtype: DType { regions[0].dtype }
  var byteCount: Int { regions.reduce(0) { $0 + $1.byteCount } }
  var shape: [Int] { regions.count == 1 ? regions[0].shape : [regions.reduce(0) { $0 + $1.rows.count }, regions[0].columns.count] }
}
