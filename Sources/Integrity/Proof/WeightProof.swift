/// A rectangle of a tensor as it lies in a file, row by row without gaps, and the digests of the nodes in it.
///
/// A file that drover wrote is verified by such proofs. Where a rectangle covers whole nodes, their digests are those that the tensor's fingerprint is
/// made of; a node that the file's edge cuts has a digest for what this file has of it.
public struct WeightProof: Sendable, Equatable {
  /// Meta's name.
  public var tensor: String
  /// As stored.
  public var dtype: DType
  /// Of the whole tensor.
  public var shape: [Int]
  /// Ignored for vectors, as `TensorGrid` does.
  public var cut: TensorGrid.Cut
  /// Of the whole tensor, in Meta's order; of a vector 0..<1.
  public var rows: Range<Int>
  /// Elements of each row.
  public var columns: Range<Int>
  /// Byte of the file at which the first element lies.
  public var offset: Int
  /// Rows of a head, where each head's rows lie in halves (Hugging Face's wq and wk); nil where they lie in Meta's order.
  public var headDim: Int?
  /// One for each node of the grid that the rectangle touches, row-major: SHA-256 over the digests of the node's leaves, or of what the rectangle has of
  /// them, band by band and within a band from left to right.
  public var digests: [Digest]

  public init(
    tensor: String, dtype: DType, shape: [Int], cut: TensorGrid.Cut, rows: Range<Int>, columns: Range<Int>, offset: Int, headDim: Int? = nil,
    digests: [Digest] = []
  ) {
    (self.tensor, self.dtype, self.shape, self.cut) = (tensor, dtype, shape, cut)
    (self.rows, self.columns, self.offset, self.headDim, self.digests) = (rows, columns, offset, headDim, digests)
  }

  public var grid: TensorGrid { TensorGrid(dtype: dtype, shape: shape, cut: cut) }

  /// Bytes of the rectangle in the file.
  public var byteCount: Int { rows.count * rowBytes }

  /// Bytes of one of its rows in the file.
  public var rowBytes: Int { dtype.byteCount(columns.count) }

  /// Where it lies in the file.
  public var bytes: Range<Int> { offset..<offset + byteCount }

  /// The rectangle as it is hashed.
  public var region: GridRegion { GridRegion(grid, rows: rows, columns: columns, stored: dtype) }

  /// What the rectangle has of each node that it touches, in the order of `digests`.
  public var pieces: [(node: Int, rows: Range<Int>, columns: Range<Int>)] {
    let region = region
    return region.nodes.map { index in
      let node = region.grid.node(index)
      return (index, node.rows.clamped(to: rows), node.columns.clamped(to: columns))
    }
  }

  /// The digests of the nodes that the rectangle covers wholly, by the node's index: leaves of the tensor's fingerprint.
  public var wholeNodes: [Int: Digest] {
    let region = region
    var whole: [Int: Digest] = [:]
    for (node, digest) in zip(region.nodes, digests) where region.holds(node) { whole[node] = digest }
    return whole
  }
}
