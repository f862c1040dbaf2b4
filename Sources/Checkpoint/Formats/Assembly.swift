import Catalog
import Integrity
import SystemPackage

/// Puts the tensors of all ranks' shards together to a checkpoint, and checks that they belong together.
struct Assembly {
  let format: Checkpoint.Format
  /// The checkpoint's folder or file, for errors.
  let path: FilePath
  /// By rank, with Meta's names.
  let shards: [[TensorName: StoredTensor]]
  let files: [any ByteSource]
  let stated: StatedParams
  let options: Checkpoint.OpenOptions
  var companions: Companions
  /// What messages call the file that says what the shapes don't.
  var description: String
  /// Orders of rows that aren't Meta's, by role.
  var rowOrder: @Sendable (TensorName.Role, _ headDim: Int) -> LogicalTensor.RowOrder = { _, _ in .pairs }

  init(
    format: Checkpoint.Format, path: FilePath, shards: [[TensorName: StoredTensor]], files: [any ByteSource], stated: StatedParams, options: Checkpoint.OpenOptions,
    companions: Companions
  ) {
    (self.format, self.path, self.shards, self.files, self.stated, self.options, self.companions) = (format, path, shards, files, stated, options, companions)
    description = format.describedBy
  }

  private var modelParallel: Int { shards.count }

  func checkpoint() throws(CheckpointError) -> Checkpoint {
    let first = shards[0]
    try stated.check(path)
    try checkShardsAgree()
    let experts = try experts()
    let layers = try countLayers(experts)
    guard let norm = first[TensorName(.norm)], let wq = first[TensorName(.wq, layer: 0)], let wk = first[TensorName(.wk, layer: 0)],
      let embedding = first[TensorName(.tokEmbeddings)]
    else { throw corrupt("has no norm.weight") }
    let denseLayer = (0..<layers).first { !(experts?.isIn(layer: $0) ?? false) }
    let w1 = denseLayer.flatMap { first[TensorName(.w1, layer: $0)] }
    let dim = norm.columns
    let (heads, headDim) = try heads(queryRows: wq.rows * modelParallel, dim: dim)
    guard wk.rows % headDim == 0 else { throw corrupt("has \(wk.rows) rows in a shard of attention.wk, which heads of \(headDim) don't divide") }
    let embeddingAxis = try embeddingAxis(embedding, dim: dim)
    let hasOutput = first[TensorName(.output)] != nil || stated.isHeadless
    var params = ModelParams(
      dim: dim, layers: layers, heads: heads, kvHeads: wk.rows / headDim * modelParallel, headDim: headDim, hiddenDim: w1.map { $0.rows * modelParallel } ?? experts?.hiddenDim ?? 0,
      vocabularySize: embedding.rows * (embeddingAxis == 0 ? modelParallel : 1), normEpsilon: Float(stated.normEpsilon),
      ropeTheta: stated.ropeTheta ?? RoPETheta.defaultValue, ropeScaling: stated.ropeScaling, tiedEmbeddings: !hasOutput)
    (params.experts, params.vision) = (experts, try vision())
    let keyValueHeads = try keyValueHeads(params, wk)
    params.kvHeads = keyValueHeads.count
    guard heads % params.kvHeads == 0 else { throw corrupt("has \(params.kvHeads) key and value heads, which don't divide its \(heads) heads") }

    var companions = companions
    companions.notes += try checkStatements(params)
    var tensors: [LogicalTensor] = []
    tensors.reserveCapacity(first.count)
    for name in first.keys.sorted() {
      tensors.append(try tensor(name, params, embeddingAxis: embeddingAxis, keyValueHeads))
    }
    try checkRanksDiffer(tensors)
    let theta = try RoPETheta(stated: stated.ropeTheta, params, tensors, files, path: path, format)
    params.ropeTheta = theta.value
    companions.notes += theta.notes
    if format == .pth || format == .safetensors, companions.folder != nil {
      try companions.takeSharedTokenizer(above: path, vocabularySize: params.vocabularySize)
    }
    return Checkpoint(
      format: format, modelParallel: modelParallel, params: params, tensors: tensors, files: files, companions: companions,
      // What it says besides of an architecture that nothing here computes stands in nobody's way.
      unhonoured: params.architecture == nil ? stated.unhonoured : [])
  }

  /// How many heads there are and how wide they are: the description says, and the rows of wq bear it out.
  ///
  /// - Parameter queryRows: far from overflow: they are dimensions of tensors that were checked to lie in a file, and ranks are files.
  private func heads(queryRows: Int, dim: Int) throws(CheckpointError) -> (heads: Int, headDim: Int) {
    let heads = stated.heads
    guard heads > 0, queryRows % heads == 0 else {
      throw corrupt("has \(queryRows) rows in all shards of attention.wq, which \(heads) heads don't divide: is a shard missing, or \(description) of another model?")
    }
    let headDim = queryRows / heads
    let expected = stated.headDim ?? dim / heads
    guard headDim == expected else {
      let rows = "\(queryRows) rows in \(modelParallel) shard\(modelParallel == 1 ? "" : "s") of attention.wq"
      throw corrupt("has \(rows), so \(heads) heads of \(headDim), where \(expected) is due: is a shard missing, or \(description) of another model?")
    }
    // RoPE turns pairs of a head's columns.
    guard headDim > 0, headDim % 2 == 0 else { throw corrupt("has heads of \(headDim), which rotary embeddings can't cut into pairs: is \(description) of another model?") }
    return (heads, headDim)
  }

  /// Every rank has the same tensors, with the same shapes and dtypes.
  private func checkShardsAgree() throws(CheckpointError) {
    let first = shards[0]
    for (rank, shard) in shards.enumerated().dropFirst() {
      func differs(_ name: TensorName) -> Bool { first[name]?.shape != shard[name]?.shape || first[name]?.dtype != shard[name]?.dtype }
      // Of several the first in the reference's order, so that the message is the same each time.
      guard let name = Set(first.keys).union(shard.keys).filter(differs).min() else { continue }
      guard let other = first[name] else { throw corrupt("has \(name) in shard \(rank), but not in shard 0") }
      guard let tensor = shard[name] else { throw corrupt("has \(name) in shard 0, but not in shard \(rank)") }
      guard tensor.shape == other.shape else {
        throw corrupt("has \(name) of shape \(tensor.shape) in shard \(rank), but \(other.shape) in shard 0")
      }
      throw corrupt("has \(name) as \(tensor.dtype) in shard \(rank), but as \(other.dtype) in shard 0")
    }
  }

  /// No two ranks have the same heads, so those whose wq begins alike are one shard under two names. Rows of one value, as before training, say nothing.
  private func checkRanksDiffer(_ tensors: [LogicalTensor]) throws(CheckpointError) {
    guard modelParallel > 1, files.allSatisfy(\.isHere), let wq = tensors.first(where: { $0.name == TensorName(.wq, layer: 0) }) else { return }
    var reader = PartReader(files: files)
    var seen: [[UInt8]: Int] = [:]
    for (rank, row) in try reader.firstRows(of: wq).enumerated() where row.dropFirst(wq.dtype.blockBytes) != row.dropLast(wq.dtype.blockBytes) {
      guard let other = seen.updateValue(rank, forKey: row) else { continue }
      throw CheckpointError(
        .corrupt, in: files[wq.parts[rank].file].path, byte: wq.parts[rank].offset, "\(wq.name) is that of shard \(other): shard \(rank) is one of the two, and one is missing")
    }
  }

  /// Counts the layers, and checks that each has all of its tensors.
  private func countLayers(_ experts: ModelParams.Experts?) throws(CheckpointError) -> Int {
    let layers = try count(.text)
    let biases = Set(shards[0].keys.map(\.role).filter(\.isBias))
    for role in TensorName.Role.allCases where !role.isBuffer && !role.isOfVision && role != .output && (!role.isBias || biases.contains(role)) {
      for layer in 0..<(role.isLayered ? layers : 1) {
        let name = TensorName(role, layer: role.isLayered ? layer : nil)
        let isDue = role.isOfExperts ? experts?.isIn(layer: layer) ?? false : !(TensorName.Role.dense.contains(role) && experts?.isIn(layer: layer) ?? false)
        guard !isDue || shards[0][name] != nil else { throw corrupt("lacks \(name)") }
        guard isDue || shards[0][name] == nil else {
          throw corrupt("has \(name), where \(description) says that one layer in \(experts?.interval ?? 0) has experts: one of the two is of another model")
        }
      }
    }
    if let stated = stated.layers, stated != layers { throw corrupt("has \(layers) layers, but its description says \(stated): is a file missing?") }
    return layers
  }

  private func count(_ stack: TensorName.Stack) throws(CheckpointError) -> Int {
    let first = shards[0]
    // A layer has nine tensors, so a layer beyond the number of tensors means that most are missing.
    guard let last = first.keys.filter({ $0.role.stack == stack }).compactMap(\.layer).max(), last < first.count else {
      throw corrupt("has no whole layer of \(stack == .text ? "a Llama model" : "what reads images")")
    }
    return last + 1
  }

  /// What experts there are: shapes tell, and the description bears it out.
  /// - Returns: nil where no layer has any.
  private func experts() throws(CheckpointError) -> ModelParams.Experts? {
    guard let name = shards[0].keys.filter({ $0.role == .router }).min(), let router = shards[0][name], let shared = shards[0][TensorName(.sharedW1, layer: name.layer)]
    else {
      if let some = shards[0].keys.filter(\.role.isOfExperts).min() { throw corrupt("has \(some), and not all that belongs to a layer with experts") }
      return nil
    }
    guard let said = stated.experts else {
      throw corrupt("has \(name), and \(description) says nothing of experts (moe_args): every how many layers there are some can't be told")
    }
    let experts = ModelParams.Experts(count: router.columns, hiddenDim: shared.rows * modelParallel, interval: said.interval)
    // Far above any model, and no product of them overflows.
    guard experts.count <= 1 << 16, experts.hiddenDim <= 1 << 30 else { throw corrupt("has \(experts.count) experts of the width \(experts.hiddenDim), as no model has") }
    for (what, said, found) in [("experts", said.count, experts.count), ("the width of an expert", said.hiddenDim, experts.hiddenDim)] {
      if let said, said != found { throw contradiction(what, said, found) }
    }
    return experts
  }

  /// What there is of what turns images into embeddings: all of it, or nothing.
  private func vision() throws(CheckpointError) -> ModelParams.Vision? {
    let first = shards[0]
    guard let some = first.keys.filter(\.role.isOfVision).min() else { return nil }
    let layers = try count(.vision)
    for role in TensorName.Role.allCases where role.isOfVision {
      for layer in 0..<(role.isLayered ? layers : 1) {
        let name = TensorName(role, layer: role.isLayered ? layer : nil)
        guard first[name] != nil else { throw corrupt("lacks \(name), which belongs to \(some)") }
      }
    }
    guard let heads = stated.visionHeads, heads > 0, let patches = first[TensorName(.visionPatches)], let classEmbedding = first[TensorName(.visionClass)],
      let positions = first[TensorName(.visionPositions)], let up = first[TensorName(.visionUp, layer: 0)], let adapter = first[TensorName(.visionAdapterUp)]
    else { throw corrupt("has \(some), and \(description) doesn't say how many heads there are for images (vision_args)") }
    let dim = classEmbedding.columns
    guard dim % heads == 0 else { throw corrupt("has \(TensorName(.visionClass)) of \(dim) columns, which the \(heads) heads of vision_args don't divide") }
    return ModelParams.Vision(
      dim: dim, layers: layers, heads: heads, hiddenDim: up.rows * modelParallel, patch: patches.columns, positions: positions.rows,
      adapterInput: adapter.columns, outputDim: adapter.rows * modelParallel)
  }

  /// The axis along which the embedding is cut among several shards; of one shard it isn't.
  private func embeddingAxis(_ embedding: StoredTensor, dim: Int) throws(CheckpointError) -> Int {
    if embedding.columns == dim { return 0 }
    guard embedding.columns * modelParallel == dim else {
      throw corrupt(
        "has tok_embeddings.weight of \(embedding.columns) columns in each of \(modelParallel) shards, where \(dim) or \(dim / modelParallel) are due: is a shard missing?")
    }
    return 1
  }

  /// Key and value heads, copies not counted.
  /// - Parameter params: where `kvHeads` counts copies.
  private func keyValueHeads(_ params: ModelParams, _ wk: StoredTensor) throws(CheckpointError) -> KeyValueHeads {
    guard modelParallel > 1, params.kvHeads == modelParallel else {
      if let said = options.keyValueHeads, said != params.kvHeads {
        throw CheckpointError(.refused, in: path, "has \(params.kvHeads) key and value heads by its shapes; --kv-heads says \(said)")
      }
      return KeyValueHeads(count: params.kvHeads)
    }
    let known = try KnownReleases(params)
    var parts: [LogicalTensor.Part] = []
    let name = TensorName(.wk, layer: 0)
    for (rank, shard) in shards.enumerated() {
      guard var part = shard[name]?.part else { throw corrupt("lacks \(name) in shard \(rank)") }
      part.rank = rank
      parts.append(part)
    }
    let tensor = LogicalTensor(name: name, shape: [wk.rows * modelParallel, wk.columns], dtype: wk.dtype, split: .axis(0), parts: parts)
    return try KeyValueHeads(ranks: modelParallel, known: known.common { $0.kvHeads }, said: options.keyValueHeads, wk: tensor, files: files, corrupt: corrupt)
  }

  private func tensor(
    _ name: TensorName, _ params: ModelParams, embeddingAxis: Int, _ keyValueHeads: KeyValueHeads
  ) throws(CheckpointError) -> LogicalTensor {
    let split = modelParallel > 1 ? name.role.split(embeddingAxis: embeddingAxis) : .whole
    let isKeyOrValue = name.role.isKeyOrValue
    let copies = isKeyOrValue ? max(1, modelParallel / keyValueHeads.count) : 1
    var parts: [LogicalTensor.Part] = []
    for (rank, shard) in shards.enumerated() {
      guard let stored = shard[name] else { throw corrupt("lacks \(name) in shard \(rank)") }
      if name.role.isCutByExpert, modelParallel > 1, let experts = params.experts {
        guard stored.rows % experts.count == 0, stored.pieces == nil else {
          throw corrupt("has \(name) of \(stored.rows) rows in each of \(modelParallel) shards, where its \(experts.count) experts have as many each")
        }
        parts += stored.parts(experts: experts.count, rank: rank, of: modelParallel)
        continue
      }
      let rowStart = split == .axis(0) ? rank / copies * stored.rows : 0
      let columnStart = split == .axis(1) ? rank * stored.columns : 0
      for var part in stored.parts {
        part.rank = rank
        part.rows = rowStart + part.rows.lowerBound..<rowStart + part.rows.upperBound
        part.columns = columnStart + part.columns.lowerBound..<columnStart + part.columns.upperBound
        parts.append(part)
      }
    }
    let first = shards[0][name]
    let rows = parts.map(\.rows.upperBound).max() ?? 0
    let columns = parts.map(\.columns.upperBound).max() ?? 0
    let shape = first?.shape.count == 2 ? [rows, columns] : [columns]
    let expected = params.shape(of: name.role)
    guard shape == expected else {
      throw corrupt("has \(name) of shape \(shape) in all, where the other tensors make it \(expected)")
    }
    let order = rowOrder(name.role, params.headDim)
    // The rows of a head lie among each other there, so a piece of a head is no run of Meta's rows.
    if case .halves(let headDim) = order, let part = parts.first(where: { $0.rows.lowerBound % headDim != 0 || $0.rows.upperBound % headDim != 0 }) {
      throw CheckpointError(
        .unsupported, in: files[part.file].path, byte: part.offset,
        "has a piece of \(name) of the rows \(part.rows), which cuts a head of \(headDim) rows in two; save it again without cutting heads, by one process for example")
    }
    return LogicalTensor(
      name: name, shape: shape, dtype: parts.isEmpty ? .f32 : first?.dtype ?? .f32, split: split,
      rowOrder: order, parts: parts, firstRowsDiffer: isKeyOrValue && !name.role.isBias && keyValueHeads.isClaim)
  }

  /// Holds what the description says against the shapes: where they contradict each other it is another model's, but for contradictions of a release
  /// itself, which the catalog lists.
  ///
  /// - Returns: what a person should know, in sentences.
  private func checkStatements(_ params: ModelParams) throws(CheckpointError) -> [String] {
    var notes: [String] = []
    if stated.isHeadless { notes.append("there is no output projection, so the model can't be asked for the next token: it is the body of one, or a reward model") }
    let biases = [
      ("attention", stated.hasAttentionBias, TensorName.Role.attentionBiases), ("feed-forward", stated.hasFeedForwardBias, TensorName.Role.feedForwardBiases),
    ]
    for (what, says, roles) in biases where says == true {
      for role in roles where shards[0][TensorName(role, layer: 0)] == nil {
        throw corrupt("\(description) says that the \(what) layers have biases, and \(TensorName(role, layer: 0)) isn't there")
      }
    }
    // Where all layers have experts, what is said of the others is of none.
    let hiddenDim = params.experts?.interval == 1 ? nil : stated.hiddenDim
    for (what, said, found) in [("dim", stated.dim, params.dim), ("feed-forward width", hiddenDim, params.hiddenDim)] {
      if let said, said != found { throw contradiction(what, said, found) }
    }
    if let architecture = params.architecture {
      notes.append("it has \(architecture): drover inspects, fingerprints and reshards it, and doesn't run it")
      if stated.experts?.count ?? 0 > 0, params.experts == nil { throw corrupt("\(description) says moe_args, and no layer has experts: one of the two is of another model") }
    }
    if let said = stated.vocabularySize, said != params.vocabularySize {
      let known = try KnownReleases(params)
      guard known.releases.contains(where: { $0.contradictions["vocab_size"] == said }) else { throw contradiction("vocabulary size", said, params.vocabularySize) }
      notes.append("\(description) says vocabulary size \(said), as that of the release does; with the tokens that were added it is \(params.vocabularySize)")
    }
    // With more ranks than heads Meta's reference counts copies.
    if let said = stated.kvHeads, said != params.kvHeads, said != max(params.kvHeads, modelParallel) {
      throw contradiction("key and value heads", said, params.kvHeads)
    }
    let missing = [("dim", stated.dim), ("the number of layers", stated.layers), ("the feed-forward width", stated.hiddenDim)].filter { $0.1 == nil }.map(\.0)
    if !missing.isEmpty { notes.append("\(description) doesn't say \(missing.joined(separator: ", ")); the shapes of the tensors do") }
    if stated.tiedEmbeddings == false, params.tiedEmbeddings {
      notes.append("there is no output.weight: the embedding table serves as the output projection")
    }
    return notes
  }

  private func contradiction(_ what: String, _ said: Int, _ found: Int) -> CheckpointError {
    corrupt("\(description) says \(what) \(said), the shapes of the tensors say \(found): it is of another model, or a file is missing or of another one")
  }

  private func corrupt(_ message: String) -> CheckpointError { CheckpointError(.corrupt, in: path, message) }
}

extension ModelParams {
  /// The whole shape that a tensor has in this model.
  func shape(of role: TensorName.Role) -> [Int] {
    switch role {
    case .tokEmbeddings, .output: [vocabularySize, dim]
    case .attentionNorm, .ffnNorm, .norm: [dim]
    case .wq: [heads * headDim, dim]
    case .wk, .wv: [kvHeads * headDim, dim]
    case .wo: [dim, heads * headDim]
    case .w1, .w3: [hiddenDim, dim]
    case .w2: [dim, hiddenDim]
    case .ropeFreqs, .layerRopeFreqs: [headDim / 2]
    case .wqBias: [heads * headDim, 1]
    case .wkBias, .wvBias: [kvHeads * headDim, 1]
    case .w1Bias, .w3Bias: [hiddenDim, 1]
    case .woBias, .w2Bias: [dim, 1]
    case .router: [dim, experts?.count ?? 0]
    case .expertsW1, .expertsW3: [(experts?.count ?? 0) * dim, experts?.hiddenDim ?? 0]
    case .expertsW2: [(experts?.count ?? 0) * (experts?.hiddenDim ?? 0), dim]
    case .sharedW1, .sharedW3: [experts?.hiddenDim ?? 0, dim]
    case .sharedW2: [dim, experts?.hiddenDim ?? 0]
    default: vision?.shape(of: role, textDim: dim) ?? [0]
    }
  }
}

extension ModelParams.Vision {
  fileprivate func shape(of role: TensorName.Role, textDim: Int) -> [Int] {
    switch role {
    case .visionPatches: [dim, patch]
    case .visionPositions: [positions, dim]
    case .visionWq, .visionWk, .visionWv, .visionWo: [dim, dim]
    case .visionUp: [hiddenDim, dim]
    case .visionUpBias: [hiddenDim, 1]
    case .visionDown: [dim, hiddenDim]
    case .visionAdapterUp: [outputDim, adapterInput]
    case .visionAdapterDown: [outputDim, outputDim]
    case .visionProjection: [textDim, outputDim]
    default: role.isBias ? [dim, 1] : [dim]
    }
  }
}

extension StoredTensor {
  /// The parts of a rank that has a run of each expert's rows.
  /// - Parameters:
  ///   - experts: their number, which divides the rows.
  ///   - ranks: far from overflow: they are files, and rows those of a tensor that was checked to lie in one.
  fileprivate func parts(experts: Int, rank: Int, of ranks: Int) -> [LogicalTensor.Part] {
    let run = rows / experts
    return (0..<experts).map { expert in
      var part = part
      part.rank = rank
      part.offset += expert * run * part.rowStride
      let start = (expert * ranks + rank) * run
      part.rows = start..<start + run
      return part
    }
  }
}
