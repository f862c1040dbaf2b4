/// What each rank of a model-parallel group holds of a model: whole heads, and equal runs of everything else.
///
/// Source: fairscale's `ColumnParallelLinear`, `RowParallelLinear` and `ParallelEmbedding`, as Meta's reference uses them.
package struct ShardLayout {
  let params: ModelParams
  let modelParallel: Int
  /// 1 as Llama 1 and 2 split their embedding, 0 as Llama 3 and later.
  let embeddingAxis: Int

  /// - Throws: when the heads or widths don't divide; the message says which sizes work.
  package init(params: ModelParams, modelParallel: Int, embeddingAxis: Int) throws(CheckpointError) {
    self.params = params
    self.modelParallel = modelParallel
    self.embeddingAxis = embeddingAxis
    if let obstacle = Self.obstacle(params, modelParallel, embeddingAxis) {
      let sizes = (1...max(1, params.heads)).filter { Self.obstacle(params, $0, embeddingAxis) == nil }.map(String.init)
      throw CheckpointError(.refused, "the model can't be split among \(modelParallel) ranks: \(obstacle). Sizes that work: \(sizes.joined(separator: ", "))")
    }
  }

  /// Why the model can't be split so; nil when it can.
  private static func obstacle(_ params: ModelParams, _ ranks: Int, _ embeddingAxis: Int) -> String? {
    guard ranks > 0 else { return "there must be one at least" }
    func indivisible(_ what: String, _ count: Int) -> String? { count % ranks == 0 ? nil : "its \(count) \(what) don't divide" }
    if let obstacle = indivisible("heads", params.heads) { return obstacle }
    // More ranks than key and value heads: each head is repeated.
    if params.kvHeads % ranks != 0, ranks % params.kvHeads != 0 { return "its \(params.kvHeads) key and value heads neither divide nor repeat evenly" }
    if let obstacle = indivisible("feed-forward columns", params.hiddenDim) { return obstacle }
    if let experts = params.experts, let obstacle = indivisible("columns of an expert", experts.hiddenDim) { return obstacle }
    if let vision = params.vision {
      // What is projected from images has the rows of the model's width.
      let counts = [("heads for images", vision.heads), ("feed-forward columns for images", vision.hiddenDim), ("rows of the adapter for images", vision.outputDim), ("columns", params.dim)]
      for (what, count) in counts { if let obstacle = indivisible(what, count) { return obstacle } }
    }
    // A tied output is cut by rows too.
    if let obstacle = indivisible("vocabulary rows", params.vocabularySize) { return obstacle }
    return embeddingAxis == 1 ? indivisible("embedding columns", params.dim) : nil
  }

  /// On how many ranks each key and value head lies.
  var keyValueCopies: Int { max(1, modelParallel / params.kvHeads) }

  /// Key and value heads over all ranks, copies counted, as Meta's `params.json` does.
  var keyValueHeads: Int { params.kvHeads * keyValueCopies }

  /// The rows and columns of a whole tensor that `rank` holds, in their order in its file.
  func regions(_ role: TensorName.Role, rank: Int) -> [(rows: Range<Int>, columns: Range<Int>)] {
    let (rows, columns) = region(role, rank: rank)
    guard role.isCutByExpert, let experts = params.experts else { return [(rows, columns)] }
    let run = rows.count / experts.count
    return (0..<experts.count).map { expert in
      let start = (expert * modelParallel + rank) * run
      return (start..<start + run, columns)
    }
  }

  /// The rows and columns of a whole tensor that `rank` holds, where each kind of tensor is cut in one piece.
  package func region(_ role: TensorName.Role, rank: Int) -> (rows: Range<Int>, columns: Range<Int>) {
    let shape = params.shape(of: role)
    let rows = shape.count > 1 ? shape[0] : 1
    let columns = shape[shape.count - 1]
    switch role.split(embeddingAxis: embeddingAxis) {
    case .whole: return (0..<rows, 0..<columns)
    case .axis(0):
      let copies = role.isKeyOrValue ? keyValueCopies : 1
      let count = rows * copies / modelParallel
      let start = rank / copies * count
      return (start..<start + count, 0..<columns)
    case .axis:
      let count = columns / modelParallel
      return (0..<rows, rank * count..<(rank + 1) * count)
    }
  }
}
