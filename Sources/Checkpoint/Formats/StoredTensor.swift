import Integrity

/// A tensor as one file has it, before it is known how such pieces make a whole.
struct StoredTensor: Equatable {
  var dtype: DType
  /// One or two dimensions, none of them zero.
  var shape: [Int]
  /// Bytes from one index to the next, by dimension; for quantized types the last is from block to block.
  var strides: [Int]
  /// Index into the checkpoint's files.
  var file: Int
  /// Byte of the first element.
  var offset: Int
  /// Where its bytes are codes: `dtype` then is what they become.
  var coding: StoredCoding?
  /// Where it lies in pieces, which say of which rows and columns they are.
  var pieces: [LogicalTensor.Part]?
  /// Where the rows don't all follow each other: how many of them do, and where the next as many begin.
  var groups: RowGroups?

  struct RowGroups: Equatable {
    var rows: Int
    /// Bytes from the first row of a run to that of the next.
    var stride: Int
  }

  var rows: Int { shape.count > 1 ? shape[0] : 1 }
  var columns: Int { shape[shape.count - 1] }

  /// A tensor whose elements follow each other, rows first.
  ///
  /// - Returns: nil when a dimension is zero, there are none or more than two, the columns don't fill whole blocks, or the size overflows.
  init?(dtype: DType, shape: [Int], file: Int, offset: Int) {
    guard (1...2).contains(shape.count), shape.allSatisfy({ $0 > 0 }), let bytes = Self.byteCount(dtype, shape), let columns = shape.last else {
      return nil
    }
    let rows = shape.count > 1 ? shape[0] : 1
    let strides = shape.count > 1 ? [bytes / rows, dtype.blockBytes] : [dtype.blockBytes]
    self.init(dtype: dtype, shape: shape, strides: strides, file: file, offset: offset)
    guard columns % dtype.blockElements == 0 else { return nil }
  }

  /// Codes of one byte that follow each other, rows first; they become bfloat16.
  /// - Returns: nil as for any tensor.
  init?(codes shape: [Int], file: Int, offset: Int) {
    self.init(dtype: .bf16, shape: shape, file: file, offset: offset)
    for dimension in strides.indices { strides[dimension] /= dtype.blockBytes }
  }

  init(dtype: DType, shape: [Int], strides: [Int], file: Int, offset: Int) {
    self.dtype = dtype
    self.shape = shape
    self.strides = strides
    self.file = file
    self.offset = offset
  }

  /// The tensor as the parts of a whole that isn't cut.
  var parts: [LogicalTensor.Part] {
    if let pieces { return pieces }
    guard let groups else { return [part] }
    return (0..<rows / groups.rows).map { group in
      var part = part
      part.offset += group * groups.stride
      part.rows = group * groups.rows..<(group + 1) * groups.rows
      return part
    }
  }

  /// The tensor, whose rows all follow each other, as the only part of a whole.
  var part: LogicalTensor.Part {
    LogicalTensor.Part(
      file: file, offset: offset, rank: 0, rows: 0..<rows, columns: 0..<columns,
      rowStride: shape.count > 1 ? strides[0] : columns / dtype.blockElements * dtype.blockBytes, columnStride: strides[strides.count - 1],
      coding: coding)
  }

  /// A vector as the matrix of one column that a bias is.
  var asColumn: Self {
    guard shape.count == 1 else { return self }
    var column = self
    column.pieces = pieces?.map { piece in
      var piece = piece
      (piece.rows, piece.columns, piece.rowStride) = (piece.columns, 0..<1, piece.columnStride)
      return piece
    }
    (column.shape, column.strides) = ([shape[0], 1], [strides[0], dtype.blockBytes])
    return column
  }

  /// Bytes of a tensor without gaps; nil on overflow, or when its rows don't fill whole blocks.
  static func byteCount(_ dtype: DType, _ shape: [Int]) -> Int? {
    guard (shape.last ?? 1) % dtype.blockElements == 0 else { return nil }
    var elements = 1
    for dimension in shape {
      guard let value = product(elements, dimension) else { return nil }
      elements = value
    }
    return product(elements / dtype.blockElements, dtype.blockBytes)
  }
}
