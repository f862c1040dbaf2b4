import FoundationEssentials
import Integrity
import Platform

/// What is done of a plan, and on the disk: what a journal keeps so that another run goes on from it.
public struct PlanProgress: Sendable, Codable {
  /// How far a part of a tensor is that is done by itself: `TensorPlan.Unit`.
  struct Unit: Sendable, Codable {
    /// Meta's name.
    var tensor: String
    /// Of the tensor's units.
    var unit: Int
    /// Its first so many chunks are done.
    var chunks: Int
    /// What they hash to so far, by region; none of what has no proof.
    var folders: [NodeFolder.State] = []
    /// What they add to the CRC-32 of files' pieces.
    var sums: [PieceSum] = []
    /// Of what is no weight, the bytes themselves.
    var buffers: [Buffer] = []
    /// Numbers that became infinite.
    var overflows = 0
    /// SHA-256 of each chunk as its copies in several files have it.
    var copies: [Digest] = []
    /// Files among those whose copies have to be compared (again).
    var unseen: Set<Int> = []
    /// SHA-256 of the first row, where those of a tensor's parts must differ.
    var firstRow: Digest?
  }

  struct PieceSum: Sendable, Codable {
    let file: Int
    let piece: Int
    var sum: UInt32
  }

  struct Buffer: Sendable, Codable {
    let file: Int
    let offset: Int
    let bytes: Data
  }

  var units: [Unit]
  /// The output's files with weights as they were when they were synced, by index.
  var files: [Int: FileStamp]

  init(units: [Unit], files: [Int: FileStamp] = [:]) { (self.units, self.files) = (units, files) }

  public init() { self.init(units: []) }

  public var isEmpty: Bool { units.isEmpty }

  var byTensor: [String: [Unit]] { Dictionary(grouping: units, by: \.tensor) }

  /// Forgets what came of a file of the source: it has to be read again. Of what has a copy in another file, only the comparison.
  public mutating func forget(_ file: Int, of plan: ReshardPlan) {
    let plans = Dictionary(plan.tensors.map { ($0.tensor.name.text, $0) }) { first, _ in first }
    units = units.compactMap { unit -> Unit? in
      guard let known = plans[unit.tensor]?.units(.arrival), known.indices.contains(unit.unit) else { return nil }
      let whole = known[unit.unit]
      guard whole.files.contains(file) else { return unit }
      guard whole.hasCopies else { return nil }
      var unit = unit
      unit.unseen.insert(file)
      return unit.unseen.isSuperset(of: whole.files) ? nil : unit
    }
  }
}

extension ReshardPlan {
  /// A digest of everything that the plan says: progress is of one plan only.
  public var digest: Digest {
    var hash = SHA256()
    func put(_ text: String) { hash.update(Array("\(text)\n".utf8)) }
    put("\(Self.chunkBytes) \(options.format.rawValue) \(options.modelParallel)")
    for file in source.files { put("\(file.path) \(file.count)") }
    for plan in tensors {
      put("\(plan.tensor.name) \(plan.tensor.dtype) \(plan.dtype) \(plan.tensor.shape) \(plan.tensor.rowOrder) \(plan.tensor.firstRowsDiffer)")
      for part in plan.tensor.parts {
        put("\(part.file) \(part.offset) \(part.rank) \(part.rows) \(part.columns) \(part.rowStride) \(part.columnStride) \(part.coding.map { "\($0)" } ?? "")")
      }
      for place in plan.destinations {
        put("\(place.file) \(place.piece) \(place.offset) \(place.region.rows) \(place.region.columns) \(place.region.dtype) \(place.region.order)")
      }
    }
    for file in files {
      put("\(file.name) \(file.byteCount)")
      for piece in file.pieces {
        put("\(piece.offset) \(piece.byteCount)")
        guard case .bytes(let bytes, let checksums) = piece.content else { continue }
        hash.update(bytes)
        put("\(checksums)")
      }
    }
    return hash.finalize()
  }
}
