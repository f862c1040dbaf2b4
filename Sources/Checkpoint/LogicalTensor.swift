import Integrity

/// One whole tensor of a model, whatever number of pieces it lies in on disk.
public struct LogicalTensor: Sendable, Equatable {
  /// How the parts make the whole.
  public enum Split: Sendable, Equatable {
    /// Nobody cut it: each rank has all of it, or there is only one.
    case whole
    /// Rank r has the r-th run of rows (0; of Llama 4's `expertsW2` that of each expert's rows) or of columns (1).
    case axis(Int)
  }

  /// In which order the rows of a projection lie on disk.
  public enum RowOrder: Sendable, Equatable {
    /// Meta's: RoPE rotates neighbouring pairs of rows of a head.
    case pairs
    /// Hugging Face's: RoPE rotates the two halves of a head; Meta's row `2i + j` of a head is row `j * headDim/2 + i` here.
    case halves(headDim: Int)
  }

  /// One piece on disk: `whole[rows, columns]`.
  public struct Part: Sendable, Equatable {
    /// Index into `Checkpoint.files`.
    public var file: Int
    /// Byte in that file of the element at (`rows.lowerBound`, `columns.lowerBound`).
    public var offset: Int
    /// The rank whose shard this is; 0 in an unsplit checkpoint.
    public var rank: Int
    /// Rows of the whole that this part holds, in the order of the disk. A vector is one row.
    public var rows: Range<Int>
    /// Columns (elements) of the whole that this part holds.
    public var columns: Range<Int>
    /// Bytes from one row to the next.
    public var rowStride: Int
    /// Bytes from one element (for quantized types: one block) to the next.
    public var columnStride: Int
    /// Where its bytes are codes of numbers rather than numbers of the tensor's dtype.
    public var coding: StoredCoding?

    public init(
      file: Int, offset: Int, rank: Int, rows: Range<Int>, columns: Range<Int>, rowStride: Int, columnStride: Int, coding: StoredCoding? = nil
    ) {
      self.file = file
      self.offset = offset
      self.rank = rank
      self.rows = rows
      self.columns = columns
      self.rowStride = rowStride
      self.columnStride = columnStride
      self.coding = coding
    }
  }

  public var name: TensorName
  /// The whole shape, one or two dimensions, row-major. A bias is a matrix of one column; files have it as a vector.
  public var shape: [Int]
  public var dtype: DType
  public var split: Split
  public var rowOrder: RowOrder
  /// In the order of rank. Replicated pieces cover the same rows and columns.
  public var parts: [Part]
  /// Whether the parts were told from copies of each other by nothing but layer 0's first rows, so that those which are no copies must differ in theirs.
  public var firstRowsDiffer: Bool

  public init(
    name: TensorName, shape: [Int], dtype: DType, split: Split, rowOrder: RowOrder = .pairs, parts: [Part], firstRowsDiffer: Bool = false
  ) {
    self.name = name
    self.shape = shape
    self.dtype = dtype
    self.split = split
    self.rowOrder = rowOrder
    self.parts = parts
    self.firstRowsDiffer = firstRowsDiffer
  }

  /// The shape that files have it in.
  public var storedShape: [Int] { name.role.isBias ? [rows] : shape }

  /// Rows of the whole; 1 for a vector.
  public var rows: Int { shape.count > 1 ? shape[0] : 1 }
  /// Elements in a row.
  public var columns: Int { shape.last ?? 1 }
}
