/// How a tensor is cut so that its fingerprint can be computed in pieces: by each shard alone, in any order, on any core.
///
/// ## Definition
///
/// The fingerprint of a tensor is a tree of SHA-256 over its bytes: those of the whole tensor, all ranks' parts together, row-major, little-endian,
/// without padding, in Meta's order (a head's rows of `wq` and `wk` in pairs for RoPE; Hugging Face's row `j * headDim/2 + i` of a head is row `2i + j`
/// here). Quantized rows are ggml's blocks as they lie. A vector is one row, and is widened to float32 first, because GGUF files hold vectors so
/// whatever the matrices are; widening is exact. (Vectors in float64 stay what they are.)
///
/// The grid follows from dtype, shape and the axes along which model parallelism cuts a tensor of that name: rows, columns, both (the embedding,
/// which Llama 2 cuts by columns and Llama 3 by rows) or neither.
///
/// - **Strips.** An axis that is cut has the most of 128, 64, 32, 16, 8, 4, 2, 1 equal strips that have 64 elements at least and consist of whole
///   quantized blocks. Rows that can't even be halved have strips of 512, the last one shorter. An axis that isn't cut is one strip.
/// - **Bands.** Each strip of rows is cut into runs of as many whole rows as fit into 16 KiB, or into 512 KiB where there are several strips of columns;
///   one at least. (So sixteen leaves, which a processor hashes side by side, fit into a core's cache.)
/// - **Leaves.** A leaf is a band within one strip of columns; its digest is the SHA-256 of its bytes, row by row.
/// - **Nodes.** Along an axis that is cut the strips are joined in 16 equal runs (fewer, where there are fewer strips; as many as there are strips of
///   512). While a node is larger than 16 MiB and has several strips, there are twice as many; not so for the embedding. A node's digest is the SHA-256 of its leaves' digests,
///   band by band and within a band from left to right.
/// - **Root.** The fingerprint is the SHA-256 of the line `DTYPE SHAPE CUT\n` in ASCII, such as `bf16 4096x11008 columns`, and of the nodes' digests,
///   row-major.
///
/// So no edge of a shard of any release falls into a leaf, and hardly one into a node. What is cut elsewhere has the same fingerprint; it only
/// has to be read across the parts' edges.
public struct TensorGrid: Sendable, Equatable {
  /// Along which axes model parallelism cuts.
  public enum Cut: String, Sendable, Codable {
    case rows, columns, both
    case whole
  }

  /// Of the bytes that are hashed: f32 for vectors, but for those in f64.
  public let dtype: DType
  public let shape: [Int]
  public let cut: Cut
  /// 1 for a vector.
  public let rows: Int
  public let columns: Int
  /// Rows in a band, at most.
  public let bandRows: Int
  /// Rows of a strip: bands begin anew with each.
  public let stripRows: Int
  /// Columns of a leaf.
  public let stripColumns: Int
  /// The rectangle that a node covers, but for a last one that is shorter.
  public let nodeRows: Int
  public let nodeColumns: Int

  /// Where columns are cut.
  static let bandBytes = 512 << 10
  /// Where they aren't.
  static let wholeBandBytes = 16 << 10
  static let nodeBytes = 16 << 20
  static let leastStrip = 64
  static let unevenStrip = 512

  /// - Parameters:
  ///   - shape: of the whole tensor; the columns are whole blocks of `dtype`.
  ///   - cut: ignored for vectors, which are never cut.
  public init(dtype: DType, shape: [Int], cut: Cut) {
    let isVector = shape.count < 2
    self.dtype = isVector && dtype != .f64 ? .f32 : dtype
    self.shape = shape
    self.cut = isVector ? .whole : cut
    let (rows, columns) = (isVector ? 1 : shape[0], shape.last ?? 1)
    (self.rows, self.columns) = (rows, columns)
    let rowBytes = max(1, self.dtype.byteCount(columns))
    let cutsRows = self.cut == .rows || self.cut == .both
    let cutsColumns = self.cut == .columns || self.cut == .both
    let (rowStrips, columnStrips) = (cutsRows ? Self.strips(rows, block: 1) : 1, cutsColumns ? Self.strips(columns, block: dtype.blockElements) : 1)
    bandRows = max(1, (columnStrips > 1 ? Self.bandBytes : Self.wholeBandBytes) / rowBytes)
    let isUneven = cutsRows && rowStrips == 1 && rows > Self.unevenStrip
    stripRows = isUneven ? Self.unevenStrip : max(1, rows / rowStrips)
    stripColumns = max(1, columns / columnStrips)
    var (rowNodes, columnNodes) = (min(16, rowStrips), min(16, columnStrips))
    if self.cut == .rows, !isUneven {
      while rowNodes < rowStrips, rows / rowNodes * rowBytes > Self.nodeBytes { rowNodes *= 2 }
    } else if self.cut == .columns {
      while columnNodes < columnStrips, rowBytes / columnNodes * rows > Self.nodeBytes { columnNodes *= 2 }
    }
    nodeRows = isUneven ? Self.unevenStrip : max(1, rows / rowNodes)
    nodeColumns = max(1, columns / columnNodes)
  }

  private static func strips(_ length: Int, block: Int) -> Int {
    var count = 128
    while count > 1, length % (count * block) != 0 || length / count < leastStrip { count /= 2 }
    return count
  }

  /// Nodes beside and below each other.
  var nodesPerRow: Int { columns / nodeColumns }
  public var nodeCount: Int { (rows + nodeRows - 1) / nodeRows * nodesPerRow }
  var rowBytes: Int { dtype.byteCount(columns) }

  /// The band that `row` lies in.
  public func band(at row: Int) -> Range<Int> {
    let strip = row / stripRows * stripRows
    let start = strip + (row - strip) / bandRows * bandRows
    return start..<min(start + bandRows, strip + stripRows, rows)
  }

  /// The columns of each leaf that `columns` touches, clamped to them.
  public func leafColumns(_ columns: Range<Int>) -> [Range<Int>] {
    (columns.lowerBound / stripColumns..<(columns.upperBound + stripColumns - 1) / stripColumns).map {
      ($0 * stripColumns..<($0 + 1) * stripColumns).clamped(to: columns)
    }
  }

  /// Whether a rectangle's edges lie on edges of leaves.
  public func fallsOnLeaves(rows: Range<Int>, columns: Range<Int>) -> Bool {
    func isEdge(_ row: Int) -> Bool { row == self.rows || band(at: row).lowerBound == row }
    return isEdge(rows.lowerBound) && isEdge(rows.upperBound) && columns.lowerBound % stripColumns == 0 && columns.upperBound % stripColumns == 0
  }

  /// What the root's hash begins with.
  var header: [UInt8] { Array("\(dtype.rawValue) \(shape.map(String.init).joined(separator: "x")) \(cut.rawValue)\n".utf8) }

  /// The rows and columns of node `index`.
  public func node(_ index: Int) -> (rows: Range<Int>, columns: Range<Int>) {
    let (row, column) = (index / nodesPerRow * nodeRows, index % nodesPerRow * nodeColumns)
    return (row..<min(row + nodeRows, rows), column..<column + nodeColumns)
  }
}
