import SystemPackage

/// What a receipt says of weights, checked: each by itself, and all of them against the fingerprints.
enum ReceiptWeights {
  typealias Contradiction = Receipt.Contradiction

  /// - Parameter length: bytes of the file.
  /// - Throws: where numbers can't be, or don't fit together.
  static func proof(_ weight: ReceiptDocument.Weight, in file: FilePath, of length: Int) throws(Contradiction) -> WeightProof {
    func failure(_ what: String) -> Contradiction { Contradiction("\(weight.tensor) in \(file) \(what)") }
    guard !weight.tensor.isEmpty else { throw Contradiction("a weight in \(file) has no name") }
    let shape = weight.shape
    // Whatever is computed of a shape stays below this.
    var size = max(weight.dtype.blockBytes, DType.f32.blockBytes)
    for dimension in shape {
      let product = size.multipliedReportingOverflow(by: dimension)
      guard dimension > 0, !product.overflow, product.partialValue < 1 << 60 else { throw failure("can't have the shape \(shape)") }
      size = product.partialValue
    }
    guard shape.count <= 2 else { throw failure("has \(shape.count) dimensions, and weights have two at most") }
    let block = weight.dtype.blockElements
    guard shape.count == 2 ? (shape[1] % block == 0) : block == 1 else { throw failure("can't have rows of \(weight.dtype.rawValue) blocks") }
    let grid = TensorGrid(dtype: weight.dtype, shape: shape, cut: weight.cut)
    guard let rows = range(weight.rows, within: grid.rows), let columns = range(weight.columns, within: grid.columns) else {
      throw failure("has rows \(weight.rows) and columns \(weight.columns), which don't lie in its shape \(shape)")
    }
    guard columns.lowerBound % block == 0, columns.upperBound % block == 0 else { throw failure("is cut within a block of \(weight.dtype.rawValue)") }
    if let headDim = weight.headDim {
      guard headDim > 0, headDim % 2 == 0, grid.rows % headDim == 0, rows.lowerBound % headDim == 0, rows.upperBound % headDim == 0 else {
        throw failure("can't have heads of \(headDim) rows")
      }
    }
    let proof = WeightProof(
      tensor: weight.tensor, dtype: weight.dtype, shape: shape, cut: weight.cut, rows: rows, columns: columns, offset: weight.offset,
      headDim: weight.headDim, digests: weight.digests)
    guard weight.offset >= 0, proof.byteCount <= length, weight.offset <= length - proof.byteCount else { throw failure("doesn't lie in the file's \(length) bytes") }
    let across = (columns.upperBound - 1) / grid.nodeColumns - columns.lowerBound / grid.nodeColumns + 1
    let down = (rows.upperBound - 1) / grid.nodeRows - rows.lowerBound / grid.nodeRows + 1
    guard weight.digests.count == across * down else { throw failure("has \(weight.digests.count) digests, and should have \(across * down)") }
    guard weight.digests.allSatisfy({ $0.algorithm == .sha256 }) else { throw failure("has a digest of the wrong length") }
    return proof
  }

  private static func range(_ edges: [Int], within count: Int) -> Range<Int>? {
    guard edges.count == 2, edges[0] >= 0, edges[0] < edges[1], edges[1] <= count else { return nil }
    return edges[0]..<edges[1]
  }

  /// Parts of one tensor must agree about it, and where all nodes are there, they must make its fingerprint.
  static func check(_ weights: [WeightProof], against fingerprint: CheckpointFingerprint?) throws(Contradiction) {
    for (name, parts) in Dictionary(grouping: weights, by: \.tensor) {
      let first = parts[0]
      let grid = first.grid
      var nodes: [Int: Digest] = [:]
      for part in parts {
        guard part.dtype == first.dtype, part.grid == grid else { throw Contradiction("parts of \(name) differ in dtype, shape or cut") }
        for (node, digest) in part.wholeNodes {
          guard nodes.updateValue(digest, forKey: node) ?? digest == digest else { throw Contradiction("copies of \(name) have different digests") }
        }
      }
      guard let fingerprint else { continue }
      guard let root = fingerprint.tensors[name] else { throw Contradiction("\(name) has no fingerprint") }
      guard nodes.count == grid.nodeCount else { continue }
      let digests = nodes.sorted { $0.key < $1.key }.flatMap(\.value.bytes)
      guard SHA256.hash(grid.header + digests) == root else { throw Contradiction("the fingerprint of \(name) is not that of its weights") }
    }
  }
}
