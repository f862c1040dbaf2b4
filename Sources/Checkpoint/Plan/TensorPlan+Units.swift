import Integrity

/// What of a tensor is done by itself, and can be kept by itself when a plan is carried out over several runs.
extension TensorPlan {
  struct Unit: Sendable {
    /// In the order in which they are done.
    let chunks: [Chunk]
    /// Which of the sources it is; nil for all of the tensor.
    let source: Int?
    /// The source's files that it is read from.
    let files: Set<Int>
    /// Whether it is there several times, in files that have nothing else in common: then another file than the one that it was read from will do.
    let hasCopies: Bool
  }

  /// In the order of arrival one for each source, where parts and destinations are cut on the grid; else one in all.
  func units(_ order: Order) -> [Unit] {
    guard order == .arrival, canFollowSources else {
      return [Unit(chunks: chunks(limit: ReshardPlan.chunkBytes, order), source: nil, files: Set(tensor.parts.flatMap(\.files)), hasCopies: false)]
    }
    return sources.indices.map { index in
      let parts = [sources[index].part] + sources[index].replicas
      return Unit(
        chunks: chunks(limit: ReshardPlan.chunkBytes, ofSource: index), source: index, files: Set(parts.flatMap(\.files)),
        hasCopies: parts.count > 1 && parts.allSatisfy { $0.coding == nil } && Set(parts.map(\.file)).count == parts.count)
    }
  }

  /// A chunk that is still to be done.
  struct Work: Sendable {
    /// Of `units`.
    let unit: Int
    /// Of the unit's chunks.
    let index: Int
    let chunk: Chunk
    /// Files whose copies are compared with what was written before; nil where it is read and written now.
    let comparing: Set<Int>?
  }

  /// What is left to do, in the order in which it is done: chunks at the same place of several sources go together.
  /// - Parameter done: what was done before.
  func work(_ units: [Unit], _ done: [PlanProgress.Unit]) -> [Work] {
    let done = Dictionary(done.map { ($0.unit, $0) }) { first, _ in first }
    return (0..<(units.map(\.chunks.count).max() ?? 0)).flatMap { index in
      units.indices.compactMap { number -> Work? in
        guard index < units[number].chunks.count else { return nil }
        var comparing: Set<Int>?
        if let before = done[number], index < before.chunks {
          guard !before.unseen.isEmpty else { return nil }
          comparing = before.unseen
        }
        return Work(unit: number, index: index, chunk: units[number].chunks[index], comparing: comparing)
      }
    }
  }

  /// Most bytes of output that are put together from pieces of work.
  static let mostJoinedBytes = 8 << 20

  /// Pieces of work in groups, each of which is written at once. Where rows of the output are put together from parts of rows, what lies at the same place of
  /// the sources goes together: writing each part of each row by itself is a call of the kernel for every kilobyte or two.
  func groups(_ work: [Work]) -> [[Work]] {
    var groups: [[Work]] = []
    var bytes = 0
    for piece in work {
      let count = piece.chunk.rows.count * dtype.byteCount(piece.chunk.columns.count)
      if let last = groups.last?.last, fit(last, piece), bytes + count <= Self.mostJoinedBytes {
        groups[groups.endIndex - 1].append(piece)
        bytes += count
      } else {
        groups.append([piece])
        bytes = count
      }
    }
    return groups
  }

  /// Whether some destination has rows that begin in one of them and go on in the other.
  private func fit(_ first: Work, _ second: Work) -> Bool {
    let edge = second.chunk.columns.lowerBound
    return first.comparing == nil && second.comparing == nil && first.chunk.rows == second.chunk.rows && first.chunk.columns.upperBound == edge
      && !tensor.name.role.isBuffer && destinations.contains { $0.region.columns.lowerBound < edge && edge < $0.region.columns.upperBound }
  }

  /// By file the stretch that a piece of work reads.
  /// - Parameter units: of the order in which it is done.
  func stretches(of work: Work, _ units: [Unit]) -> [Int: Range<Int>] {
    // Where sources are units, their first rows are compared by what they hash to.
    let stretches = stretches(of: work.chunk, comparesFirstRows: units[work.unit].source == nil)
    return stretches.filter { work.comparing?.contains($0.key) ?? true }
  }
}

extension LogicalTensor.Part {
  /// The files that its numbers are made of.
  fileprivate var files: [Int] { [file] + (coding?.tables.map(\.file) ?? []) }
}
