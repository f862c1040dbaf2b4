import Integrity
import Synchronization

/// What is done of a tensor: gathers what its chunks hash to, in whatever order they are done, to its fingerprint and to the digests of what each file holds
/// of it; and says at any time how far each of its units is, so that another run can go on.
final class TensorProgress: Sendable {
  /// What came of a tensor.
  struct Outcome: Sendable {
    let name: TensorName
    let fingerprint: Digest
    /// By destination, in their order: `WeightProof.digests`.
    let digests: [[Digest]]
  }

  /// What came of a chunk.
  struct Result: Sendable {
    fileprivate var folds: [(region: Int, bands: [(band: Range<Int>, digests: [UInt8])])] = []
    var sums: [PlanProgress.PieceSum] = []
    var buffers: [PlanProgress.Buffer] = []
    var overflows = 0
    /// SHA-256 of the chunk as each of its copies has it.
    var copy: Digest?
    /// That of the first row of its part.
    var firstRow: Digest?
  }

  private struct UnitState {
    /// What is done of it, without `folders`.
    var done: PlanProgress.Unit
    /// By region of the unit.
    var folders: [NodeFolder]
    /// Chunks that are done before one that comes before them.
    var waiting: [Int: Result] = [:]
    /// Chunks whose copies are left to compare.
    var comparisons: Int
  }

  private struct State {
    var units: [UnitState]
    /// Units that aren't done.
    var left: Int
  }

  let plan: TensorPlan
  let units: [TensorPlan.Unit]
  private let grid: TensorGrid
  /// `TensorPlan.rectangles`.
  private let regions: [GridRegion]
  /// The rectangles of the destinations.
  private let destinations: [GridRegion]
  /// Whether every edge falls on leaves, so that leaves are hashed once for all regions.
  private let isOnGrid: Bool
  private let proves: Bool
  private let state: Mutex<State>

  /// - Parameters:
  ///   - proves: whether it is a weight, and hashed.
  ///   - earlier: what was done before; what doesn't fit the plan is as if it weren't.
  init(_ plan: TensorPlan, _ order: TensorPlan.Order, proves: Bool, after earlier: [PlanProgress.Unit] = []) {
    self.plan = plan
    grid = plan.grid
    let (isOnGrid, units) = (plan.isOnGrid, plan.units(order))
    (self.isOnGrid, self.units) = (isOnGrid, units)
    let destinations = plan.destinations.map { [grid] in
      GridRegion(grid, rows: $0.region.rows, columns: $0.region.columns, stored: plan.dtype)
    }
    self.destinations = destinations
    let proves = proves && !plan.tensor.name.role.isBuffer
    self.proves = proves
    let regions = proves ? plan.rectangles(order) : []
    self.regions = regions
    let others = isOnGrid ? destinations : []
    let before = Dictionary(earlier.map { ($0.unit, $0) }) { first, _ in first }
    let states = units.enumerated().map { number, unit in
      let own = unit.source.map { proves ? [regions[$0]] : [] } ?? regions
      let fresh = UnitState(
        done: .init(tensor: plan.tensor.name.text, unit: number, chunks: 0), folders: own.map { NodeFolder($0, others: others) }, comparisons: 0)
      guard let done = before[number], (0...unit.chunks.count).contains(done.chunks), done.folders.count == own.count else { return fresh }
      let folders = zip(own, done.folders).compactMap { NodeFolder($0, others: others, $1) }
      let row = done.chunks > 0 ? unit.chunks[done.chunks - 1].rows.upperBound : unit.chunks.first?.rows.lowerBound
      guard folders.count == own.count, unit.source == nil || folders.allSatisfy({ $0.nextRow == row }), done.copies.count == (unit.hasCopies ? done.chunks : 0)
      else { return fresh }
      return UnitState(done: done, folders: folders, comparisons: done.unseen.isEmpty ? 0 : done.chunks)
    }
    state = Mutex(State(units: states, left: zip(states, units).count { !Self.isDone($0, of: $1) }))
  }

  private static func isDone(_ state: UnitState, of unit: TensorPlan.Unit) -> Bool { state.done.chunks == unit.chunks.count && state.comparisons == 0 }

  /// Whether nothing is left to do of it.
  var isDone: Bool { state.withLock { $0.left == 0 } }

  /// How far its units are that were begun. All that they say is written.
  var done: [PlanProgress.Unit] {
    state.withLock { state in
      state.units.compactMap { unit -> PlanProgress.Unit? in
        guard unit.done.chunks > 0 else { return nil }
        var done = unit.done
        done.folders = unit.folders.map(\.state)
        return done
      }
    }
  }

  /// What is left to do.
  var work: [TensorPlan.Work] { plan.work(units, done) }

  /// What chunks' copies must hash to.
  func copy(of work: TensorPlan.Work) -> Digest? {
    state.withLock { state in
      let copies = state.units[work.unit].done.copies
      return copies.indices.contains(work.index) ? copies[work.index] : nil
    }
  }

  // MARK: Hashing

  /// Hashes a chunk.
  /// - Parameters:
  ///   - bytes: the chunk, row by row without gaps, as it is written.
  ///   - leaves: the calling thread's.
  func hash(_ chunk: TensorPlan.Chunk, _ bytes: UnsafeRawBufferPointer, _ leaves: inout LeafHasher, into result: inout Result) {
    guard proves else { return }
    if grid.dtype != plan.dtype {
      let wide = Widening.float32(bytes, from: plan.dtype)
      wide.withUnsafeBytes { hash(chunk, wide: $0, &leaves, into: &result) }
    } else {
      hash(chunk, wide: bytes, &leaves, into: &result)
    }
  }

  private func hash(_ chunk: TensorPlan.Chunk, wide bytes: UnsafeRawBufferPointer, _ leaves: inout LeafHasher, into result: inout Result) {
    guard let base = bytes.baseAddress else { return }
    let pitch = grid.dtype.byteCount(chunk.columns.count)
    let strips = grid.leafColumns(chunk.columns)
    let all = isOnGrid ? leaves.digests(grid, rows: chunk.rows, columns: chunk.columns, at: base, pitch: pitch) : []
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
      result.folds.append((index, bands))
    }
  }

  // MARK: Taking account

  /// Takes account of a chunk that was written.
  /// - Returns: whether nothing is left to do of the tensor now.
  func finish(_ work: TensorPlan.Work, _ result: Result) -> Bool {
    state.withLock { state in
      let unit = work.unit
      state.units[unit].waiting[work.index] = result
      while let next = state.units[unit].waiting.removeValue(forKey: state.units[unit].done.chunks) { take(next, &state.units[unit], units[unit]) }
      return countDown(unit, &state)
    }
  }

  /// Takes account of a chunk whose copies, in files that hadn't been seen, are what was written.
  func compared(_ work: TensorPlan.Work) -> Bool {
    state.withLock { state in
      state.units[work.unit].comparisons -= 1
      if state.units[work.unit].comparisons == 0 { state.units[work.unit].done.unseen = [] }
      return countDown(work.unit, &state)
    }
  }

  private func countDown(_ unit: Int, _ state: inout State) -> Bool {
    guard Self.isDone(state.units[unit], of: units[unit]) else { return false }
    state.left -= 1
    return state.left == 0
  }

  private func take(_ result: Result, _ state: inout UnitState, _ unit: TensorPlan.Unit) {
    for (region, bands) in result.folds {
      let place = unit.source == nil ? region : 0
      for (band, digests) in bands { state.folders[place].fold(band, digests[...]) }
    }
    for sum in result.sums {
      if let index = state.done.sums.firstIndex(where: { $0.file == sum.file && $0.piece == sum.piece }) {
        state.done.sums[index].sum ^= sum.sum
      } else {
        state.done.sums.append(sum)
      }
    }
    state.done.buffers += result.buffers
    state.done.overflows += result.overflows
    if let copy = result.copy { state.done.copies.append(copy) }
    if let firstRow = result.firstRow { state.done.firstRow = firstRow }
    state.done.chunks += 1
  }

  /// What came of the tensor, when all of it is done; nil where nothing is proved, or something is missing.
  var outcome: Outcome? {
    guard proves else { return nil }
    let digests = state.withLock { state in state.left == 0 ? state.units.flatMap(\.folders).map { $0.finalize() } : [] }
    guard digests.count == regions.count else { return nil }
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

  /// Two sources that begin with the same row, where they may not.
  var alike: (LogicalTensor.Part, LogicalTensor.Part)? {
    guard plan.tensor.firstRowsDiffer else { return nil }
    let rows = state.withLock { $0.units.map(\.done.firstRow) }
    var seen: [Digest: LogicalTensor.Part] = [:]
    for (unit, row) in zip(units, rows) {
      guard let row, let source = unit.source, let other = seen.updateValue(plan.sources[source].part, forKey: row) else { continue }
      return (other, plan.sources[source].part)
    }
    return nil
  }
}
