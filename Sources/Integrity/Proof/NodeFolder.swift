/// Joins the digests of a region's leaves, band by band, to the digests of its nodes.
public struct NodeFolder: Sendable {
  /// What is needed to go on: small, since what is finished is 32 bytes a node.
  public struct State: Sendable, Equatable {
    /// First row that wasn't folded.
    public var nextRow: Int
    /// Of the nodes that are done, in the order of `GridRegion.nodes`, 32 bytes each.
    public var done: [UInt8]
    /// Of those in the row of nodes begun, SHA-256 states.
    public var open: [[UInt8]]
    /// Of nodes that the region cuts: the digests of their leaves, see `RegionDigests.leaves`.
    public var leaves: [RegionDigests.Leaf: [UInt8]]

    public init(nextRow: Int, done: [UInt8], open: [[UInt8]], leaves: [RegionDigests.Leaf: [UInt8]]) {
      (self.nextRow, self.done, self.open, self.leaves) = (nextRow, done, open, leaves)
    }
  }

  let region: GridRegion
  public private(set) var nextRow: Int
  private var done: [UInt8] = []
  private var open: [SHA256]
  private var leaves: [RegionDigests.Leaf: [UInt8]] = [:]
  private let strips: [Range<Int>]
  /// By node column: how many strips of the region lie in it, and whether they are all of the node's.
  private let runs: [(strips: Range<Int>, isWhole: Bool)]
  /// Rectangles whose digests somebody will ask for besides: of nodes that their edges cut the leaves are kept too.
  private let others: [GridRegion]

  /// - Parameter others: see `TensorTree.digests(of:)`.
  public init(_ region: GridRegion, others: [GridRegion] = []) {
    self.region = region
    self.others = others.filter { $0 != region }
    nextRow = region.rows.lowerBound
    let grid = region.grid
    strips = grid.leafColumns(region.columns)
    var runs: [(strips: Range<Int>, isWhole: Bool)] = []
    var first = 0
    while first < strips.count {
      let node = strips[first].lowerBound / grid.nodeColumns
      let end = strips[first...].firstIndex { $0.lowerBound / grid.nodeColumns != node } ?? strips.count
      runs.append((first..<end, strips[first].lowerBound == node * grid.nodeColumns && strips[end - 1].upperBound == (node + 1) * grid.nodeColumns))
      first = end
    }
    self.runs = runs
    open = runs.map { _ in SHA256() }
  }

  /// Takes the digests of the leaves in the band that follows, 32 bytes each, from left to right.
  /// - Parameter band: its rows, clamped to the region's.
  public mutating func fold(_ band: Range<Int>, _ digests: ArraySlice<UInt8>) {
    precondition(band.lowerBound == nextRow && digests.count == 32 * strips.count)
    let grid = region.grid
    let nodeRow = band.lowerBound / grid.nodeRows
    let nodeEnd = min((nodeRow + 1) * grid.nodeRows, grid.rows)
    let hasAllRows = nodeRow * grid.nodeRows >= region.rows.lowerBound && nodeEnd <= region.rows.upperBound
    let isWholeBand = grid.band(at: band.lowerBound) == band
    for (index, run) in runs.enumerated() {
      let slice = digests[(digests.startIndex + 32 * run.strips.lowerBound)..<(digests.startIndex + 32 * run.strips.upperBound)]
      slice.withUnsafeBytes { open[index].update($0) }
      guard isWholeBand else { continue }
      let node = nodeRow * grid.nodesPerRow + strips[run.strips.lowerBound].lowerBound / grid.nodeColumns
      if run.isWhole, hasAllRows, others.allSatisfy({ $0.holds(node) || !$0.touches(node) }) { continue }
      for strip in run.strips where strips[strip].lowerBound % grid.stripColumns == 0 && strips[strip].count == grid.stripColumns {
        let at = digests.startIndex + 32 * strip
        leaves[.init(row: band.lowerBound, column: strips[strip].lowerBound)] = Array(digests[at..<at + 32])
      }
    }
    nextRow = band.upperBound
    guard nextRow == min(nodeEnd, region.rows.upperBound) else { return }
    for index in open.indices {
      done += open[index].finalize().bytes
      open[index] = SHA256()
    }
  }

  var isComplete: Bool { nextRow == region.rows.upperBound }

  public func finalize() -> RegionDigests {
    precondition(isComplete)
    return RegionDigests(region: region, digests: stride(from: 0, to: done.count, by: 32).map { Digest(.sha256, bytes: Array(done[$0..<$0 + 32])) }, leaves: leaves)
  }

  public var state: State {
    let isAtEdge = nextRow == region.rows.upperBound || nextRow % region.grid.nodeRows == 0
    return State(nextRow: nextRow, done: done, open: isAtEdge ? [] : open.map(\.state), leaves: leaves)
  }

  /// - Returns: nil when `state` isn't one of this region's.
  public init?(_ region: GridRegion, others: [GridRegion] = [], _ state: State) {
    self.init(region, others: others)
    guard region.rows.contains(state.nextRow) || state.nextRow == region.rows.upperBound, state.leaves.values.allSatisfy({ $0.count == 32 }) else { return nil }
    let isAtEdge = state.nextRow == region.rows.upperBound || state.nextRow % region.grid.nodeRows == 0
    let begun = state.nextRow == region.rows.lowerBound
    let finished = state.nextRow == region.rows.upperBound
    let nodeRowsDone = finished
      ? (region.rows.upperBound - 1) / region.grid.nodeRows - region.rows.lowerBound / region.grid.nodeRows + 1
      : state.nextRow / region.grid.nodeRows - region.rows.lowerBound / region.grid.nodeRows
    guard state.done.count == 32 * runs.count * nodeRowsDone, state.open.count == (isAtEdge ? 0 : runs.count) else { return nil }
    if !begun, !finished, region.grid.band(at: state.nextRow).lowerBound != state.nextRow { return nil }
    for (index, saved) in state.open.enumerated() {
      guard let hash = SHA256(state: saved) else { return nil }
      open[index] = hash
    }
    (nextRow, done, leaves) = (state.nextRow, state.done, state.leaves)
  }
}

/// What a region's hash comes to.
public struct RegionDigests: Sendable, Equatable {
  /// A leaf, by its first row and column.
  public struct Leaf: Sendable, Hashable {
    public var row: Int
    public var column: Int

    public init(row: Int, column: Int) { (self.row, self.column) = (row, column) }
  }

  public let region: GridRegion
  /// In the order of `region.nodes`: of a node that the region holds wholly, its digest; else that of what the region has of it.
  public let digests: [Digest]
  /// Of nodes that the region cuts: the digests, 32 bytes each, of the leaves that it holds wholly.
  public let leaves: [Leaf: [UInt8]]

  public init(region: GridRegion, digests: [Digest], leaves: [Leaf: [UInt8]]) {
    (self.region, self.digests, self.leaves) = (region, digests, leaves)
  }
}
