import Foundation
import Integrity
import SystemPackage
import TestSupport
import Testing

/// `drover fingerprint` against twenty lines of Python, on one model in every layout and format.
@Suite(.needs(.python)) struct FingerprintTests {
  /// The definition in `TensorFingerprint`, for whole tensors with Meta's names.
  private static let reference = """
    import hashlib
    def tensor_fingerprint(t):
        t = t.contiguous()
        if t.dim() == 1: t = t.float()
        dtype = {torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16"}[t.dtype]
        line = dtype + " " + "x".join(map(str, t.shape)) + "\\n"
        raw = t.view(torch.int32 if dtype == "f32" else torch.int16).numpy().tobytes()
        return hashlib.sha256(line.encode() + raw).hexdigest()
    def fingerprint(model):
        tensors = {name: tensor_fingerprint(t) for name, t in model.items() if not name.endswith("rope.freqs")}
        tensors.setdefault("output.weight", tensors["tok_embeddings.weight"])
        lines = "".join(f"{tensors[name]}  {name}\\n" for name in sorted(tensors))
        return {"checkpoint": hashlib.sha256(lines.encode()).hexdigest(), "tensors": tensors}

    """

  /// Writes one random model, in the dtype given, as pth MP 1, 2, 4 and 8, safetensors, hf and gguf; prints its fingerprint.
  private static let writer = """
    import sys, os, json, torch, numpy as np, gguf
    from safetensors.torch import save_file
    root, kind, tied = sys.argv[1], getattr(torch, sys.argv[2]), sys.argv[3] == "tied"
    dim, heads, kv, hidden, vocab, layers = 64, 8, 4, 96, 160, 2
    torch.manual_seed(5)
    def rand(*shape): return torch.randn(*shape).to(kind)
    model = {"tok_embeddings.weight": rand(vocab, dim)}
    for n in range(layers):
        p = f"layers.{n}."
        model |= {p + "attention.wq.weight": rand(dim, dim), p + "attention.wk.weight": rand(dim // 2, dim), p + "attention.wv.weight": rand(dim // 2, dim),
                  p + "attention.wo.weight": rand(dim, dim), p + "feed_forward.w1.weight": rand(hidden, dim), p + "feed_forward.w2.weight": rand(dim, hidden),
                  p + "feed_forward.w3.weight": rand(hidden, dim), p + "attention_norm.weight": rand(dim), p + "ffn_norm.weight": rand(dim)}
    model |= {"norm.weight": rand(dim), "rope.freqs": torch.ones(dim // heads // 2).to(kind)}
    if not tied: model["output.weight"] = rand(vocab, dim)
    params = {"dim": dim, "n_layers": layers, "n_heads": heads, "n_kv_heads": kv, "vocab_size": vocab, "multiple_of": 32, "norm_eps": 1e-5}
    def folder(name, config="params.json", content=params):
        os.makedirs(f"{root}/{name}")
        json.dump(content, open(f"{root}/{name}/{config}", "w"))
        return f"{root}/{name}"
    def shard(name, t, rank, ranks):
        if t.dim() == 1: return t
        if name.split(".")[-2] in ("wk", "wv") and ranks > kv: rank, ranks = rank * kv // ranks, kv
        return t.chunk(ranks, 1 if name.split(".")[-2] in ("tok_embeddings", "wo", "w2") else 0)[rank].clone()
    for ranks in (1, 2, 4, 8):
        at = folder(f"mp{ranks}")
        for rank in range(ranks): torch.save({k: shard(k, t, rank, ranks) for k, t in model.items()}, f"{at}/consolidated.{rank:02}.pth")
    at = folder("strided")
    torch.save({k: t.t().contiguous().t() if t.dim() == 2 else t for k, t in model.items()}, f"{at}/consolidated.00.pth")
    save_file({k: t.contiguous() for k, t in model.items()}, folder("safetensors") + "/consolidated.safetensors")
    def halves(t, n): return t.view(n, t.shape[0] // n // 2, 2, t.shape[1]).transpose(1, 2).reshape(t.shape).contiguous()
    names = {"attention.wq": "self_attn.q_proj", "attention.wk": "self_attn.k_proj", "attention.wv": "self_attn.v_proj", "attention.wo": "self_attn.o_proj",
             "feed_forward.w1": "mlp.gate_proj", "feed_forward.w2": "mlp.down_proj", "feed_forward.w3": "mlp.up_proj", "attention_norm": "input_layernorm",
             "ffn_norm": "post_attention_layernorm", "tok_embeddings": "model.embed_tokens", "norm": "model.norm", "output": "lm_head"}
    def hf(name):
        if name == "rope.freqs": return None
        parts = name[:-len(".weight")].split(".")
        return f"model.layers.{parts[1]}.{names['.'.join(parts[2:])]}.weight" if parts[0] == "layers" else f"{names[parts[0]]}.weight"
    config = {"model_type": "llama", "hidden_size": dim, "intermediate_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads,
              "num_key_value_heads": kv, "vocab_size": vocab, "rms_norm_eps": 1e-5, "tie_word_embeddings": tied, "torch_dtype": sys.argv[2]}
    save_file({hf(k): halves(t, heads if "wq" in k else kv) if ".wq." in k or ".wk." in k else t.contiguous() for k, t in model.items() if hf(k)},
              folder("hf", "config.json", config) + "/model.safetensors")
    w = gguf.GGUFWriter(f"{root}/model.gguf", "llama")
    w.add_embedding_length(dim); w.add_block_count(layers); w.add_feed_forward_length(hidden); w.add_head_count(heads); w.add_head_count_kv(kv)
    w.add_layer_norm_rms_eps(1e-5); w.add_vocab_size(vocab); w.add_context_length(128); w.add_rope_dimension_count(dim // heads)
    ggml = {"wq": "attn_q", "wk": "attn_k", "wv": "attn_v", "wo": "attn_output", "w1": "ffn_gate", "w2": "ffn_down", "w3": "ffn_up",
            "attention_norm": "attn_norm", "ffn_norm": "ffn_norm", "tok_embeddings": "token_embd", "norm": "output_norm", "output": "output"}
    for k, t in model.items():
        if k == "rope.freqs": continue
        parts = k.split(".")
        name = (f"blk.{parts[1]}." if parts[0] == "layers" else "") + ggml[parts[-2]] + ".weight"
        if t.dim() == 1: w.add_tensor(name, t.float().numpy())
        elif kind == torch.bfloat16: w.add_tensor(name, t.contiguous().view(torch.int16).numpy().view(np.uint8), raw_dtype=gguf.GGMLQuantizationType.BF16)
        else: w.add_tensor(name, t.contiguous().numpy())
    w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()
    print(json.dumps(fingerprint(model)))
    """

  private struct Report: Decodable, Equatable {
    var checkpoint: String
    var tensors: [String: String]
  }

  private static let layouts = ["mp1", "mp2", "mp4", "mp8", "strided", "safetensors", "hf", "model.gguf"]

  private func fingerprint(_ path: String) throws -> Report {
    let outcome = try drover("fingerprint", path, "--json", "--progress", "none")
    try #require(outcome.status == 0, "\(path): \(outcome.errors)")
    return try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8))
  }

  @Test(arguments: [("bfloat16", "untied"), ("float16", "untied"), ("float32", "tied")])
  func isTheSameInEveryLayout(dtype: String, tied: String) throws {
    try withTemporaryFolder { folder in
      let printed = try python(Self.reference + Self.writer, folder, dtype, tied)
      let expected = try JSONDecoder().decode(Report.self, from: Data(printed.utf8))
      for layout in Self.layouts {
        let report = try fingerprint("\(folder)/\(layout)")
        #expect(report == expected, "\(layout): \(report.tensors.filter { expected.tensors[$0.key] != $0.value }.keys)")
      }
    }
  }

  /// One bit, anywhere in the weights of any file, changes the fingerprint of the tensor it is in; in one of several copies it is an error that
  /// names the tensor.
  @Test(arguments: ["mp1/consolidated.00.pth", "mp4/consolidated.03.pth", "hf/model.safetensors", "model.gguf"])
  func oneBitMakesADifference(file: String) throws {
    try withTemporaryFolder { folder in
      _ = try python(Self.reference + Self.writer, folder, "bfloat16", "untied")
      let path = folder + "/" + file
      let layout = file.contains("/") ? String(file.prefix { $0 != "/" }) : file
      let before = try fingerprint("\(folder)/\(layout)")
      // A sample of bytes in the second half, where the weights are and no header is; at an end lie pickles, directories and padding.
      let whole = try Data(contentsOf: URL(filePath: path))
      for share in [0.5, 0.61, 0.7, 0.83] {
        var bytes = whole
        let at = Int(Double(bytes.count) * share)
        bytes[at] ^= 0x10
        try bytes.write(to: URL(filePath: path))
        let outcome = try drover("fingerprint", "\(folder)/\(layout)", "--json", "--progress", "none")
        if outcome.status == 65 {
          #expect(outcome.errors.contains("norm.weight") || outcome.errors.contains("attention.w"), "\(outcome.errors)")
          continue
        }
        try #require(outcome.status == 0, "\(outcome.errors)")
        let after = try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8))
        let changed = after.tensors.filter { before.tensors[$0.key] != $0.value }
        #expect(after.checkpoint != before.checkpoint, "byte \(at) of \(file)")
        #expect(changed.count == 1, "byte \(at) of \(file): \(changed.keys)")
      }
    }
  }

  /// What reshard writes has a receipt with the source's fingerprint, computed on the way, and verifies.
  @Test(arguments: [("mp8", "1", "pth"), ("mp1", "4", "pth"), ("hf", "2", "safetensors"), ("model.gguf", "1", "safetensors")])
  func reshardLeavesAReceipt(source: String, ranks: String, format: String) throws {
    try withTemporaryFolder { folder in
      let printed = try python(Self.reference + Self.writer, folder, "bfloat16", "untied")
      let expected = try JSONDecoder().decode(Report.self, from: Data(printed.utf8))
      let made = try drover("reshard", "\(folder)/\(source)", folder + "/out", "--mp", ranks, "--format", format)
      try #require(made.status == 0, "\(made.errors)")
      let receipt = try Receipt(contentsOf: FilePath(folder + "/out/drover-receipt.json"))
      #expect(receipt.fingerprint?.whole.hex == expected.checkpoint)
      #expect(receipt.fingerprint?.tensors.mapValues(\.hex) == expected.tensors)
      #expect(receipt.origin == .checkpoint(source))
      #expect(receipt.options == ["mp": ranks, "format": format, "dtype": "keep"])
      let again = try fingerprint(folder + "/out")
      #expect(again == expected)
      let verified = try drover("verify", folder + "/out")
      #expect(verified.status == 0, "\(verified.output)")
      #expect(!verified.output.contains("unlisted"))
    }
  }

  @Test func copiesMustAgree() throws {
    try withTemporaryFolder { folder in
      _ = try python(Self.reference + Self.writer, folder, "bfloat16", "untied")
      _ = try python(
        """
        import sys, torch
        m = torch.load(sys.argv[1])
        m["layers.1.ffn_norm.weight"][3] += 1
        torch.save(m, sys.argv[1])
        """, folder + "/mp4/consolidated.02.pth")
      let outcome = try drover("fingerprint", folder + "/mp4")
      #expect(outcome.status == 65)
      #expect(outcome.errors.contains("layers.1.ffn_norm.weight") && outcome.errors.contains("consolidated.02.pth"))
    }
  }
}
