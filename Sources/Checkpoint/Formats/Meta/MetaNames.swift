extension NamingScheme {
  /// Meta's own names, those of the files of Llama 4, and gpt-fast's, which are Meta's but for the attention's projections in one matrix.
  ///
  /// Source: the load hooks in `llama4/model.py`, `moe.py` and `ffn.py` of llama-models; `scripts/convert_hf_checkpoint.py` of gpt-fast, which also puts
  /// rotated rows into Meta's order.
  static let meta = NamingScheme(
    meaning: { name in
      if let weight = TensorName(name) { return .weight(weight) }
      guard let (stack, layer, rest) = TensorName.place(name), stack == .text else { return nil }
      switch rest {
      case "attention.wqkv.weight": return .fused(layer: layer, .stacked)
      case "feed_forward.mlp.fc1_weight": return .fused(layer: layer, .feedForward)
      default: return llama4Names[rest].map { .weight(TensorName($0, layer: layer)) }
      }
    }, rotatesHalves: false, descriptions: [.params, .config])

  private static let llama4Names: [Substring: TensorName.Role] = [
    "attention.wqkv.layer_norm_weight": .attentionNorm, "feed_forward.norm.weight": .ffnNorm, "feed_forward.mlp.layer_norm_weight": .ffnNorm,
    "feed_forward.mlp.fc2_weight": .w2, "feed_forward.shared_expert.w1.weight": .sharedW1, "feed_forward.shared_expert.w2.weight": .sharedW2,
    "feed_forward.shared_expert.w3.weight": .sharedW3,
  ]
}
