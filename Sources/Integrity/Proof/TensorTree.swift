/// Joins what regions of a tensor hash to, in any order, to the tensor's fingerprint.
public struct TensorTree: Sendable {
  public let grid: TensorGrid
  private var nodes: [Digest?]
  /// Of nodes that no region holds wholly.
  private var leaves: [RegionDigests.Leaf: [UInt8]] = [:]

  public init(_ grid: TensorGrid) {
    self.grid = grid
    nodes = [Digest?](repeating: nil, count: grid.nodeCount)
  }

  /// Takes a region of the tensor. Regions may overlap: replicas that were compared say the same.
  public mutating func add(_ region: RegionDigests) {
    precondition(region.region.grid == grid)
    for (node, digest) in zip(region.region.nodes, region.digests) where region.region.holds(node) { nodes[node] = digest }
    leaves.merge(region.leaves) { first, _ in first }
  }

  /// Takes a node that is known otherwise, such as out of a receipt.
  public mutating func add(node: Int, _ digest: Digest) { nodes[node] = digest }

  /// The tensor's fingerprint.
  /// - Returns: nil when something is missing, or an edge of a region cut a leaf.
  public func root() -> Digest? {
    var hash = SHA256()
    hash.update(grid.header)
    for (index, node) in nodes.enumerated() {
      guard let digest = node ?? joined(index) else { return nil }
      hash.update(digest.bytes)
    }
    return hash.finalize()
  }

  private func joined(_ node: Int) -> Digest? {
    let (rows, columns) = grid.node(node)
    var hash = SHA256()
    var row = rows.lowerBound
    while row < rows.upperBound {
      for column in stride(from: columns.lowerBound, to: columns.upperBound, by: grid.stripColumns) {
        guard let leaf = leaves[.init(row: row, column: column)] else { return nil }
        hash.update(leaf)
      }
      row = grid.band(at: row).upperBound
    }
    return hash.finalize()
  }
}
