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
      guard let digest = node ?? joined(index, within: GridRegion(whole: grid, stored: grid.dtype)) else { return nil }
      hash.update(digest.bytes)
    }
    return hash.finalize()
  }

  /// The digests of another rectangle of the tensor, in the order of its nodes, as if it had been hashed by itself.
  /// - Returns: nil when something is missing, an edge cuts a leaf, or the leaves of a node that it cuts weren't kept (`NodeFolder.init`).
  public func digests(of region: GridRegion) -> [Digest]? {
    var digests: [Digest] = []
    for node in region.nodes {
      guard let digest = (region.holds(node) ? nodes[node] : nil) ?? joined(node, within: region) else { return nil }
      digests.append(digest)
    }
    return digests
  }

  private func joined(_ node: Int, within region: GridRegion) -> Digest? {
    let place = grid.node(node)
    let (rows, columns) = (place.rows.clamped(to: region.rows), place.columns.clamped(to: region.columns))
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
