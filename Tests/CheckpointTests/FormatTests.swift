import Checkpoint
import Foundation
import Integrity
import SystemPackage
import TestSupport
import Testing
import Tokenization

/// What the gguf library and transformers write, as torch sees it after drover has resharded it.
@Suite(.needs(.python))
struct FormatTests {
  /// A model of one layer in a GGUF, with the values that the library's own dequantization gives.
  private static let writeGGUF = randomBlocks + """
    import sys, torch
    from gguf import GGUFWriter, GGMLQuantizationType as T, quants
    out, kind, values = sys.argv[1:]
    kind = T[kind]
    rng = np.random.default_rng(5)
    # Blocks of 256 are cut in half at MP 2.
    dim, hidden, vocab, kv = (256, 512, 128, 128) if gguf.GGML_QUANT_SIZES[kind][0] == 256 else (64, 96, 128, 32)
    names = {"token_embd": ("tok_embeddings", (vocab, dim)), "output": ("output", (vocab, dim)), "output_norm": ("norm", (dim,))}
    for l in range(2):
        for a, b, shape in [("attn_q", "attention.wq", (dim, dim)), ("attn_k", "attention.wk", (kv, dim)), ("attn_v", "attention.wv", (kv, dim)),
                            ("attn_output", "attention.wo", (dim, dim)), ("ffn_gate", "feed_forward.w1", (hidden, dim)), ("ffn_down", "feed_forward.w2", (dim, hidden)),
                            ("ffn_up", "feed_forward.w3", (hidden, dim)), ("attn_norm", "attention_norm", (dim,)), ("ffn_norm", "ffn_norm", (dim,))]:
            names[f"blk.{l}.{a}"] = (f"layers.{l}.{b}", shape)
    writer = GGUFWriter(out, "llama")
    writer.add_block_count(2); writer.add_embedding_length(dim); writer.add_feed_forward_length(hidden); writer.add_head_count(4)
    writer.add_head_count_kv(2); writer.add_layer_norm_rms_eps(1e-5); writer.add_rope_freq_base(500000.0); writer.add_context_length(64)
    want = {}
    for name, (meta, shape) in names.items():
        w = (rng.standard_normal(shape) * np.exp(rng.standard_normal(shape))).astype(np.float32)
        if kind == T.F32 or len(shape) == 1: writer.add_tensor(name + ".weight", w); value = w
        elif kind == T.F16: writer.add_tensor(name + ".weight", w.astype(np.float16)); value = w.astype(np.float16)
        else:
            try: data = quants.quantize(w, kind)
            except NotImplementedError: data = random_blocks(kind.name, *shape, rng)
            writer.add_tensor(name + ".weight", data, raw_dtype=kind); value = quants.dequantize(data, kind)
        want[meta + ".weight"] = torch.from_numpy(value)
    writer.write_header_to_file(); writer.write_kv_data_to_file(); writer.write_tensors_to_file(); writer.close()
    torch.save(want, values)
    """

  /// Joins the shards of each folder, called `<shards>-<dtype>`, and compares them with values saved beside.
  private static let check = """
    import glob, os, sys, torch
    want = torch.load(sys.argv[2])
    for folder in sys.argv[3:]:
        mp, kind = os.path.basename(folder).split("-")
        dtype = getattr(torch, kind)
        shards = [torch.load(f) for f in sorted(glob.glob(f"{sys.argv[1]}/{folder}/consolidated.*.pth"))]
        assert len(shards) == int(mp), folder
        for name, value in want.items():
            parts = [s[name] for s in shards]
            got = parts[0] if "norm" in name else torch.cat(parts, 1 if "wo." in name or "w2." in name or (name[:3] == "tok" and parts[0].shape[0] == value.shape[0]) else 0)
            expected = value.to(dtype)
            assert got.dtype == dtype and got.shape == value.shape, (folder, name, got.dtype, got.shape)
            integer = torch.int32 if dtype == torch.float32 else torch.int16
            assert torch.equal(got.view(integer), expected.view(integer)), (folder, name)
    """

  @Test(arguments: DType.allCases.filter { $0 != .f64 }.map { $0.rawValue.uppercased() }) func ggufIsWhatItsLibrarySays(_ type: String) throws {
    try withTemporaryFolder { folder in
      try python(Self.writeGGUF, folder + "/model.gguf", type, folder + "/values")
      for count in [1, 2] {
        for (dtype, name) in [(DTypeMix.f32, "float32"), (.bf16, "bfloat16"), (.f16, "float16")] {
          try reshard(folder + "/model.gguf", "\(folder)/\(count)-\(name)", modelParallel: count, dtype: dtype)
        }
      }
      try python(
        Self.check, folder, folder + "/values", "1-float32", "1-bfloat16", "1-float16", "2-float32", "2-bfloat16", "2-float16")
    }
  }

  @Test(.needs(.smolLM2)) func smolLM2IsWhatItsLibrarySays() throws {
    try withTemporaryFolder { folder in
      try reshard(Peer.smolLM2.path, folder + "/3-float32", modelParallel: 3)
      try python(
        """
        import sys, torch
        from gguf import GGUFReader, dequantize
        names = {"token_embd": "tok_embeddings", "output_norm": "norm", "attn_q": "attention.wq", "attn_k": "attention.wk", "attn_v": "attention.wv",
                 "attn_output": "attention.wo", "ffn_gate": "feed_forward.w1", "ffn_up": "feed_forward.w3", "ffn_down": "feed_forward.w2",
                 "attn_norm": "attention_norm", "ffn_norm": "ffn_norm"}
        want = {}
        for t in GGUFReader(sys.argv[1]).tensors:
            part = t.name.split(".")
            name = names[part[0]] if part[0] != "blk" else f"layers.{part[1]}.{names[part[2]]}"
            want[name + ".weight"] = torch.from_numpy(dequantize(t.data, t.tensor_type).copy())
        assert len(want) == 272
        torch.save(want, sys.argv[2])
        """, Peer.smolLM2.path, folder + "/values")
      try python(Self.check, folder, folder + "/values", "3-float32")
      // The tokenizer and how it chats come along.
      let vocabulary = try #require(try Checkpoint.open(at: FilePath(folder + "/3-float32")).vocabulary())
      let original = try #require(try Checkpoint.open(at: FilePath(Peer.smolLM2.path)).vocabulary())
      #expect(vocabulary.count == 49152)
      #expect(try Checkpoint.open(at: FilePath(folder + "/3-float32")).chatTemplate()?.text == original.chatTemplate)
      #expect(vocabulary.bos == original.bos && vocabulary.eos == original.eos && vocabulary.addsBOS == original.addsBOS)
      // Back at MP 1 it is the same model.
      let again = try Checkpoint.open(at: FilePath(folder + "/3-float32"))
      #expect(again.params == (try Checkpoint.open(at: FilePath(Peer.smolLM2.path)).params))
    }
  }

  /// The permutation is that of transformers' own `convert_llama_weights_to_hf.py`, undone.
  private static let writeHF = """
    import sys, torch
    from transformers import LlamaConfig, LlamaForCausalLM
    out, values, tied, scaled, size = sys.argv[1], sys.argv[2], sys.argv[3] == "1", sys.argv[4] == "1", sys.argv[5]
    torch.manual_seed(2)
    rope = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
    config = LlamaConfig(hidden_size=64, intermediate_size=96, num_attention_heads=8, num_key_value_heads=4, num_hidden_layers=3, vocab_size=128,
                         tie_word_embeddings=tied, rms_norm_eps=1e-5, rope_parameters=rope if scaled else {"rope_type": "default", "rope_theta": 10000.0})
    model = LlamaForCausalLM(config).to(torch.bfloat16)
    for p in model.parameters(): torch.nn.init.normal_(p)
    model.save_pretrained(out, max_shard_size=size)
    state = model.state_dict()
    def meta(w, heads): return w.view(heads, 2, w.shape[0] // heads // 2, w.shape[1]).transpose(1, 2).reshape(w.shape)
    want = {"tok_embeddings.weight": state["model.embed_tokens.weight"], "norm.weight": state["model.norm.weight"]}
    if not tied: want["output.weight"] = state["lm_head.weight"]
    for l in range(3):
        h, m = f"model.layers.{l}.", f"layers.{l}."
        want[m + "attention.wq.weight"] = meta(state[h + "self_attn.q_proj.weight"], 8)
        want[m + "attention.wk.weight"] = meta(state[h + "self_attn.k_proj.weight"], 4)
        for a, b in [("self_attn.v_proj", "attention.wv"), ("self_attn.o_proj", "attention.wo"), ("mlp.gate_proj", "feed_forward.w1"), ("mlp.down_proj", "feed_forward.w2"),
                     ("mlp.up_proj", "feed_forward.w3"), ("input_layernorm", "attention_norm"), ("post_attention_layernorm", "ffn_norm")]:
            want[m + b + ".weight"] = state[h + a + ".weight"]
    torch.save({k: v.clone() for k, v in want.items()}, values)
    """

  @Test(.needs(.currentTorch), arguments: [(tied: false, scaled: false), (tied: true, scaled: true)], ["10GB", "40KB"])
  func huggingFaceIsWhatTransformersSays(_ kind: (tied: Bool, scaled: Bool), shardSize: String) throws {
    try withTemporaryFolder { folder in
      try python(
        Self.writeHF, folder + "/hf", folder + "/values", kind.tied ? "1" : "0", kind.scaled ? "1" : "0", shardSize, with: .currentTorch)
      let params = try Checkpoint.open(at: FilePath(folder + "/hf")).params
      #expect(params.tiedEmbeddings == kind.tied)
      #expect(params.ropeScaling == (kind.scaled ? ModelParams.RoPEScaling(factor: 32) : nil))
      #expect(params.ropeTheta == (kind.scaled ? 500000 : 10000))
      for count in [1, 4] {
        let output = "\(folder)/\(count)-bfloat16"
        try reshard(folder + "/hf", output, modelParallel: count)
        #expect(try Checkpoint.open(at: FilePath(output)).params == params)
      }
      try python(Self.check, folder, folder + "/values", "1-bfloat16", "4-bfloat16")
      // transformers reads what drover wrote of those shards, and computes what it computes from its own files.
      let outcome = try drover(
        "reshard", folder + "/4-bfloat16", folder + "/back", "--mp", "1", "--format", "hf", "--max-shard-size", shardSize == "10GB" ? "10G" : "40K")
      #expect(outcome.status == 0, "\(outcome.errors)")
      try python(
        """
        import os, sys, torch
        from transformers import LlamaForCausalLM
        a, b = (LlamaForCausalLM.from_pretrained(f, dtype=torch.bfloat16) for f in sys.argv[1:3])
        x, y = a.state_dict(), b.state_dict()
        assert set(x) == set(y)
        for name in x: assert torch.equal(x[name].view(torch.int16), y[name].view(torch.int16)), name
        ids = torch.tensor([[1, 5, 9, 2, 77]])
        with torch.no_grad(): assert torch.equal(a(ids).logits, b(ids).logits)
        assert os.path.exists(sys.argv[2] + "/model.safetensors.index.json") == (sys.argv[3] != "10GB")
        """, folder + "/hf", folder + "/back", shardSize, with: .currentTorch)
    }
  }
}
