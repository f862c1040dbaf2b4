import Foundation

/// A random model in every layout and format, as Python's libraries write it, and its fingerprints as twenty lines of Python compute them.
public enum ReferenceModel {
  /// The definition in `TensorGrid`, for whole tensors with Meta's names.
  public static let reference = """
    import hashlib
    def sha256(b): return hashlib.sha256(b).digest()
    def strips(n, block): return next(c for c in (128, 64, 32, 16, 8, 4, 2, 1) if c == 1 or n % (c * block) == 0 and n // c >= 64)
    def tree_root(raw, dtype, shape, cut, block=1, block_bytes=2):
        rows, columns = shape if len(shape) == 2 else (1, shape[0])
        if len(shape) == 1: cut = "whole"
        def size(n): return n // block * block_bytes
        down = strips(rows, 1) if cut in ("rows", "both") else 1
        across = strips(columns, block) if cut in ("columns", "both") else 1
        uneven = cut in ("rows", "both") and down == 1 and rows > 512
        nodes_down, nodes_across = min(16, down), min(16, across)
        while cut == "rows" and nodes_down < down and rows // nodes_down * size(columns) > 16 << 20: nodes_down *= 2
        while cut == "columns" and nodes_across < across and size(columns) // nodes_across * rows > 16 << 20: nodes_across *= 2
        height, node_height = (512, 512) if uneven else (rows // down, rows // nodes_down)
        width, node_width, band = columns // across, columns // nodes_across, max(1, (512 if across > 1 else 16) * 1024 // size(columns))
        tree = hashlib.sha256(f"{dtype} {'x'.join(map(str, shape))} {cut}\\n".encode())
        for top in range(0, rows, node_height):
            for left in range(0, columns, node_width):
                node = b""
                for strip in range(top, min(top + node_height, rows), height):
                    for y in range(strip, min(strip + height, rows), band):
                        for x in range(left, left + node_width, width):
                            lines = range(y, min(y + band, strip + height, rows))
                            node += sha256(b"".join(raw[r * size(columns) + size(x):r * size(columns) + size(x + width)] for r in lines))
                tree.update(sha256(node))
        return tree.hexdigest()

    """

  /// What `tree_root` makes of torch's tensors, and the fingerprint over all of them.
  public static let fingerprints = """
    def cut(name): return {"tok_embeddings": "both", "wo": "columns", "w2": "columns"}.get(name.split(".")[-2], "rows")
    def tensor_fingerprint(name, t):
        t = t.contiguous()
        if t.dim() == 1: t = t.float()
        dtype = {torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16"}[t.dtype]
        raw = t.view(torch.int32 if dtype == "f32" else torch.int16).numpy().tobytes()
        return tree_root(raw, dtype, list(t.shape), cut(name), 1, t.element_size())
    def fingerprint(model):
        tensors = {name: tensor_fingerprint(name, t) for name, t in model.items() if not name.endswith("rope.freqs")}
        tensors.setdefault("output.weight", tensors["tok_embeddings.weight"])
        lines = "".join(f"{tensors[name]}  {name}\\n" for name in sorted(tensors))
        return {"checkpoint": hashlib.sha256(lines.encode()).hexdigest(), "tensors": tensors}

    """

  /// Writes one random model, in the dtype given, as pth MP 1, 2, 4 and 8, safetensors, hf and gguf, and as gguf in Q8_0; prints the fingerprints
  /// that it has as it is, in other dtypes, and as what Q8_0 makes of it.
  public static let writer = """
    import sys, os, json, torch, numpy as np, gguf
    from safetensors.torch import save_file
    root, kind, tied = sys.argv[1], getattr(torch, sys.argv[2]), sys.argv[3] == "tied"
    scale = int(sys.argv[4])
    dim, heads, kv, hidden, vocab, layers = 64 * scale, 8, 4, 96 * scale, 160 * scale, 2
    torch.manual_seed(5)
    def rand(*shape): return torch.randn(*shape).to(kind)
    model = {"tok_embeddings.weight": rand(vocab, dim)}
    for n in range(layers):
        p = f"layers.{n}."
        model |= {p + "attention.wq.weight": rand(dim, dim), p + "attention.wk.weight": rand(dim // 2, dim), p + "attention.wv.weight": rand(dim // 2, dim),
                  p + "attention.wo.weight": rand(dim, dim), p + "feed_forward.w1.weight": rand(hidden, dim), p + "feed_forward.w2.weight": rand(dim, hidden),
                  p + "feed_forward.w3.weight": rand(hidden, dim), p + "attention_norm.weight": rand(dim), p + "ffn_norm.weight": rand(dim)}
    model |= {"norm.weight": rand(dim), "rope.freqs": torch.tensor([10000.0 ** (-2 * i * heads / dim) for i in range(dim // heads // 2)]).to(kind)}
    if not tied: model["output.weight"] = rand(vocab, dim)
    params = {"dim": dim, "n_layers": layers, "n_heads": heads, "n_kv_heads": kv, "vocab_size": vocab, "hidden_dim": hidden, "norm_eps": 1e-5}
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
    ggml = {"wq": "attn_q", "wk": "attn_k", "wv": "attn_v", "wo": "attn_output", "w1": "ffn_gate", "w2": "ffn_down", "w3": "ffn_up",
            "attention_norm": "attn_norm", "ffn_norm": "ffn_norm", "tok_embeddings": "token_embd", "norm": "output_norm", "output": "output"}
    def write_gguf(file, add):
        w = gguf.GGUFWriter(f"{root}/{file}", "llama")
        w.add_embedding_length(dim); w.add_block_count(layers); w.add_feed_forward_length(hidden); w.add_head_count(heads); w.add_head_count_kv(kv)
        w.add_layer_norm_rms_eps(1e-5); w.add_vocab_size(vocab); w.add_context_length(128); w.add_rope_dimension_count(dim // heads)
        for k, t in model.items():
            if k == "rope.freqs": continue
            parts = k.split(".")
            name = (f"blk.{parts[1]}." if parts[0] == "layers" else "") + ggml[parts[-2]] + ".weight"
            if t.dim() == 1: w.add_tensor(name, t.float().numpy())
            else: add(w, name, k, t)
        w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()
    def as_it_is(w, name, k, t):
        if kind == torch.bfloat16: w.add_tensor(name, t.contiguous().view(torch.int16).numpy().view(np.uint8), raw_dtype=gguf.GGMLQuantizationType.BF16)
        else: w.add_tensor(name, t.contiguous().numpy())
    rounded = {k: t.float() for k, t in model.items()}
    def as_q8_0(w, name, k, t):
        blocks = gguf.quants.quantize(t.float().numpy(), gguf.GGMLQuantizationType.Q8_0)
        w.add_tensor(name, blocks, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
        rounded[k] = torch.from_numpy(gguf.quants.dequantize(blocks, gguf.GGMLQuantizationType.Q8_0))
    write_gguf("model.gguf", as_it_is)
    write_gguf("q8_0.gguf", as_q8_0)
    kinds = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
    print(json.dumps({"keep": fingerprint(model), "q8_0": fingerprint(rounded)} | {k: fingerprint({n: t.to(d) for n, t in model.items()}) for k, d in kinds.items()}))
    """

  public struct Fingerprint: Decodable, Equatable, Sendable {
    public var checkpoint: String
    public var tensors: [String: String]

    public init(checkpoint: String, tensors: [String: String]) { (self.checkpoint, self.tensors) = (checkpoint, tensors) }
  }

  /// Writes the model into `folder`.
  /// - Parameter scale: times 64 is its width.
  /// - Returns: its fingerprints: `keep`, `f32`, `f16`, `bf16`, and `q8_0` for what that GGUF file holds, in float32.
  public static func write(to folder: String, dtype: String = "bfloat16", tied: String = "untied", scale: Int = 1) throws -> [String: Fingerprint] {
    let printed = try python(reference + fingerprints + writer, folder, dtype, tied, String(scale))
    return try JSONDecoder().decode([String: Fingerprint].self, from: Data(printed.utf8))
  }

  /// Adds folders to what was written to `folder`: `gguf` with the GGUF alone, and `hf-parts` with the tensors of `hf` in several files, and their index.
  public static func arrange(_ folder: String, parts: Int) throws {
    try python(
      """
      import sys, json, os
      from safetensors.torch import load_file, save_file
      root, parts = sys.argv[1], int(sys.argv[2])
      os.makedirs(root + "/gguf"); os.link(root + "/model.gguf", root + "/gguf/model.gguf")
      os.makedirs(root + "/hf-parts"); os.link(root + "/hf/config.json", root + "/hf-parts/config.json")
      tensors, index, size = load_file(root + "/hf/model.safetensors"), {}, 0
      def size_of(t): return t.numel() * t.element_size()
      total = sum(map(size_of, tensors.values()))
      places = {}
      for name in sorted(tensors):
          places.setdefault(min(parts - 1, size * parts // total), []).append(name)
          size += size_of(tensors[name])
      for number, names in places.items():
          file = f"model-{number + 1:05}-of-{parts:05}.safetensors"
          save_file({name: tensors[name] for name in names}, f"{root}/hf-parts/{file}")
          index |= {name: file for name in names}
      json.dump({"metadata": {}, "weight_map": index}, open(root + "/hf-parts/model.safetensors.index.json", "w"))
      """, folder, String(parts))
  }

  /// Flips one bit of the tensor `name` in whichever of `files` has the first elements of its row `row`.
  public static func flip(_ name: String, row: Int, of folder: String, in files: [String]) throws {
    try python(
      """
      import sys, torch
      folder, name, row, files = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4].split("\\n")
      wanted = torch.load(folder + "/mp1/consolidated.00.pth")[name][row, :8].clone().view(torch.int16).numpy().tobytes()
      hits = 0
      for file in files:
          raw = bytearray(open(file, "rb").read())
          at = raw.find(wanted)
          if at < 0: continue
          assert raw.find(wanted, at + 1) < 0
          hits += 1
          raw[at + 5] ^= 0x04
          open(file, "wb").write(raw)
      assert hits == 1, (name, hits)
      """, folder, name, String(row), files.joined(separator: "\n"))
  }
}
