import Integrity
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
    /// Bytes of weights in a file of a Hugging Face folder.
    public var maxShardBytes: Int

    public init(modelParallel: Int, format: Checkpoint.Format = .pth, dtype: DType? = nil, maxShardBytes: Int = 5_000_000_000) {
      self.modelParallel = modelParallel
      self.format = format
      self.dtype = dtype
      self.maxShardBytes = maxShardBytes
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
    let name = options.format.rawValue
    guard let capacity = options.format.capacity else {
      throw CheckpointError(.refused, "can't write \(name) yet; pth, safetensors and hf can be written")
    }
    if !capacity.isSharded, options.modelParallel != 1 {
      throw CheckpointError(.refused, "\(name) isn't split by ranks: --mp 1 is its only size (--max-shard-size cuts it into files)")
    }
    if let dtype = options.dtype, !capacity.dtypes.contains(dtype) {
      throw CheckpointError(.refused, "\(name) has no \(dtype.rawValue); \(capacity.dtypeNames) can be written")
    }
    // In one shard nothing is cut, and any axis will do.
    let embeddingAxis = options.modelParallel > 1 ? source.embeddingAxis ?? 0 : 0
    let layout = try ShardLayout(params: source.params, modelParallel: options.modelParallel, embeddingAxis: embeddingAxis)
    let files: [OutputFile]
    switch options.format {
    case .hf:
      files = try HuggingFaceLayout.files(source, { Self.outputDType($0, options) }, maxShardBytes: options.maxShardBytes)
    case .pth, .safetensors, .gguf: files = try Self.shards(source, layout, options)
    }
    self.files = files + (try CompanionFiles.of(source, layout, options.format))
    notes = source.companions.notes + Self.notes(source, options)
    try checkPieces()
  }

  /// A file for each rank, with Meta's names.
  private static func shards(_ source: Checkpoint, _ layout: ShardLayout, _ options: Options) throws(CheckpointError) -> [OutputFile] {
    // The reference wants an output.weight; a tied one is the embedding's storage under a second name, if they are split alike.
    let isAliased = source.params.tiedEmbeddings && layout.embeddingAxis == 0
    let aliases = isAliased ? [TensorName(.output).text: TensorName(.tokEmbeddings).text] : [:]
    var files: [OutputFile] = []
    for rank in 0..<layout.modelParallel {
      var regions: [TensorRegion] = []
      for tensor in source.tensors {
        let (rows, columns) = layout.region(tensor.name.role, rank: rank)
        regions.append(try TensorRegion(of: tensor, rows: rows, columns: columns, as: outputDType(tensor.dtype, options)))
      }
      let name = "consolidated." + (rank < 10 ? "0\(rank)" : "\(rank)")
      files.append(
        options.format == .pth ? PthLayout.file(name, regions, aliases: aliases) : SafetensorsLayout.file("\(name).safetensors", regions))
    }
    return files
  }

  /// The dtype that a tensor is written as.
  static func outputDType(_ dtype: DType, _ options: Options) -> DType { options.dtype ?? (dtype.isQuantized ? .f32 : dtype) }

  private static func notes(_ source: Checkpoint, _ options: Options) -> [String] {
    let dtypes = Set(source.tensors.map(\.dtype))
    var notes: [String] = []
    if options.dtype == nil, dtypes.contains(where: \.isQuantized) {
      notes.append("\(options.format.rawValue) can't hold quantized tensors: they become float32, exactly. --dtype bf16 or f16 halves the size, and rounds")
    }
    if options.modelParallel > 1, source.embeddingAxis == nil {
      notes.append("the embedding is cut by rows, as Llama 3's: the vocabulary is that of no release whose reference asks for something else")
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
}

extension DType {
  /// Whether every value of this type can be written as `other` without rounding.
  func isExact(in other: DType) -> Bool { self == other || other == .f32 }
}
