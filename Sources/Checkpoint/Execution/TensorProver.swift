import Integrity
import Synchronization

/// Gathers what a tensor's chunks hash to, in whatever order they are done, to its fingerprint and to the digests of what each file holds of it.
final class TensorProver: Sendable {
  /// What came of a tensor.
  struct Outcome: Sendable {
    let name: TensorName
    let fingerprint: Digest
    /// By destination, in their order: `WeightProof.digests`.
    let digests: [[Digest]]
  }

  private struct State {
    /// By region.
    var folders: [NodeFolder]
    /// What can't be folded yet, since what lies above it is still under way: by first row.
    var waiting: [[Int: [(band: Range<Int>, digests: [UInt8])]]]
    var chunksLeft: Int
  }

  private let plan: TensorPlan
  private let grid: TensorGrid
  /// `TensorPlan.rectangles`.
  private let regions: [GridRegion]
  /// The rectangles of the destinations.
  private let destinations: [GridRegion]
  /// Whether every edge falls on leaves, so that leaves are hashed once for all regions.
  private let isOnGrid: Bool
  private let state: Mutex<State>

  init(_ plan: TensorPlan, chunks: Int, _ order: TensorPlan.Order) {
    self.plan = plan
    grid = plan.grid
    isOnGrid = plan.isOnGrid
    let destinations = plan.destinations.map { [grid] in
      GridRegion(grid, rows: $0.region.rows, columns: $0.region.columns, stored: plan.dtype)
    }
    self.destinations = destinations
    regions = plan.rectangles(order)
    let isOnGrid = isOnGrid
    let folders = regions.map { NodeFolder($0, others: isOnGrid ? destinations : []) }
    state = Mutex(State(folders: folders, waiting: .init(repeating: [:], count: regions.count), chunksLeft: chunks))
  }

  /// Hashes a chunk.
  /// - Parameters:
  ///   - bytes: the chunk, row by row without gaps, as it is written.
  ///   - leaves: the calling thread's.
  /// - Returns: what came of the tensor, with its last chunk.
  func prove(_ chunk: TensorPlan.Chunk, _ bytes: UnsafeRawBufferPointer, _ leaves: inout LeafHasher) -> Outcome? {
    if grid.dtype != plan.dtype {
      let wide = Widening.float32(bytes, from: plan.dtype)
      return wide.withUnsafeBytes { prove(chunk, wide: $0, &leaves) }
    }
    return prove(chunk, wide: bytes, &leaves)
  }

  private func prove(_ chunk: TensorPlan.Chunk, wide bytes: UnsafeRawBufferPointer, _ leaves: inout LeafHasher) -> Outcome? {
    guard let base = bytes.baseAddress else { return nil }
    let pitch = grid.dtype.byteCount(chunk.columns.count)
    let strips = grid.leafColumns(chunk.columns)
    let all = isOnGrid ? leaves.digests(grid, rows: chunk.rows, columns: chunk.columns, at: base, pitch: pitch) : []
    var folds: [(region: Int, bands: [(band: Range<Int>, digests: [UInt8])])] = []
    for (index, region) in regions.enumerated() {
      let (rows, columns) = (region.rows.clamped(to: chunk.rows), region.columns.clamped(to: chunk.columns))
      guard !rows.isEmpty, !columns.isEmpty else { continue }
      let own = isOnGrid ? [] : leaves.digests(
        grid, rows: rows, columns: columns,
        at: base + (rows.lowerBound - chunk.rows.lowerBound) * pitch + grid.dtype.byteCount(columns.lowerBound - chunk.columns.lowerBound), pitch: pitch)
      let ownStrips = grid.leafColumns(columns).count
      let firstStrip = isOnGrid ? (columns.lowerBound - chunk.columns.lowerBound) / grid.stripColumns : 0
      var bands: [(band: Range<Int>, digests: [UInt8])] = []
      var (row, number) = (isOnGrid ? chunk.rows.lowerBound : rows.lowerBound, 0)
      while row < rows.upperBound {
        let band = grid.band(at: row).clamped(to: isOnGrid ? chunk.rows : rows)
        if band.lowerBound >= rows.lowerBound {
          let at = isOnGrid ? number * strips.count + firstStrip : number * ownStrips
          bands.append((band, Array((isOnGrid ? all : own)[32 * at..<32 * (at + ownStrips)])))
        }
        (row, number) = (band.upperBound, number + 1)
      }
      folds.append((index, bands))
    }
    return state.withLock { state in
      for (region, bands) in folds {
        if let first = bands.first { state.waiting[region][first.band.lowerBound] = bands }
        while let next = state.waiting[region].removeValue(forKey: state.folders[region].nextRow) {
          for (band, digests) in next { state.folders[region].fold(band, digests[...]) }
        }
      }
      state.chunksLeft -= 1
      return state.chunksLeft == 0 ? outcome(state) : nil
    }
  }

  private func outcome(_ state: State) -> Outcome? {
    let digests = state.folders.map { $0.finalize() }
    var tree = TensorTree(grid)
    for region in digests { tree.add(region) }
    guard let fingerprint = tree.root() else { return nil }
    var own: [[Digest]] = []
    for destination in destinations {
      guard let known = digests.first(where: { $0.region == destination })?.digests ?? tree.digests(of: destination) else { return nil }
      own.append(known)
    }
    return Outcome(name: plan.tensor.name, fingerprint: fingerprint, digests: own)
  }
}
