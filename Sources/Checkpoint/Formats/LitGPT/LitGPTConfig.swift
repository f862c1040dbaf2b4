import Platform
import SystemPackage

/// litgpt's `model_config.yaml`.
///
/// Source: `Config` in `litgpt/config.py`; what `litgpt/model.py` does with each key.
enum LitGPTConfig {
  /// - Parameter file: the `model_config.yaml`.
  static func stated(in file: any ByteSource) throws(CheckpointError) -> StatedParams {
    let path = file.path
    let said = try FlatYAML.read(jsonContents(of: file), in: path)
    func integer(_ key: String) throws(CheckpointError) -> Int? { try value(said, key, "an integer", path) { $0.integer } }
    func number(_ key: String) throws(CheckpointError) -> Double? { try value(said, key, "a number", path) { $0.number } }
    guard let heads = try integer("n_head") else { throw CheckpointError(.corrupt, in: path, "doesn't say n_head") }
    guard let epsilon = try number("norm_eps") else { throw CheckpointError(.corrupt, in: path, "doesn't say norm_eps") }
    var stated = StatedParams(
      dim: try integer("n_embd"), layers: try integer("n_layer"), heads: heads, kvHeads: try integer("n_query_groups") ?? heads, headDim: try integer("head_size"),
      hiddenDim: try integer("intermediate_size"), vocabularySize: try integer("padded_vocab_size"), normEpsilon: epsilon,
      ropeTheta: try number("rope_base") ?? RoPETheta.defaultValue)
    stated.unhonoured = KeyTable.litGPT.unhonoured(said, in: path)
    // litgpt writes all keys; where one of these isn't there, it takes what no Llama has.
    for key in ["norm_class_name", "mlp_class_name", "parallel_residual", "bias", "rotary_percentage"] where said[key] == nil {
      throw CheckpointError(.corrupt, in: path, "doesn't say \(key), and what litgpt takes then is no Llama's")
    }
    let condensed = try number("rope_condense_ratio") ?? 1
    if condensed != 1 { stated.ropeScaling = .init(kind: .linear, factor: condensed) }
    if let adjustments = said["rope_adjustments"], !adjustments.isNull {
      try adjust(&stated, adjustments, path)
    }
    return stated
  }

  /// Llama 3.1's scaling, which is said whole, or a factor alone, by which all frequencies are divided.
  private static func adjust(_ stated: inout StatedParams, _ adjustments: JSONValue, _ path: FilePath) throws(CheckpointError) {
    if adjustments.keys == ["factor"], let factor = adjustments["factor"]?.number, stated.ropeScaling == nil {
      stated.ropeScaling = .init(kind: .linear, factor: factor)
      return
    }
    let names = ["factor", "low_freq_factor", "high_freq_factor", "original_max_seq_len"]
    let numbers = names.compactMap { adjustments[$0]?.number }
    guard Set(adjustments.keys) == Set(names), numbers.count == names.count, let context = adjustments["original_max_seq_len"]?.integer, stated.ropeScaling == nil else {
      let why = stated.ropeScaling == nil ? "only \(names.joined(separator: ", ")) together are supported" : "rope_condense_ratio scales too"
      stated.unhonoured.append(UnhonouredKey("rope_adjustments", adjustments, in: path, because: why))
      return
    }
    stated.ropeScaling = .init(factor: numbers[0], lowFrequencyFactor: numbers[1], highFrequencyFactor: numbers[2], originalContext: context)
    func key(_ name: String) -> String { "rope_adjustments." + name }
    try stated.ropeScaling?.check(path, (key("factor"), key("low_freq_factor"), key("high_freq_factor"), key("original_max_seq_len")))
  }

  private static func value<T>(_ said: [String: JSONValue], _ key: String, _ what: String, _ path: FilePath, _ read: (JSONValue) -> T?) throws(CheckpointError) -> T? {
    guard let value = said[key], !value.isNull else { return nil }
    guard let read = read(value) else { throw CheckpointError(.corrupt, in: path, "says \(key) is \(value.brief), where \(what) is due") }
    return read
  }
}

extension KeyTable {
  /// What belongs to layers with experts is without meaning where there are none.
  static let litGPT = KeyTable(rules: [
    "n_layer": .read, "n_embd": .read, "padded_vocab_size": .read, "n_head": .read, "head_size": .read, "n_query_groups": .read, "intermediate_size": .read,
    "norm_eps": .read, "rope_base": .read, "rope_condense_ratio": .read, "rope_adjustments": .read,
    "norm_class_name": .only([.text("RMSNorm")]), "mlp_class_name": .only([.text("LLaMAMLP")]), "rotary_percentage": .only([.integer(1)]),
    "norm_qk": .only([.bool(false)]), "post_attention_norm": .only([.bool(false)]), "post_mlp_norm": .only([.bool(false)]), "parallel_residual": .only([.bool(false)]),
    "shared_attention_norm": .only([.bool(false)]), "attn_bias": .only([.bool(false)]), "bias": .only([.bool(false)]), "lm_head_bias": .only([.bool(false)]),
    "rope_interleave": .only([.bool(false)]), "scale_embeddings": .only([.bool(false)]), "norm_1": .only([.bool(true)]), "norm_2": .only([.bool(true)]),
    "n_expert": .only([.integer(0)]), "attention_scores_scalar": .only([]), "sliding_window_size": .only([]), "attention_logit_softcapping": .only([]),
    "final_logit_softcapping": .only([]), "latent_attention": .only([]), "rope_local_base_freq": .only([]), "rope_indices": .only([]),
    "name": .harmless, "hf_config": .harmless, "block_size": .harmless, "vocab_size": .harmless, "padding_multiple": .harmless, "norm_qk_type": .harmless,
    "gelu_approximate": .harmless, "sliding_window_indices": .harmless, "moe_intermediate_size": .harmless, "n_shared_expert": .harmless, "n_expert_groups": .harmless,
    "n_topk_groups": .harmless, "n_topk_scores_per_group": .harmless, "n_expert_per_token": .harmless, "first_k_dense_replace": .harmless,
    "routed_scaling_factor": .harmless, "norm_topk_prob": .harmless,
  ])
}
