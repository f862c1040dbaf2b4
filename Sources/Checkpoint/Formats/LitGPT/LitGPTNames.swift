extension NamingScheme {
  /// litgpt's (formerly lit-gpt's) names.
  ///
  /// Source: `copy_weights_hf_llama` in `litgpt/scripts/convert_hf_checkpoint.py`. Since 2025 a layer's projections lie one after the other (`attn.qkv`); before,
  /// group by group (`attn.attn`).
  static let litGPT = NamingScheme(
    meaning: { name in
      if let role = whole[name] { return .weight(TensorName(role)) }
      let prefix = "transformer.h."
      guard name.hasPrefix(prefix) else { return nil }
      let rest = name.dropFirst(prefix.count)
      guard let dot = rest.firstIndex(of: "."), let layer = TensorName.layer(rest[..<dot]) else { return nil }
      switch rest[rest.index(after: dot)...] {
      case "attn.qkv.weight": return .fused(layer: layer, .stacked)
      case "attn.attn.weight": return .fused(layer: layer, .grouped)
      case let part: return layered[String(part)].map { .weight(TensorName($0, layer: layer)) }
      }
    }, rotatesHalves: true, descriptions: [.config, .litGPT, .params])

  private static let whole: [String: TensorName.Role] = [
    "transformer.wte.weight": .tokEmbeddings, "transformer.ln_f.weight": .norm, "lm_head.weight": .output,
  ]
  private static let layered: [String: TensorName.Role] = [
    "norm_1.weight": .attentionNorm, "attn.proj.weight": .wo, "norm_2.weight": .ffnNorm, "mlp.fc_1.weight": .w1, "mlp.fc_2.weight": .w3, "mlp.proj.weight": .w2,
  ]
}
