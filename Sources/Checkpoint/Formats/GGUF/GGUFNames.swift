/// What llama.cpp calls the tensors of a Llama.
///
/// Source: `TENSOR_NAMES` in `constants.py` of the gguf package.
enum GGUFNames {
  /// What RoPE's frequencies are divided by, where Llama 3.1's scaling is used.
  static let ropeFactors = "rope_freqs.weight"

  private static let roles: [String: TensorName.Role] = [
    "token_embd.weight": .tokEmbeddings, "attn_norm.weight": .attentionNorm, "attn_q.weight": .wq, "attn_k.weight": .wk,
    "attn_v.weight": .wv, "attn_output.weight": .wo, "ffn_norm.weight": .ffnNorm, "ffn_gate.weight": .w1,
    "ffn_down.weight": .w2, "ffn_up.weight": .w3, "output_norm.weight": .norm, "output.weight": .output,
    "attn_q.bias": .wqBias, "attn_k.bias": .wkBias, "attn_v.bias": .wvBias, "attn_output.bias": .woBias, "ffn_gate.bias": .w1Bias, "ffn_down.bias": .w2Bias,
    "ffn_up.bias": .w3Bias,
  ]

  /// Meta's name; nil for what isn't a tensor of a Llama text model.
  static func metaName(_ name: String) -> TensorName? {
    guard name.hasPrefix("blk.") else { return roles[name].flatMap { $0.isLayered ? nil : TensorName($0) } }
    let rest = name.dropFirst(4)
    guard let dot = rest.firstIndex(of: "."), let layer = TensorName.layer(rest[..<dot]),
      let role = roles[String(rest[rest.index(after: dot)...])], role.isLayered
    else { return nil }
    return TensorName(role, layer: layer)
  }

  /// llama.cpp's name; nil for buffers, which it computes.
  static func name(_ name: TensorName) -> String? {
    guard let text = roles.first(where: { $0.value == name.role })?.key else { return nil }
    return name.layer.map { "blk.\($0).\(text)" } ?? text
  }
}
