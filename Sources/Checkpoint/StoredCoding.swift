import Integrity

/// How elements that are stored as codes of one byte become numbers: by scales that lie elsewhere, and by what a quantizer put beside them.
///
/// Source: `llama3/quantization/loader.py`, `quantize_impls.py` and `hadamard_utils.py` of Meta's llama-models.
public struct StoredCoding: Sendable, Equatable {
  public enum Code: Sendable, Equatable {
    case int8
    /// Four bits of exponent, three of mantissa, no infinity: torch's `float8_e4m3fn`.
    case float8
  }

  /// A small matrix in one of the checkpoint's files.
  public struct Table: Sendable, Equatable {
    var dtype: DType
    var file: Int
    /// Byte of its first element.
    var offset: Int
    var rows: Int
    var columns: Int
    /// In bytes.
    var rowStride: Int
    var columnStride: Int
  }

  public var code: Code
  /// A row for each of the codes' rows; each of its columns is for a group of theirs.
  public var scales: Table
  /// What is taken from codes before they are scaled; nil for nothing.
  public var zeros: Table?
  public var adaptor: Adaptor?
  /// Whether the numbers are those of a matrix whose input is turned by a Hadamard transform first (SpinQuant's R4): it is turned back here.
  public var isRotated = false

  /// A product of two thin matrices that is added to the numbers, as the reference adds its output (arXiv:2106.09685).
  public struct Adaptor: Sendable, Equatable {
    /// [rank, columns]
    var a: Table
    /// [rows, rank]
    var b: Table
    var scale: Double
  }
}

extension StoredCoding.Table {
  /// - Returns: nil for what isn't a matrix or a vector of plain numbers.
  init?(_ tensor: StoredTensor) {
    guard !tensor.dtype.isQuantized, tensor.coding == nil, tensor.groups == nil else { return nil }
    // A vector is a column here: one number for each row.
    let isVector = tensor.shape.count == 1
    self.init(
      dtype: tensor.dtype, file: tensor.file, offset: tensor.offset, rows: tensor.shape[0], columns: isVector ? 1 : tensor.shape[1], rowStride: tensor.strides[0],
      columnStride: isVector ? tensor.dtype.blockBytes : tensor.strides[1])
  }

  var part: LogicalTensor.Part {
    LogicalTensor.Part(file: file, offset: offset, rank: 0, rows: 0..<rows, columns: 0..<columns, rowStride: rowStride, columnStride: columnStride)
  }
}
