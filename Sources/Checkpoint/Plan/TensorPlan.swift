import Integrity

/// What becomes of one tensor: the parts that it is read from, and the rectangles of output files that it is written to.
///
/// Every copy of the plan is a part's rectangle that goes into a destination's: `copies` lists them. How they are carried out, in which order and in which
/// pieces, isn't said here.
struct TensorPlan: Sendable {
  let tensor: LogicalTensor
  /// As it is written, everywhere.
  let dtype: DType
  /// Where it is written to; none where it is only hashed.
  let destinations: [Destination]
  /// The weight that it must be the same as, where it is only read for that.
  var original: TensorName?
  /// The parts that make the whole, each rectangle once, and for each the copies of it that other ranks have.
  let sources: [Source]

  struct Source: Sendable {
    let part: LogicalTensor.Part
    let replicas: [LogicalTensor.Part]
  }

  struct Destination: Sendable, Equatable {
    /// Index into the plan's files, and which of the file's pieces it is.
    let file: Int
    let piece: Int
    /// Byte of the file at which it begins.
    let offset: Int
    let region: OutputRegion
  }

  /// A rectangle of the tensor that goes from one part into one destination.
  struct Copy: Sendable, Equatable {
    /// Indices into `sources` and `destinations`.
    let source: Int
    let destination: Int
    let rows: Range<Int>
    let columns: Range<Int>
  }

  /// - Throws: when the parts don't make the tensor whole, each element once.
  init(_ tensor: LogicalTensor, as dtype: DType, to destinations: [Destination]) throws(CheckpointError) {
    self.tensor = tensor
    self.dtype = dtype
    self.destinations = destinations
    var sources: [Source] = []
    for part in tensor.parts {
      if let index = sources.firstIndex(where: { $0.part.rows == part.rows && $0.part.columns == part.columns }) {
        sources[index] = Source(part: sources[index].part, replicas: sources[index].replicas + [part])
      } else {
        sources.append(Source(part: part, replicas: []))
      }
    }
    for (index, a) in sources.enumerated() {
      for b in sources[..<index] where a.part.rows.overlaps(b.part.rows) && a.part.columns.overlaps(b.part.columns) {
        throw CheckpointError(.corrupt, "\(tensor.name) has parts that overlap: rows \(a.part.rows) and \(b.part.rows)")
      }
    }
    let covered = sources.reduce(0) { $0 + $1.part.rows.count * $1.part.columns.count }
    guard covered == tensor.rows * tensor.columns else {
      throw CheckpointError(.corrupt, "\(tensor.name) has parts that leave out \(tensor.rows * tensor.columns - covered) elements")
    }
    self.sources = sources
  }

  /// Whether numbers are put into blocks, which is done from float32.
  var quantizes: Bool { dtype.isQuantized && tensor.dtype != dtype }

  /// Bytes in memory of `columns` elements of a row, in the widest of the types that they are held as.
  func byteCount(_ columns: Int) -> Int { max(tensor.dtype.byteCount(columns), (quantizes ? .f32 : dtype).byteCount(columns)) }

  /// How it is hashed, as it is written.
  var grid: TensorGrid { TensorGrid(dtype: dtype, shape: tensor.shape, cut: (original ?? tensor.name).role.cut) }

  var copies: [Copy] {
    sources.indices.flatMap { source in
      destinations.indices.compactMap { destination in
        let (from, to) = (sources[source].part, destinations[destination].region)
        // A part whose rows lie in halves is always the whole tensor, so its rows are Meta's too.
        let (rows, columns) = (from.rows.clamped(to: to.rows), from.columns.clamped(to: to.columns))
        return rows.isEmpty || columns.isEmpty ? nil : Copy(source: source, destination: destination, rows: rows, columns: columns)
      }
    }
  }
}

// MARK: Pieces of work

extension TensorPlan {
  /// A rectangle of the tensor that is read, hashed and written at once.
  struct Chunk: Sendable, Equatable {
    /// In Meta's order: whole bands of the grid.
    let rows: Range<Int>
    let columns: Range<Int>
  }

  /// In which order and pieces the copies are carried out.
  enum Order: Sendable {
    /// As the output lies: for sources that are there.
    case output
    /// As the source lies, part by part.
    case source
    /// As files come that come side by side: what lies at the same place of each goes together.
    case arrival
  }

  /// The tensor in rectangles of about `limit` bytes, in `order`.
  ///
  /// A chunk is made of whole leaves of the grid and lies within one of `rectangles(order)`.
  func chunks(limit: Int, _ order: Order) -> [Chunk] {
    guard order != .output, canFollowSources else { return chunks(limit: limit, rows: 0..<tensor.rows, columnGroups) }
    return sources.indices.flatMap { chunks(limit: limit, ofSource: $0) }
  }

  /// Those of one source, where they follow the sources.
  func chunks(limit: Int, ofSource index: Int) -> [Chunk] { chunks(limit: limit, rows: sources[index].part.rows, [sources[index].part.columns]) }

  /// What is hashed as one: the rectangles of the destinations, each once, or of the parts. Where edges of destinations cut leaves, the whole tensor
  /// besides; where there are no destinations, all rows of each group of columns.
  func rectangles(_ order: Order) -> [GridRegion] {
    let grid = grid
    func rectangle(_ rows: Range<Int>, _ columns: Range<Int>) -> GridRegion { GridRegion(grid, rows: rows, columns: columns, stored: dtype) }
    if order != .output, canFollowSources { return sources.map { rectangle($0.part.rows, $0.part.columns) } }
    var rectangles: [GridRegion] = []
    for destination in destinations {
      let region = rectangle(destination.region.rows, destination.region.columns)
      if !rectangles.contains(region) { rectangles.append(region) }
    }
    if !isOnGrid { return rectangles + [GridRegion(whole: grid, stored: dtype)] }
    return rectangles.isEmpty ? columnGroups.map { rectangle(0..<tensor.rows, $0) } : rectangles
  }

  /// Whether parts and destinations are cut on the grid. Otherwise the tensor is put together as for `.output`.
  var canFollowSources: Bool {
    isOnGrid && sources.allSatisfy { [grid] in grid.fallsOnLeaves(rows: $0.part.rows, columns: $0.part.columns) && $0.part.columns.lowerBound % tensor.dtype.blockElements == 0 }
  }

  /// Columns are only cut where every part, every destination and the grid are cut, so that no chunk has to be put together later.
  private func chunks(limit: Int, rows: Range<Int>, _ groups: [Range<Int>]) -> [Chunk] {
    let grid = grid
    let element = { (columns: Range<Int>) in max(byteCount(columns.count), 1) }
    var chunks: [Chunk] = []
    var row = rows.lowerBound
    // The widest group decides how many rows go together.
    let most = max(1, limit / (groups.map(element).max() ?? 1))
    while row < rows.upperBound {
      var end = grid.band(at: row).upperBound
      while end < rows.upperBound, grid.band(at: end).upperBound - row <= most { end = grid.band(at: end).upperBound }
      chunks += groups.map { Chunk(rows: row..<end, columns: $0) }
      row = end
    }
    return chunks
  }

  /// Whether every edge of a destination falls on leaves of the grid, so that each leaf is hashed once for all.
  var isOnGrid: Bool { destinations.allSatisfy { [grid] in grid.fallsOnLeaves(rows: $0.region.rows, columns: $0.region.columns) } }

  /// Columns that parts, destinations and the grid have edges around.
  private var columnGroups: [Range<Int>] {
    guard isOnGrid else { return [0..<tensor.columns] }
    let grid = grid
    var edges = Set(sources.flatMap { [$0.part.columns.lowerBound, $0.part.columns.upperBound] })
    if !destinations.isEmpty { edges.formIntersection(destinations.flatMap { [$0.region.columns.lowerBound, $0.region.columns.upperBound] }) }
    edges = edges.filter { $0 % grid.stripColumns == 0 && $0 % tensor.dtype.blockElements == 0 }
    edges.formUnion([0, tensor.columns])
    let sorted = edges.sorted()
    return zip(sorted, sorted.dropFirst()).map { $0..<$1 }
  }
}
