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
  var companions: Companions
  /// Orders of rows that aren't Meta's, by role.
  var rowOrder: @Sendable (TensorName.Role, _ headDim: Int) -> LogicalTensor.RowOrder = { _, _ in .pairs }

  private var modelParallel: Int { shards.count }

  func checkpoint() throws(CheckpointError) -> Checkpoint {
    let first = shards[0]
    try checkShardsAgree()
    let layers = try countLayers()
    guard let norm = first[TensorName(.norm)], let w1 = first[TensorName(.w1, layer: 0)], let wq = first[TensorName(.wq, layer: 0)],
      let wk = first[TensorName(.wk, layer: 0)], let embedding = first[TensorName(.tokEmbeddings)]
    else { throw corrupt("has no norm.weight") }
    let dim = norm.columns
    let heads = stated.heads
    // Rows are far from overflow: they are dimensions of tensors that were checked to lie in a file, and ranks are files.
    let queryRows = wq.rows * modelParallel
    guard heads > 0, queryRows % heads == 0 else {
      throw corrupt("has \(queryRows) rows in all shards of attention.wq, which \(heads) heads don't divide: is a shard missing, or params.json of another model?")
    }
    let headDim = queryRows / heads
    let expected = stated.headDim ?? dim / heads
    guard headDim == expected else {
      throw corrupt(
        "has \(queryRows) rows in \(modelParallel) shard\(modelParallel == 1 ? "" : "s") of attention.wq, so \(heads) heads of \(headDim), where \(expected) is due: is a shard missing, or params.json of another model?")
    }
    // RoPE turns pairs of a head's columns.
    guard headDim > 0, headDim % 2 == 0 else { throw corrupt("has heads of \(headDim), which rotary embeddings can't cut into pairs: is params.json of another model?") }
    guard wk.rows % headDim == 0 else { throw corrupt("has \(wk.rows) rows in a shard of attention.wk, which heads of \(headDim) don't divide") }
    let repeats = try keyValueRepeats(localHeads: wk.rows / headDim, layers: layers)
    let kvHeads = wk.rows / headDim * modelParallel / repeats
    guard heads % kvHeads == 0 else { throw corrupt("has \(kvHeads) key and value heads, which don't divide its \(heads) heads") }

    let embeddingAxis = try embeddingAxis(embedding, dim: dim)
    let vocabulary = embedding.rows * (embeddingAxis == 0 ? modelParallel : 1)
    let hasOutput = first[TensorName(.output)] != nil
    let params = ModelParams(
      dim: dim, layers: layers, heads: heads, kvHeads: kvHeads, headDim: headDim, hiddenDim: w1.rows * modelParallel,
      vocabularySize: vocabulary, normEpsilon: Float(stated.normEpsilon), ropeTheta: stated.ropeTheta, ropeScaling: stated.ropeScaling,
      tiedEmbeddings: !hasOutput)

    var tensors: [LogicalTensor] = []
    tensors.reserveCapacity(first.count)
    for name in first.keys.sorted() {
      tensors.append(try tensor(name, params, embeddingAxis: embeddingAxis, repeats: repeats))
    }
    var companions = companions
    companions.notes += disagreements(params)
    return Checkpoint(
      format: format, modelParallel: modelParallel, params: params, tensors: tensors, files: files, companions: companions)
  }

  /// Every rank has the same tensors, with the same shapes and dtypes.
  private func checkShardsAgree() throws(CheckpointError) {
    let first = shards[0]
    for (rank, shard) in shards.enumerated().dropFirst() {
      for (name, tensor) in shard {
        guard let other = first[name] else { throw corrupt("has \(name) in shard \(rank), but not in shard 0") }
        guard tensor.shape == other.shape else {
          throw corrupt("has \(name) of shape \(tensor.shape) in shard \(rank), but \(other.shape) in shard 0")
        }
        guard tensor.dtype == other.dtype else {
          throw corrupt("has \(name) as \(tensor.dtype) in shard \(rank), but as \(other.dtype) in shard 0")
        }
      }
      for name in first.keys where shard[name] == nil { throw corrupt("has \(name) in shard 0, but not in shard \(rank)") }
    }
  }

  /// Counts the layers, and checks that each has all of its tensors.
  private func countLayers() throws(CheckpointError) -> Int {
    let first = shards[0]
    // A layer has nine tensors, so a layer beyond the number of tensors means that most are missing.
    guard let last = first.keys.compactMap(\.layer).max(), last < first.count else { throw corrupt("has no whole layer of a Llama model") }
    let layers = last + 1
    for role in TensorName.Role.allCases where !role.isBuffer && role != .output {
      for layer in 0..<(role.isLayered ? layers : 1) {
        let name = TensorName(role, layer: role.isLayered ? layer : nil)
        guard first[name] != nil else { throw corrupt("lacks \(name)") }
      }
    }
    if let stated = stated.layers, stated != layers { throw corrupt("has \(layers) layers, but its description says \(stated): is a file missing?") }
    return layers
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

  /// On how many ranks each key and value head lies: more than one when there are more ranks than heads.
  ///
  /// Meta's own 405B at MP 16 says `n_kv_heads: 16` for a model of 8, so what params.json says doesn't tell; equal bytes do.
  private func keyValueRepeats(localHeads: Int, layers: Int) throws(CheckpointError) -> Int {
    guard localHeads == 1, modelParallel > 1 else { return 1 }
    for repeats in (2...modelParallel).reversed() where modelParallel % repeats == 0 {
      if try headsRepeat(repeats, layers: layers) { return repeats }
    }
    return 1
  }

  /// Whether each run of `repeats` ranks has the same key and value head.
  ///
  /// In one layer heads may be alike by themselves, such as those that were set to zero, so all layers are compared by their first rows, and the first
  /// layer by all rows; no two trained heads share their first. Where each look costs a round trip, the first row of the first layer must do.
  private func headsRepeat(_ repeats: Int, layers: Int) throws(CheckpointError) -> Bool {
    let isHere = files.allSatisfy(\.isHere)
    for layer in 0..<(isHere ? layers : 1) {
      for rank in 0..<modelParallel where rank % repeats != 0 {
        for role in [TensorName.Role.wk, .wv] {
          let name = TensorName(role, layer: layer)
          guard let a = shards[rank / repeats * repeats][name], let b = shards[rank][name], try areAlike(a, b, rows: isHere && layer == 0 ? a.rows : 1) else { return false }
        }
      }
    }
    return true
  }

  /// Whether the first `rows` rows of two tensors of one shape hold the same bytes.
  private func areAlike(_ a: StoredTensor, _ b: StoredTensor, rows: Int) throws(CheckpointError) -> Bool {
    var (partA, partB) = (a.part, b.part)
    (partA.rows, partB.rows) = (0..<rows, 0..<rows)
    return try partA.isEqual(in: files[a.file], to: partB, in: files[b.file], a.dtype)
  }

  private func tensor(
    _ name: TensorName, _ params: ModelParams, embeddingAxis: Int, repeats: Int
  ) throws(CheckpointError) -> LogicalTensor {
    let split = modelParallel > 1 ? name.role.split(embeddingAxis: embeddingAxis) : .whole
    let copies = name.role == .wk || name.role == .wv ? repeats : 1
    var parts: [LogicalTensor.Part] = []
    for (rank, shard) in shards.enumerated() {
      guard let stored = shard[name] else { throw corrupt("lacks \(name) in shard \(rank)") }
      let rowStart = split == .axis(0) ? rank / copies * stored.rows : 0
      let columnStart = split == .axis(1) ? rank * stored.columns : 0
      var part = stored.part
      part.rank = rank
      part.rows = rowStart..<rowStart + stored.rows
      part.columns = columnStart..<columnStart + stored.columns
      parts.append(part)
    }
    let first = shards[0][name]
    let rows = parts.map(\.rows.upperBound).max() ?? 0
    let columns = parts.map(\.columns.upperBound).max() ?? 0
    let shape = first?.shape.count == 2 ? [rows, columns] : [columns]
    let expected = params.shape(of: name.role)
    guard shape == expected else {
      throw corrupt("has \(name) of shape \(shape) in all, where the other tensors make it \(expected)")
    }
    return LogicalTensor(
      name: name, shape: shape, dtype: parts.isEmpty ? .f32 : first?.dtype ?? .f32, split: split,
      rowOrder: rowOrder(name.role, params.headDim), parts: parts)
  }

  /// Where the description and the shapes differ, in words. The shapes hold.
  private func disagreements(_ params: ModelParams) -> [String] {
    var notes: [String] = []
    func compare(_ what: String, _ said: Int?, _ found: Int) {
      if let said, said != found { notes.append("the description says \(what) \(said), the shapes say \(found); the shapes hold") }
    }
    compare("dim", stated.dim, params.dim)
    compare("hidden width", stated.hiddenDim, params.hiddenDim)
    compare("vocabulary size", stated.vocabularySize, params.vocabularySize)
    // With repeated heads Meta counts the copies.
    if stated.kvHeads != modelParallel { compare("key and value heads", stated.kvHeads, params.kvHeads) }
    if stated.tiedEmbeddings == false, params.tiedEmbeddings {
      notes.append("there is no output.weight: the embedding table serves as the output projection")
    }
    return notes
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
    }
  }
}
