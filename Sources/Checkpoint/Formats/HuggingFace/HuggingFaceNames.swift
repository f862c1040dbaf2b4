/// The names that `transformers` has for a Llama's tensors.
///
/// Source: `transformers/models/llama/modeling_llama.py` and `convert_llama_weights_to_hf.py`.
enum HuggingFaceNames {
  /// Without `model.`, which all but the head have, and which `LlamaModel` saved by itself leaves out.
  private static let roles: [String: TensorName.Role] = [
    "embed_tokens.weight": .tokEmbeddings, "input_layernorm.weight": .attentionNorm, "self_attn.q_proj.weight": .wq, "self_attn.k_proj.weight": .wk,
    "self_attn.v_proj.weight": .wv, "self_attn.o_proj.weight": .wo, "post_attention_layernorm.weight": .ffnNorm, "mlp.gate_proj.weight": .w1,
    "mlp.down_proj.weight": .w2, "mlp.up_proj.weight": .w3, "norm.weight": .norm, "lm_head.weight": .output,
    "self_attn.q_proj.bias": .wqBias, "self_attn.k_proj.bias": .wkBias, "self_attn.v_proj.bias": .wvBias, "self_attn.o_proj.bias": .woBias,
    "mlp.gate_proj.bias": .w1Bias, "mlp.down_proj.bias": .w2Bias, "mlp.up_proj.bias": .w3Bias,
  ]

  /// The name of `transformers` for a tensor; nil for buffers, which it computes.
  static func name(_ name: TensorName) -> String? {
    guard let text = roles.first(where: { $0.value == name.role })?.key else { return nil }
    if name.role == .output { return text }
    return name.layer.map { "model.layers.\($0).\(text)" } ?? "model.\(text)"
  }

  fileprivate static func meaning(_ name: String) -> NamingScheme.Meaning? {
    // What old versions kept, and new ones compute.
    if name.hasSuffix(".rotary_emb.inv_freq") { return .computed }
    let prefix = "layers."
    guard name.hasPrefix(prefix) else { return roles[name].flatMap { $0.isLayered ? nil : .weight(TensorName($0)) } }
    let rest = name.dropFirst(prefix.count)
    guard let dot = rest.firstIndex(of: "."), let layer = TensorName.layer(rest[..<dot]), let role = roles[String(rest[rest.index(after: dot)...])],
      role.isLayered
    else { return nil }
    return .weight(TensorName(role, layer: layer))
  }
}

extension NamingScheme {
  static let huggingFace = NamingScheme(meaning: HuggingFaceNames.meaning, rotatesHalves: true, descriptions: [.config, .params])
}
