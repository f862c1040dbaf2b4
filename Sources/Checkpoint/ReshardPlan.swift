import SystemPackage

/// How a checkpoint becomes another one: every file of the output, and where each of its bytes comes from.
///
/// A plan is a value. Making it reads no weight and writes nothing; `write(to:)` carries it out.
public struct ReshardPlan: Sendable {
  public struct Options: Sendable, Equatable {
    public var modelParallel: Int
    public var format: Checkpoint.Format
    /// nil keeps what the source has; quantized tensors, which .pth and safetensors can't hold, become float32, which loses nothing.
    public var dtype: DType?

    public init(modelParallel: Int, format: Checkpoint.Format = .pth, dtype: DType? = nil) {
      self.modelParallel = modelParallel
      self.format = format
      self.dtype = dtype
    }
  }

  public let source: Checkpoint
  public let options: Options
  /// Weights first, then what comes along. `checklist.chk` is made while they are written.
  public let files: [OutputFile]
  /// What a person should know, in sentences.
  public let notes: [String]

  public var byteCount: Int { files.reduce(0) { $0 + $1.byteCount } }

  public init(_ source: Checkpoint, _ options: Options) throws(CheckpointError) {
    self.source = source
    self.options = options
    guard options.format == .pth || options.format == .safetensors else {
      throw CheckpointError(.refused, "can't write \(options.format.rawValue) yet; pth and safetensors can be written")
    }
    if let dtype = options.dtype, dtype.isQuantized {
      throw CheckpointError(.refused, "\(options.format.rawValue) has no \(dtype.rawValue); f32, f16 and bf16 can be written")
    }
    let embeddingAxis = source[TensorName(.embedding).text]?.split == .axis(0) ? 0 : 1
    let layout = try ShardLayout(params: source.params, modelParallel: options.modelParallel, embeddingAxis: embeddingAxis)
    var files: [OutputFile] = []
    for rank in 0..<options.modelParallel {
      var regions: [TensorRegion] = []
      for tensor in source.tensors {
        guard let name = TensorName(tensor.name) else { continue }
        let (rows, columns) = layout.region(name.role, rank: rank)
        regions.append(try TensorRegion(of: tensor, rows: rows, columns: columns, as: Self.outputDType(tensor.dtype, options)))
      }
      let name = "consolidated." + (rank < 10 ? "0\(rank)" : "\(rank)")
      switch options.format {
      case .safetensors: files.append(SafetensorsWriter.file("\(name).safetensors", regions))
      default:
        // The reference wants an output.weight; a tied one is the embedding's storage under a second name, if they are split alike.
        let alias = source.params.tiedEmbeddings && embeddingAxis == 0 ? [TensorName(.output).text: TensorName(.embedding).text] : [:]
        files.append(PthWriter.file(name, regions, aliases: alias))
      }
    }
    self.files = files + (try CompanionFiles(source, layout).files)
    notes = source.companions.notes + Self.notes(source, options)
    try checkPieces()
  }

  /// The dtype that a tensor is written as.
  private static func outputDType(_ dtype: DType, _ options: Options) -> DType { options.dtype ?? (dtype.isQuantized ? .f32 : dtype) }

  private static func notes(_ source: Checkpoint, _ options: Options) -> [String] {
    let dtypes = Set(source.tensors.map(\.dtype))
    var notes: [String] = []
    if options.dtype == nil, dtypes.contains(where: \.isQuantized) {
      notes.append("\(options.format.rawValue) can't hold quantized tensors: they become float32, exactly. --dtype bf16 or f16 halves the size, and rounds")
    }
    if let target = options.dtype {
      let rounded = dtypes.filter { !$0.isExact(in: target) }.map(\.rawValue).sorted()
      if !rounded.isEmpty { notes.append("weights are rounded from \(rounded.joined(separator: ", ")) to \(target.rawValue)") }
    }
    return notes
  }

  /// Every byte of every file is written exactly once: pieces follow each other, and regions are covered (see `TensorRegion.init`).
  private func checkPieces() throws(CheckpointError) {
    for file in files {
      var end = 0
      for piece in file.pieces {
        guard piece.offset == end else { throw CheckpointError(.output, "the plan for \(file.name) has a gap or an overlap at byte \(end)") }
        end += piece.byteCount
      }
      guard end == file.byteCount else { throw CheckpointError(.output, "the plan for \(file.name) ends at byte \(end) of \(file.byteCount)") }
    }
    guard Set(files.map(\.name)).count == files.count else { throw CheckpointError(.output, "the plan has two files of one name") }
  }

  /// Pieces of the source that should hold the same, and aren't all read: one tensor's copies in several shards.
  var replicas: [(tensor: LogicalTensor, a: LogicalTensor.Part, b: LogicalTensor.Part)] {
    source.tensors.flatMap { tensor in
      tensor.parts.enumerated().compactMap { index, part in
        tensor.parts[..<index].first { $0.rows == part.rows && $0.columns == part.columns }.map { (tensor, $0, part) }
      }
    }
  }
}

extension DType {
  /// Whether every value of this type can be written as `other` without rounding.
  func isExact(in other: DType) -> Bool { self == other || other == .f32 }
}
