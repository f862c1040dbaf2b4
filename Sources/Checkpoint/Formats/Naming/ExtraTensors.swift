/// Tensors in files of weights that a Llama doesn't need to run, and what is said of them. What isn't here and isn't a weight is refused by name.
struct ExtraTensors {
  enum Kind: Int, CaseIterable {
    case buffers, adapters, heads, training

    /// Before the names of some.
    var description: String {
      switch self {
      case .buffers: "buffers that are computed anew"
      case .adapters: "remains of adapters, whose part in the numbers is lost unless they were merged into the weights"
      case .heads: "a head that isn't a language model's"
      case .training: "what trainers keep"
      }
    }
  }

  private var names: [Kind: [String]] = [:]
  /// Those that are tensors, by their files' places among those that were read.
  private(set) var tensors: [(file: Int, name: String)] = []

  /// - Returns: nil for a tensor that may change what a model computes.
  static func kind(of name: String) -> Kind? {
    let words = name.split(separator: ".")
    guard let last = words.last else { return nil }
    if words.contains(where: adapters.contains) { return .adapters }
    if buffers.contains(last) || name.hasSuffix("rotary_emb.cos") || name.hasSuffix("rotary_emb.sin") { return .buffers }
    if training.contains(last) { return .training }
    if words.count > 1, heads.contains(words[words.count - 2]) || words.contains("v_head") { return .heads }
    return nil
  }

  /// RoPE's angles, causal masks and caches, as gpt-fast, litgpt, transformers, torchtune and many descendants of Meta's code call them.
  private static let buffers: Set<Substring> = [
    "freqs_cis", "freq_cis", "freqs_cos", "freqs_sin", "inv_freq", "rope_cache", "cos_cached", "sin_cached", "cos", "sin", "mask", "causal_mask", "attn_mask", "attention_mask",
    "mask_cache", "masked_bias", "cache", "k_cache", "v_cache", "cache_k", "cache_v", "cache_pos", "position_ids",
  ]
  /// Source: `peft/tuners/lora/layer.py`; `torchtune/modules/peft/lora.py`.
  private static let adapters: Set<Substring> = [
    "lora_A", "lora_B", "lora_a", "lora_b", "lora_embedding_A", "lora_embedding_B", "lora_magnitude_vector",
  ]
  /// Of `LlamaForSequenceClassification`, and of TRL's value models.
  private static let heads: Set<Substring> = ["score", "v_head"]
  /// The last two are statistics of Llama 4's experts.
  private static let training: Set<Substring> = ["_extra_state", "num_batches_tracked", "n_averaged", "global_gate_stats_3E", "expert_activation_DE"]

  mutating func add(_ name: String, _ kind: Kind) { names[kind, default: []].append(name) }

  mutating func add(_ name: String, _ kind: Kind, file: Int) {
    add(name, kind)
    tensors.append((file, name))
  }

  /// - Parameter beside: names in the file that stand beside the state dict.
  mutating func add(beside: [String]) { for name in beside { add(name, .training) } }

  /// A sentence for each kind.
  var notes: [String] { notes(keeping: []) }

  /// - Parameter kept: names that aren't left out.
  func notes(keeping kept: Set<String>) -> [String] {
    Kind.allCases.compactMap { kind in
      let names = names[kind, default: []].filter { !kept.contains($0) }
      if names.isEmpty { return nil }
      let some = names.prefix(3).joined(separator: ", ") + (names.count > 3 ? " and \(names.count - 3) more" : "")
      return "left out, since the model runs without: \(some) (\(kind.description))"
    }
  }
}
