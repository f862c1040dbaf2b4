import Integrity
import Platform
import Synchronization

/// Holds what an earlier run has written against what its journal says of it, where somebody may have touched the files since: reads it back, and hashes
/// it as it was hashed when it was written.
struct OutputCheck {
  let plans: [String: TensorPlan]
  let outputs: [OpenOutput]
  /// Files that somebody may have touched.
  let doubted: Set<Int>
  let isCancelled: @Sendable () -> Bool

  /// - Returns: those units that are in their places, to the byte.
  func right(_ units: [PlanProgress.Unit], threads: Int) -> [PlanProgress.Unit] {
    let next = Atomic(0)
    let right = Mutex<Set<Int>>([])
    Workers.run(threads) {
      var leaves = LeafHasher()
      var room = Room()
      while true {
        let index = next.add(1, ordering: .relaxed).oldValue
        guard index < units.count, !isCancelled() else { return }
        if isRight(units[index], &leaves, &room) { right.withLock { _ = $0.insert(index) } }
      }
    }
    let found = right.withLock { $0 }
    return units.indices.filter { found.contains($0) }.map { units[$0] }
  }

  private func isRight(_ unit: PlanProgress.Unit, _ leaves: inout LeafHasher, _ room: inout Room) -> Bool {
    guard let plan = plans[unit.tensor] else { return false }
    if plan.tensor.name.role.isBuffer {
      for buffer in unit.buffers where doubted.contains(buffer.file) {
        guard (try? outputs[buffer.file].rewrite([UInt8](buffer.bytes), at: buffer.offset)) != nil else { return false }
      }
      return true
    }
    let units = plan.units(.arrival)
    guard units.indices.contains(unit.unit), unit.chunks <= units[unit.unit].chunks.count else { return false }
    let chunks = units[unit.unit].chunks.prefix(unit.chunks)
    // What lies in several places is read from each that is in doubt.
    for (place, destination) in plan.destinations.enumerated() where doubted.contains(destination.file) && chunks.contains(where: { destination.holds($0) }) {
      let progress = TensorProgress(plan, .arrival, proves: true)
      for (index, chunk) in chunks.enumerated() {
        let count = chunk.rows.count * plan.dtype.byteCount(chunk.columns.count)
        let bytes = room.of(count)
        guard !isCancelled(), read(chunk, of: plan, above: place, into: bytes) else { return false }
        var result = TensorProgress.Result()
        progress.hash(chunk, UnsafeRawBufferPointer(start: bytes, count: count), &leaves, into: &result)
        _ = progress.finish(.init(unit: unit.unit, index: index, chunk: chunk, comparing: nil), result)
      }
      guard progress.done.first(where: { $0.unit == unit.unit })?.folders == unit.folders else { return false }
    }
    return true
  }

  /// Reads a chunk, row by row without gaps.
  /// - Parameter place: the destination that counts where several have the same.
  private func read(_ chunk: TensorPlan.Chunk, of plan: TensorPlan, above place: Int, into out: UnsafeMutableRawPointer) -> Bool {
    let pitch = plan.dtype.byteCount(chunk.columns.count)
    // The one that counts comes last.
    let others = plan.destinations.indices.filter { $0 != place }
    for destination in (others + [place]).map({ plan.destinations[$0] }) where destination.holds(chunk) {
      let region = destination.region
      let (rows, columns) = (region.rows.clamped(to: chunk.rows), region.columns.clamped(to: chunk.columns))
      let part = plan.dtype.byteCount(columns.count)
      let start = destination.offset + plan.dtype.byteCount(columns.lowerBound - region.columns.lowerBound)
      let to = out + plan.dtype.byteCount(columns.lowerBound - chunk.columns.lowerBound)
      for run in region.order.runs(rows) {
        let isOneStretch = run.step == 1 && part == pitch && part == region.rowBytes
        for step in 0..<(isOneStretch ? 1 : run.count) {
          let row = to + (run.meta + step * run.step - chunk.rows.lowerBound) * pitch
          let memory = UnsafeMutableRawBufferPointer(start: row, count: isOneStretch ? run.count * part : part)
          guard outputs[destination.file].read(into: memory, at: start + (run.disk + step - region.rows.lowerBound) * region.rowBytes) else { return false }
        }
      }
    }
    return true
  }
}

extension TensorPlan.Destination {
  /// Whether something of `chunk` goes there.
  func holds(_ chunk: TensorPlan.Chunk) -> Bool { region.rows.overlaps(chunk.rows) && region.columns.overlaps(chunk.columns) }
}
