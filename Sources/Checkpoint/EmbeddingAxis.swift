/// Along which axis the embedding is cut among ranks: the one thing about a split that isn't the same in all Llamas.
///
/// Shapes of several shards tell. Of one shard, or of a format without ranks, the embedding isn't cut, and the family tells how its reference wants it:
/// Llama 1, 2 and Code Llama, whose SentencePiece vocabularies have 32,000 or 32,016 tokens, by columns (`ParallelEmbedding`); Llama 3 and later, with
/// 128,256 tokens, by rows (`VocabParallelEmbedding`).
extension Checkpoint {
  /// 0 for rows, 1 for columns; nil for a model of no family of Meta's in one shard, which drover reads back either way.
  public var embeddingAxis: Int? {
    if case .axis(let axis)? = self[TensorName(.tokEmbeddings)]?.split { return axis }
    switch params.vocabularySize {
    case 32_000...32_016: return 1
    case 128_256: return 0
    default: return nil
    }
  }
}
