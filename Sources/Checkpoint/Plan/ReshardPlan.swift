import Integrity
import SystemPackage

/// How a checkpoint becomes another one: every file of the output, and where each of its bytes comes from.
///
/// A plan is a value. Making it reads no weight and writes nothing; `write(to:)` carries it out.
public struct ReshardPlan: Sendable {
  public struct Options: Sendable, Equatable {
    public var modelParallel: Int
    public var format: Checkpoint.Format
    /// Tensors that no rule is for keep what the source has; quantized ones, which .pth and safetensors can't hold, become float32, which loses nothing.
    public var dtypes: DTypeRules
    /// Bytes of weights in a file of a Hugging Face folder or a GGUF, but for a single tensor that is larger; nil for 5 GB of the former, and one file of the latter.
    public var maxShardBytes: Int?

    /// - Parameter dtype: of all tensors; nil for no rule.
    public init(modelParallel: Int, format: Checkpoint.Format = .pth, dtype: DTypeMix? = nil, maxShardBytes: Int? = nil) {
      self.modelParallel = modelParallel
      self.format = format
      dtypes = dtype.map { DTypeRules($0) } ?? DTypeRules([])
      self.maxShardBytes = maxShardBytes
    }

    /// By the long names of the command line.
    public var given: [String: String] {
      var given = ["mp": "\(modelParallel)", "format": format.rawValue, "dtype": dtypes.rules.isEmpty ? "keep" : dtypes.text]
      if let size = maxShardBytes ?? (format == .hf ? HuggingFaceLayout.defaultShardBytes : nil) { given["max-shard-size"] = "\(size)" }
      return given
    }

    /// What a tensor of a model is written as: what was asked for, else what it is, where the format can hold that.
    func dtype(of tensor: LogicalTensor, in model: ModelParams) -> DType {
      // llama.cpp takes norms and biases in float32 only.
      if format == .gguf, tensor.storedShape.count == 1 { return .f32 }
      return dtypes.dtype(of: tensor, in: model) ?? (format.capacity.dtypes.contains(tensor.dtype) ? tensor.dtype : .f32)
    }
  }

  public let source: Checkpoint
  public let options: Options
  /// Weights first, then what comes along.
  public let files: [OutputFile]
  /// What a person should know, in sentences.
  public let notes: [String]
  /// In the order of the files.
  let tensors: [TensorPlan]

  public var byteCount: Int { files.reduce(0) { $0 + $1.byteCount } }

  public init(_ source: Checkpoint, _ options: Options) throws(CheckpointError) {
    self.source = source
    self.options = options
    let name = options.format.rawValue
    let capacity = options.format.capacity
    if !capacity.isSharded, options.modelParallel != 1 {
      throw CheckpointError(.refused, "\(name) isn't split by ranks: --mp 1 is its only size (--max-shard-size cuts it into files)")
    }
    for rule in options.dtypes.rules {
      if let dtype = rule.dtype, !capacity.dtypes.contains(dtype.base) {
        throw CheckpointError(.refused, "\(name) has no \(dtype.rawValue); \(capacity.dtypeNames) can be written")
      }
      guard source.tensors.contains(where: { rule.fits($0.name) }) else {
        throw CheckpointError(.refused, "no tensor is called \(rule.pattern), for which a dtype was asked; names are Meta's, such as layers.0.attention.wq.weight")
      }
    }
    if options.format == .gguf || options.format == .dcp, let extra = source.extras.first {
      throw CheckpointError(.refused, "\(name) has no place for \(extra.name); leave --keep-extra out")
    }
    if !Self.keepsDescription(of: source, as: options.format) { try source.requireHonoured() }
    // In one shard nothing is cut, and any axis will do.
    let embedding = options.modelParallel > 1 ? try EmbeddingAxis(source) : nil
    let layout = try ShardLayout(params: source.params, modelParallel: options.modelParallel, embeddingAxis: embedding?.axis ?? 0)
    var files: [OutputFile]
    var layoutNotes: [String] = []
    switch options.format {
    case .hf: files = try HuggingFaceLayout.files(source, options)
    case .gguf: (files, layoutNotes) = try GGUFLayout.files(source, options)
    case .dcp: files = DCPLayout.files(source) { options.dtype(of: $0, in: source.params) }
    case .pth, .safetensors: files = try Self.shards(source, layout, options)
    }
    let companions = try CompanionFiles.of(source, layout, options.format)
    files += companions.files
    self.files = files
    notes = source.companions.notes + source.unhonoured.map(\.note) + [embedding?.note].compactMap { $0 } + companions.notes + layoutNotes + Self.notes(source, options)
    tensors = try Self.tensors(source, files, options)
    try checkPieces()
  }

  /// Whether the output has the source's own description, with every key of it.
  private static func keepsDescription(of source: Checkpoint, as format: Checkpoint.Format) -> Bool {
    switch format {
    case .hf: source.companions.huggingFace != nil
    case .gguf: false
    case .pth, .safetensors, .dcp: source.companions.params != nil
    }
  }

  /// A file for each rank, with Meta's names.
  private static func shards(_ source: Checkpoint, _ layout: ShardLayout, _ options: Options) throws(CheckpointError) -> [OutputFile] {
    // The reference wants an output.weight. A tied one is the embedding's storage under a second name where they are split alike, else its own rows of the
    // embedding.
    let tied = options.format == .pth && source.params.tiedEmbeddings ? source[TensorName(.tokEmbeddings)] : nil
    let isAliased = tied != nil && layout.embeddingAxis == 0
    let aliases = isAliased ? [TensorName(.output).text: TensorName(.tokEmbeddings).text] : [:]
    let spelled = Spelling(source)
    var files: [OutputFile] = []
    for rank in 0..<layout.modelParallel {
      var tensors: [OutputTensor] = []
      for (name, weights) in spelled.tensors {
        let regions = weights.flatMap { tensor in
          layout.regions(tensor.name.role, rank: rank).map { rows, columns in
            OutputRegion(of: tensor, rows: rows, columns: columns, as: options.dtype(of: tensor, in: source.params))
          }
        }
        tensors.append(try OutputTensor(name: name, regions))
      }
      if let tied, !isAliased {
        let (rows, columns) = layout.region(.output, rank: rank)
        tensors.append(
          OutputTensor(OutputRegion(of: tied, rows: rows, columns: columns, as: options.dtype(of: tied, in: source.params), name: TensorName(.output).text)))
      }
      let name = "consolidated." + (rank < 10 ? "0\(rank)" : "\(rank)")
      files.append(
        options.format == .pth ? PthLayout.file(name, tensors, aliases: aliases, extras: source.extras) : SafetensorsLayout.file("\(name).safetensors", tensors, extras: source.extras))
    }
    return files
  }

  /// Which weights lie in which tensor of a shard, under which name.
  private struct Spelling {
    /// In the order of the first weight of each.
    let tensors: [(name: String, weights: [LogicalTensor])]

    init(_ source: Checkpoint) {
      let byName = Dictionary(source.tensors.map { ($0.name, $0) }) { first, _ in first }
      var heads: [TensorName: (name: String, weights: [LogicalTensor])] = [:]
      var others: Set<TensorName> = []
      for (name, weights) in source.spelling {
        let found = weights.compactMap { byName[$0] }
        guard let first = found.first, found.count == weights.count else { continue }
        heads[first.name] = (name, found)
        others.formUnion(weights.dropFirst())
      }
      tensors = source.tensors.compactMap { tensor in heads[tensor.name] ?? (others.contains(tensor.name) ? nil : (tensor.name.text, [tensor])) }
    }
  }

  /// For each tensor that some file holds, all the places it goes to.
  private static func tensors(_ source: Checkpoint, _ files: [OutputFile], _ options: Options) throws(CheckpointError) -> [TensorPlan] {
    var destinations: [TensorName: [TensorPlan.Destination]] = [:]
    var order: [TensorName] = []
    for (index, file) in files.enumerated() {
      for (number, piece) in file.pieces.enumerated() {
        guard case .region(let region) = piece.content else { continue }
        if destinations[region.tensor] == nil { order.append(region.tensor) }
        destinations[region.tensor, default: []].append(.init(file: index, piece: number, offset: piece.offset, region: region))
      }
    }
    var tensors: [TensorPlan] = []
    for name in order {
      guard let tensor = source[name] else { throw CheckpointError(.output, "the plan has \(name), which the source hasn't") }
      tensors.append(try TensorPlan(tensor, as: options.dtype(of: tensor, in: source.params), to: destinations[name] ?? []))
    }
    if let copy = source.copyOfEmbedding, let embedding = source[TensorName(.tokEmbeddings)] {
      // Hashed as the embedding is, so that what they hash to tells whether they are the same.
      var plan = try TensorPlan(copy, as: options.dtype(of: embedding, in: source.params), to: [])
      plan.original = embedding.name
      tensors.append(plan)
    }
    return tensors
  }

  private static func notes(_ source: Checkpoint, _ options: Options) -> [String] {
    let dtypes = Set(source.tensors.map(\.dtype))
    var notes: [String] = []
    if options.dtypes.rules.isEmpty, dtypes.contains(where: { $0.isQuantized && !options.format.capacity.dtypes.contains($0) }) {
      notes.append("\(options.format.rawValue) can't hold quantized tensors: they become float32, exactly. --dtype bf16 or f16 halves the size, and rounds")
    }
    if options.format == .hf, source.companions.huggingFace == nil, HuggingFaceConfig.contextLength(source) == nil {
      notes.append("nothing says how many positions the model was trained for: config.json is without max_position_embeddings, and transformers takes 2048")
    }
    if let target = options.dtypes.ofAll {
      let rounded = Set(source.tensors.filter { !$0.dtype.isExact(in: options.dtype(of: $0, in: source.params)) }.map(\.dtype.rawValue)).sorted()
      if !rounded.isEmpty { notes.append("weights are rounded from \(rounded.joined(separator: ", ")) to \(target.rawValue)") }
      return notes
    }
    for target in DType.allCases {
      let rounded = Set(source.tensors.filter { options.dtype(of: $0, in: source.params) == target && !$0.dtype.isExact(in: target) }.map(\.dtype.rawValue)).sorted()
      if !rounded.isEmpty { notes.append("weights are rounded from \(rounded.joined(separator: ", ")) to \(target.rawValue)") }
    }
    return notes
  }

  /// Every byte of every file is written exactly once: pieces follow each other, and parts cover their tensors (see `TensorPlan.init`).
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
    for plan in tensors {
      for destination in plan.destinations {
        guard destination.region.rows.upperBound <= plan.tensor.rows, destination.region.columns.upperBound <= plan.tensor.columns else {
          throw CheckpointError(.output, "the plan for \(files[destination.file].name) wants more of \(plan.tensor.name) than there is")
        }
      }
    }
  }
}

extension DType {
  /// Whether every value of this type can be written as `other` without rounding.
  func isExact(in other: DType) -> Bool { self == other || other == .f64 || other == .f32 && self != .f64 }
}
