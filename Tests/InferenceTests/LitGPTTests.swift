import Checkpoint
import Foundation
import Inference
import SystemPackage
import TestSupport
import Testing

/// litgpt's folders, described by nothing but their `model_config.yaml`, next to transformers.
@Suite(.needs(.currentTorch)) struct LitGPTTests {
  /// Writes folders, and prints for each what transformers computes from the same weights.
  ///
  /// Source of the names and of the keys: `litgpt/scripts/convert_hf_checkpoint.py` and `litgpt/config.py` 0.5.13, whose `save_config` is `yaml.dump`.
  private static let start = #"""
    import json, os, sys, warnings
    warnings.filterwarnings("ignore")
    import torch, transformers, yaml
    from transformers import LlamaConfig, LlamaForCausalLM
    transformers.logging.set_verbosity(50)
    torch.manual_seed(3); torch.set_num_threads(1)
    root = sys.argv[1]
    D, H, layers, heads, kv, vocab = 64, 96, 2, 8, 4, 64
    def config(**changes):
        return dict(name="Llama-3.2-tiny (mine)", hf_config=dict(org="meta-llama", name="Llama-{}-Instruct".format("3.2")), block_size=64, n_layer=layers, n_embd=D, vocab_size=60, padding_multiple=64,
                    padded_vocab_size=vocab, norm_class_name="RMSNorm", norm_eps=1e-5, norm_qk=False, norm_qk_type="default", post_attention_norm=False, post_mlp_norm=False, parallel_residual=False,
                    shared_attention_norm=False, n_head=heads, head_size=D // heads, n_query_groups=kv, attn_bias=False, attention_scores_scalar=None, sliding_window_size=None,
                    sliding_window_indices=None, attention_logit_softcapping=None, rope_base=10000, rotary_percentage=1.0, rope_condense_ratio=1, rope_adjustments=None, rope_interleave=False,
                    intermediate_size=H, moe_intermediate_size=None, bias=False, mlp_class_name="LLaMAMLP", gelu_approximate="none", n_expert=0, n_shared_expert=None, n_expert_groups=None,
                    n_topk_groups=None, n_topk_scores_per_group=None, n_expert_per_token=0, first_k_dense_replace=None, routed_scaling_factor=1.0, norm_topk_prob=False, scale_embeddings=False,
                    lm_head_bias=False, final_logit_softcapping=None, norm_1=True, norm_2=True, latent_attention=None, rope_local_base_freq=None, rope_indices=None) | changes
    def write(name, changes={}, **hf):
        model = LlamaForCausalLM(LlamaConfig(hidden_size=D, intermediate_size=H, num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=kv, vocab_size=vocab, rms_norm_eps=1e-5, **hf))
        for n, p in model.named_parameters(): p.data = 1 + 0.3 * torch.randn_like(p) if n.endswith("norm.weight") else torch.randn_like(p) * (1 if "embed" in n else 2 / p.shape[1] ** 0.5)
        w = model.state_dict()
        lit = {"transformer.wte.weight": w["model.embed_tokens.weight"], "transformer.ln_f.weight": w["model.norm.weight"], "lm_head.weight": w["lm_head.weight"]}
        for l in range(layers):
            a, b = f"model.layers.{l}.", f"transformer.h.{l}."
            lit |= {b + "attn.qkv.weight": torch.cat([w[a + f"self_attn.{n}_proj.weight"] for n in "qkv"]), b + "attn.proj.weight": w[a + "self_attn.o_proj.weight"],
                    b + "norm_1.weight": w[a + "input_layernorm.weight"], b + "norm_2.weight": w[a + "post_attention_layernorm.weight"], b + "mlp.fc_1.weight": w[a + "mlp.gate_proj.weight"],
                    b + "mlp.fc_2.weight": w[a + "mlp.up_proj.weight"], b + "mlp.proj.weight": w[a + "mlp.down_proj.weight"]}
        os.makedirs(f"{root}/{name}")
        torch.save(lit, f"{root}/{name}/lit_model.pth")
        with open(f"{root}/{name}/model_config.yaml", "w") as file: yaml.dump(config(**changes), file)
        tokens = torch.randint(vocab, (40,)).tolist()
        with torch.no_grad(): scores = torch.log_softmax(model(torch.tensor([tokens])).logits[0], -1)
        return dict(tokens=tokens, scores=[scores[i - 1, t].item() for i, t in enumerate(tokens) if i > 0])

    """#

  private struct Expected: Decodable {
    let tokens: [Int]
    let scores: [Float]
  }

  @Test func describesItself() throws {
    try withTemporaryFolder { root in
      let printed = try python(
        Self.start + """
          llama3 = dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0)
          print(json.dumps({
            "plain": write("plain"), "theta": write("theta", dict(rope_base=500000), rope_parameters=dict(rope_type="default", rope_theta=500000.0)),
            "condensed": write("condensed", dict(rope_condense_ratio=4), rope_parameters=dict(rope_type="linear", factor=4.0, rope_theta=10000.0)),
            "factor": write("factor", dict(rope_adjustments=dict(factor=4.0)), rope_parameters=dict(rope_type="linear", factor=4.0, rope_theta=10000.0)),
            "llama3": write("llama3", dict(rope_adjustments=llama3 | dict(original_max_seq_len=16)), max_position_embeddings=64,
                            rope_parameters=dict(rope_type="llama3", rope_theta=10000.0, original_max_position_embeddings=16, **llama3))}))
          """, root, with: .currentTorch)
      let cases = try JSONDecoder().decode([String: Expected].self, from: Data(printed.utf8))
      #expect(cases.count == 5)
      for (name, expected) in cases {
        let model = try Transformer(Checkpoint.open(at: FilePath("\(root)/\(name)")), maxBatchSize: 1, maxSequenceLength: 40, threads: 2)
        let logprobs = try Generator(model, stopTokens: []).logprobs(of: expected.tokens)
        let differences = zip(logprobs.dropFirst(), expected.scores).map { abs(($0 ?? .infinity) - $1) }
        #expect(differences.count == 39 && largest(differences) < 2e-3, "\(name): \(largest(differences))")
      }
      // The file by its own name is the same, and becomes Meta's and Hugging Face's.
      for (format, source) in [("pth", "llama3"), ("hf", "condensed"), ("hf", "plain/lit_model.pth")] {
        let outcome = try drover("reshard", "\(root)/\(source)", "\(root)/out-\(source.prefix(5))-\(format)", "--mp", "1", "--format", format)
        #expect(outcome.status == 0, "\(outcome.errors)")
      }
    }
  }

  /// What is done to the text of a good description, and words of the refusal.
  private static let faults: [(change: String, words: String)] = [
    ("s.replace('bias: false', 'bias: true')", "bias: true"), ("s.replace('n_expert: 0', 'n_expert: 8')", "n_expert: 8"),
    ("s.replace('sliding_window_size: null', 'sliding_window_size: 4096')", "sliding_window_size: 4096"), ("s + 'a_key_of_tomorrow: 1\\n'", "a_key_of_tomorrow: 1"),
    ("s.replace('rotary_percentage: 1.0', 'rotary_percentage: 0.25')", "rotary_percentage: 0.25"), ("s.replace('rotary_percentage: 1.0\\n', '')", "doesn't say rotary_percentage"),
    ("s.replace('rope_adjustments: null', 'rope_adjustments:\\n  factor: 8.0\\n  low_freq_factor: 1.0')", "rope_adjustments"),
    ("s.replace('rope_condense_ratio: 1', 'rope_condense_ratio: 2').replace('rope_adjustments: null', 'rope_adjustments:\\n  factor: 8.0')", "rope_condense_ratio scales too"),
    ("s.replace('norm_eps: 1.0e-05', 'norm_eps: 1e-5')", "norm_eps"), ("s.replace('bias: false', 'bias: off')", "bias: off"), ("s.replace('n_head: 8', 'n_head: 010')", "n_head: 010"),
    ("s.replace('n_head: 8', 'n_head: &a 8')", "n_head: &a 8"), ("s.replace('rope_indices: null', 'rope_indices: [0, 1]')", "rope_indices: [0, 1]"),
    ("s.replace('rope_indices: null', 'rope_indices:\\n- 0\\n- 1')", "isn't a key and a value"), ("s.replace('name: Ll', 'name: !!python/object Ll', 1)", "!!python/object"),
    ("s.replace('n_head: 8', 'n_head: 8 # eight')", "n_head: 8 # eight"), ("'---\\n' + s", "---"), ("s + 'n_head: 8\\n'", "a second time"), ("'  n_head: 8\\n' + s", "further in"),
    ("s.replace('hf_config:', 'hf_config:\\n  a:\\n    b: 1')", "a value that isn't plain"), ("s.replace('n_head: 8', 'n_head: eight')", "says n_head is"), ("s.replace('n_head: 8', 'n_head:8')", "no space"),
    ("s.replace('n_head: 8', 'n_head: 99999999999999999999')", "n_head"), ("s.replace('n_head: 8', 'n_head: 3')", "model_config.yaml"), ("s.replace('n_layer: 2', 'n_layer: 3')", "3"),
    ("s.replace('\\n', '\\r\\n')", "plain"), ("'\\n' * 5000 + s", "4096 lines"), ("b'\\xff' + s.encode()", "UTF-8"),
  ]

  @Test func whatIsntPlainIsRefused() throws {
    try withTemporaryFolder { root in
      try python(
        Self.start + """
          write("good")
          text = open(root + "/good/model_config.yaml").read()
          for number, change in enumerate(json.loads(sys.argv[2])):
              s = text
              made = eval(change)
              assert made != text, change
              os.makedirs(f"{root}/{number}"); os.link(root + "/good/lit_model.pth", f"{root}/{number}/lit_model.pth")
              open(f"{root}/{number}/model_config.yaml", "wb").write(made if isinstance(made, bytes) else made.encode())
          """, root, String(decoding: JSONEncoder().encode(Self.faults.map(\.change)), as: UTF8.self), with: .currentTorch)
      for (number, (change, words)) in Self.faults.enumerated() {
        let error = #expect(throws: CheckpointError.self, "\(change)") { try Checkpoint.open(at: FilePath("\(root)/\(number)")).requireHonoured() }
        #expect(error?.description.contains(words) == true, "\(change): \(String(describing: error))")
      }
      // A config.json beside it must say the same.
      try python(
        """
        import json, os, sys
        os.makedirs(sys.argv[1] + "/two"); os.link(sys.argv[1] + "/good/lit_model.pth", sys.argv[1] + "/two/lit_model.pth"); os.link(sys.argv[1] + "/good/model_config.yaml", sys.argv[1] + "/two/model_config.yaml")
        json.dump(dict(model_type="llama", hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=8, num_key_value_heads=4, vocab_size=64, rms_norm_eps=1e-5,
                       rope_theta=500000.0, tie_word_embeddings=False), open(sys.argv[1] + "/two/config.json", "w"))
        """, root)
      let error = #expect(throws: CheckpointError.self) { try Checkpoint.open(at: FilePath(root + "/two")) }
      #expect(error?.description.contains("RoPE's theta is 500000.0, and model_config.yaml beside it says 10000.0") == true, "\(String(describing: error))")
    }
  }
}
