import Checkpoint
import Foundation
import Inference
import SystemPackage
import TestSupport
import Testing

/// Small random models in the shapes of every Llama generation, in every layout, next to PyTorch in float32.
@Suite(.serialized, .needs(.python)) struct ArchitectureTests {
  struct Shape: Sendable, CustomTestStringConvertible {
    let name: String
    let dim: Int
    let heads: Int
    let kvHeads: Int
    let hidden: Int
    let vocabulary: Int
    var theta = 10000.0
    var factor: Int?
    var tied = false
    var dtype = "bfloat16"
    /// Along which axis shards split the embeddings.
    var embeddingAxis = 1
    let modelParallel: [Int]
    var layers = 3

    var testDescription: String { name }

    var json: String {
      """
      {"dim": \(dim), "heads": \(heads), "kv": \(kvHeads), "head_dim": \(dim / heads), "hidden": \(hidden), "vocab": \(vocabulary), "theta": \(theta),
       "factor": \(factor.map(String.init) ?? "null"), "tied": \(tied), "dtype": "\(dtype)", "axis": \(embeddingAxis), "mp": \(modelParallel),
       "layers": \(layers), "eps": 1e-5}
      """
    }
  }

  static let shapes = [
    Shape(name: "Llama 1", dim: 128, heads: 8, kvHeads: 8, hidden: 352, vocabulary: 160, dtype: "float16", modelParallel: [1, 2, 4, 8]),
    Shape(name: "Llama 2, grouped", dim: 256, heads: 16, kvHeads: 8, hidden: 688, vocabulary: 192, modelParallel: [1, 2, 4, 8]),
    Shape(
      name: "Llama 3", dim: 128, heads: 8, kvHeads: 4, hidden: 448, vocabulary: 512, theta: 500_000, embeddingAxis: 0,
      modelParallel: [1, 2, 4]),
    Shape(
      name: "Llama 3.1", dim: 192, heads: 6, kvHeads: 2, hidden: 512, vocabulary: 256, theta: 500_000, factor: 8, embeddingAxis: 0,
      modelParallel: [1, 2]),
    Shape(
      name: "Llama 3.2, tied", dim: 128, heads: 8, kvHeads: 2, hidden: 256, vocabulary: 256, theta: 500_000, factor: 32, tied: true,
      embeddingAxis: 0,
      modelParallel: [1]),
    Shape(name: "odd sizes", dim: 66, heads: 3, kvHeads: 3, hidden: 99, vocabulary: 75, dtype: "float32", modelParallel: [1, 3]),
    Shape(
      name: "wide heads", dim: 512, heads: 2, kvHeads: 1, hidden: 256, vocabulary: 128, dtype: "float32", modelParallel: [1], layers: 1),
  ]

  /// Writes the model sharded and in Hugging Face's layout, and prints tokens and PyTorch's log-probabilities.
  static let script =
    torchLlama + #"""
      import os
      from safetensors.torch import save_file
      root, p = sys.argv[1], json.loads(sys.argv[2])
      d, hd, dtype = p["dim"], p["head_dim"], getattr(torch, p["dtype"])
      def matrix(rows, columns, scale): return (torch.randn(rows, columns) * scale / math.sqrt(columns)).to(dtype)
      def vector(): return (1 + torch.randn(d) * 0.2).to(dtype)
      w = {"tok_embeddings.weight": matrix(p["vocab"], d, math.sqrt(d)), "norm.weight": vector()}
      for l in range(p["layers"]):
          a, f = f"layers.{l}.attention.", f"layers.{l}.feed_forward."
          w[a + "wq.weight"] = matrix(p["heads"] * hd, d, 2); w[a + "wk.weight"] = matrix(p["kv"] * hd, d, 2)
          w[a + "wv.weight"] = matrix(p["kv"] * hd, d, 1); w[a + "wo.weight"] = matrix(d, p["heads"] * hd, 1)
          w[f + "w1.weight"] = matrix(p["hidden"], d, 1); w[f + "w2.weight"] = matrix(d, p["hidden"], 1); w[f + "w3.weight"] = matrix(p["hidden"], d, 1)
          w[f"layers.{l}.attention_norm.weight"] = vector(); w[f"layers.{l}.ffn_norm.weight"] = vector()
      if not p["tied"]: w["output.weight"] = matrix(p["vocab"], d, 1)

      def axis(name):
          if "norm" in name: return None
          if "tok_embeddings" in name: return p["axis"]
          return 1 if "wo." in name or "w2." in name else 0
      for mp in p["mp"]:
          folder = f"{root}/mp{mp}"; os.makedirs(folder)
          for rank in range(mp):
              shard = {n: t.clone() if axis(n) is None else t.chunk(mp, axis(n))[rank].clone() for n, t in w.items()}
              torch.save(shard, f"{folder}/consolidated.{rank:02}.pth")
          stated = dict(dim=d, n_layers=p["layers"], n_heads=p["heads"], n_kv_heads=p["kv"], vocab_size=p["vocab"], norm_eps=p["eps"],
                        hidden_dim=p["hidden"], rope_theta=p["theta"])
          if p["factor"]: stated.update(use_scaled_rope=True, rope_scaling_factor=p["factor"])
          json.dump(stated, open(folder + "/params.json", "w"))

      def halves(t): return t.view(-1, hd // 2, 2, d).transpose(1, 2).reshape(-1, d).contiguous()
      hf = {"model.embed_tokens.weight": w["tok_embeddings.weight"], "model.norm.weight": w["norm.weight"]}
      if not p["tied"]: hf["lm_head.weight"] = w["output.weight"]
      for l in range(p["layers"]):
          to = f"model.layers.{l}."
          for name, new in {"attention.wv": "self_attn.v_proj", "attention.wo": "self_attn.o_proj", "feed_forward.w1": "mlp.gate_proj",
                            "feed_forward.w2": "mlp.down_proj", "feed_forward.w3": "mlp.up_proj", "attention_norm": "input_layernorm",
                            "ffn_norm": "post_attention_layernorm"}.items():
              hf[f"{to}{new}.weight"] = w[f"layers.{l}.{name}.weight"]
          hf[f"{to}self_attn.q_proj.weight"] = halves(w[f"layers.{l}.attention.wq.weight"])
          hf[f"{to}self_attn.k_proj.weight"] = halves(w[f"layers.{l}.attention.wk.weight"])
      os.makedirs(root + "/hf")
      save_file({n: t.clone() for n, t in hf.items()}, root + "/hf/model.safetensors")
      config = dict(architectures=["LlamaForCausalLM"], model_type="llama", hidden_size=d, num_hidden_layers=p["layers"], num_attention_heads=p["heads"],
                    num_key_value_heads=p["kv"], intermediate_size=p["hidden"], vocab_size=p["vocab"], rms_norm_eps=p["eps"], rope_theta=p["theta"],
                    tie_word_embeddings=p["tied"], torch_dtype=p["dtype"])
      if p["factor"]:
          config["rope_scaling"] = dict(rope_type="llama3", factor=p["factor"], low_freq_factor=1, high_freq_factor=4, original_max_position_embeddings=8192)
      json.dump(config, open(root + "/hf/config.json", "w"))

      tokens = torch.randint(p["vocab"], (150,)).tolist()
      scores = torch.log_softmax(logits(p, {n: t.float() for n, t in w.items()}, tokens), -1)
      print(json.dumps(dict(tokens=tokens, scores=scores.flatten().tolist())))
      """#

  struct Expected: Decodable {
    let tokens: [Int]
    /// Log-probabilities, `[tokens][vocabulary]`.
    let scores: [Float]
  }

  @Test(arguments: shapes) func everyLayoutAgreesWithTorch(shape: Shape) throws {
    try withTemporaryFolder { root in
      let expected = try JSONDecoder().decode(Expected.self, from: Data(try python(Self.script, root, shape.json).utf8))
      var first: [UInt32]?
      for layout in shape.modelParallel.map({ "mp\($0)" }) + ["hf"] {
        let checkpoint = try Checkpoint.open(at: FilePath("\(root)/\(layout)"))
        // Two passes, so that the second meets a cache; rows of different number take different paths through the kernels.
        let model = try Transformer(checkpoint, maxBatchSize: 1, maxSequenceLength: 150, threads: 3)
        var logits = try allLogits(model, expected.tokens, passes: [0..<131, 131..<132, 132..<150])
        let bits = logits.map(\.bitPattern)
        #expect(first == nil || first == bits, "\(layout) differs from mp1")
        if first == nil {
          let vocabulary = shape.vocabulary
          for row in expected.tokens.indices {
            let range = row * vocabulary..<(row + 1) * vocabulary
            let sum = logits[range].reduce(0.0) { $0 + exp(Double($1)) }
            for index in range { logits[index] -= Float(log(sum)) }
          }
          #expect(logits.count == expected.scores.count)
          let worst = largest(zip(logits, expected.scores).map { abs($0 - $1) })
          // Tied embeddings this wide give scores of many tens, and float32 has seven digits.
          let highest = largest(expected.scores.map { abs($0) })
          #expect(worst < 1e-5 * highest, "off by \(worst) where scores reach \(highest)")
        }
        first = bits
      }
    }
  }

  /// Each kernel alone gives what PyTorch gives.
  @Test(arguments: Kernels.available.map(\.name)) func everyKernelAgreesWithTorch(name: String) throws {
    let shape = Self.shapes[1]
    try withTemporaryFolder { root in
      let expected = try JSONDecoder().decode(Expected.self, from: Data(try python(Self.script, root, shape.json).utf8))
      let checkpoint = try Checkpoint.open(at: FilePath("\(root)/mp4"))
      let kernels = try #require(Kernels.available.first { $0.name == name })
      let model = try Transformer(checkpoint, maxBatchSize: 1, maxSequenceLength: 150, threads: 2, kernels: kernels)
      let logprobs = try Generator(model, stopTokens: []).logprobs(of: expected.tokens)
      let differences = (1..<expected.tokens.count).map { row -> Float in
        let due = expected.scores[(row - 1) * shape.vocabulary + expected.tokens[row]]
        return abs((logprobs[row] ?? .infinity) - due)
      }
      #expect(largest(differences) < 1e-4)
    }
  }
}

/// The logits after every token of a sequence, computed in the given passes.
func allLogits(_ model: Transformer, _ tokens: [Int], passes: [Range<Int>]) throws -> [Float] {
  var all: [Float] = []
  for pass in passes {
    model.forward(pass.map { Transformer.Row(token: tokens[$0], slot: 0, position: $0, length: tokens.count) })
    try model.withLogits(of: Array(0..<pass.count)) { _, logits in all += logits }
  }
  return all
}
