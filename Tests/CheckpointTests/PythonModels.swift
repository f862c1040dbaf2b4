import Checkpoint
import Foundation
import Integrity
import SystemPackage
import TestSupport
import Testing

/// Random models as torch writes and reads them, by scripts that share nothing with the program under test.
enum PythonModels {
  /// The shape of a small model.
  struct Shape: Sendable, CustomTestStringConvertible {
    var dim = 256
    var heads = 64
    var kvHeads = 8
    var hidden = 384
    var layers = 2
    var vocabulary = 512
    /// 1 as Llama 2 splits its embedding, 0 as Llama 3.
    var embeddingAxis = 1
    var dtype = "bfloat16"

    var json: String {
      """
      {"dim": \(dim), "n_heads": \(heads), "n_kv_heads": \(kvHeads), "hidden": \(hidden), "n_layers": \(layers), "vocab_size": \(vocabulary), \
      "axis": \(embeddingAxis), "dtype": "\(dtype)"}
      """
    }

    var testDescription: String { "\(heads) heads, \(kvHeads) for keys and values, embedding axis \(embeddingAxis), \(dtype)" }
  }

  /// Bits of weights are random, NaNs included: what is compared are bytes.
  private static let common = """
    import glob, json, os, sys, torch
    def whole(shape):
        g = torch.Generator().manual_seed(1)
        dtype = getattr(torch, shape["dtype"])
        # In halves of 16 bits: versions of torch differ in how they draw numbers from a wide range.
        halves = 2 if dtype == torch.float32 else 1
        def t(*size): return torch.randint(-32768, 32767, (*size[:-1], size[-1] * halves), generator=g, dtype=torch.int64).to(torch.int16).view(dtype)
        dim, hd = shape["dim"], shape["dim"] // shape["n_heads"]
        kv, hidden, vocab = shape["n_kv_heads"] * hd, shape["hidden"], shape["vocab_size"]
        w = {"tok_embeddings.weight": t(vocab, dim), "norm.weight": t(dim), "output.weight": t(vocab, dim),
             "rope.freqs": torch.tensor([10000.0 ** (-2 * i / hd) for i in range(max(1, hd // 2))], dtype=torch.float64).to(dtype)}
        for l in range(shape["n_layers"]):
            p = f"layers.{l}."
            w |= {p + "attention.wq.weight": t(dim, dim), p + "attention.wk.weight": t(kv, dim), p + "attention.wv.weight": t(kv, dim),
                  p + "attention.wo.weight": t(dim, dim), p + "feed_forward.w1.weight": t(hidden, dim), p + "feed_forward.w2.weight": t(dim, hidden),
                  p + "feed_forward.w3.weight": t(hidden, dim), p + "attention_norm.weight": t(dim), p + "ffn_norm.weight": t(dim)}
        return w
    def cut(shape, mp, rank):
        parts = {}
        for name, w in whole(shape).items():
            if "norm" in name or "rope" in name: parts[name] = w
            elif "wo." in name or "w2." in name or ("tok" in name and shape["axis"] == 1): parts[name] = w.chunk(mp, 1)[rank].contiguous()
            elif ("wk." in name or "wv." in name) and mp > shape["n_kv_heads"]:
                heads = w.chunk(shape["n_kv_heads"], 0)
                parts[name] = heads[rank * shape["n_kv_heads"] // mp].contiguous()
            else: parts[name] = w.chunk(mp, 0)[rank].contiguous()
        return parts
    shape = json.loads(sys.argv[1])
    folders = [(folder, int(mp), format) for folder, mp, format in json.loads(sys.argv[2])]
    """

  /// A checkpoint in Meta's layout.
  struct Folder: Sendable {
    var path: String
    var modelParallel: Int
    /// The suffix of its files, or `legacy` for torch's format from before 1.6.
    var format = "pth"
  }

  private static func json(_ folders: [Folder]) -> String {
    "[" + folders.map { #"["\#($0.path)", \#($0.modelParallel), "\#($0.format)"]"# }.joined(separator: ",") + "]"
  }

  /// Writes the model of `shape` to each folder.
  static func write(_ shape: Shape, to folders: [Folder]) throws {
    try python(
      common + """

        for folder, mp, format in folders:
            os.makedirs(folder, exist_ok=True)
            params = {"dim": shape["dim"], "n_heads": shape["n_heads"], "n_kv_heads": max(mp, shape["n_kv_heads"]), "n_layers": shape["n_layers"],
                      "hidden_dim": shape["hidden"], "norm_eps": 1e-5, "vocab_size": -1}
            json.dump(params, open(f"{folder}/params.json", "w"))
            for rank in range(mp):
                if format != "safetensors": torch.save(cut(shape, mp, rank), f"{folder}/consolidated.{rank:02d}.pth", _use_new_zipfile_serialization=format == "pth")
                else:
                    from safetensors.torch import save_file
                    save_file(cut(shape, mp, rank), f"{folder}/consolidated.{rank:02d}.safetensors")
        """, shape.json, json(folders))
  }

  static func write(_ shape: Shape, to folder: String, modelParallel: Int) throws {
    try write(shape, to: [Folder(path: folder, modelParallel: modelParallel)])
  }

  /// Writes the model of `shape` as other programs leave it, each in a folder of its own under `root`.
  /// - Returns: the folders' names, and what is said of what is left out, a word of it.
  static func writeNamed(_ shape: Shape, to root: String) throws -> [String: String] {
    let printed = try python(common + namedScript, shape.json, "[]", root, with: .currentTorch)
    return try JSONDecoder().decode([String: String].self, from: Data(printed.utf8))
  }

  /// Each of `cases` is the files of a folder; and words that must be in a note, or none.
  private static let namedScript = #"""

    import itertools
    root = sys.argv[3]
    w = whole(shape)
    heads, kv, dim = shape["n_heads"], shape["n_kv_heads"], shape["dim"]
    hd = dim // heads
    PARAMS = {"dim": dim, "n_heads": heads, "n_kv_heads": kv, "n_layers": shape["n_layers"], "hidden_dim": shape["hidden"], "norm_eps": 1e-5, "vocab_size": -1}
    CONFIG = {"model_type": "llama", "hidden_size": dim, "intermediate_size": shape["hidden"], "num_hidden_layers": shape["n_layers"], "num_attention_heads": heads,
              "num_key_value_heads": kv, "vocab_size": shape["vocab_size"], "rms_norm_eps": 1e-5, "tie_word_embeddings": False, "architectures": ["LlamaForCausalLM"]}
    def halves(t, n): return t.view(n, t.shape[0] // n // 2, 2, t.shape[1]).transpose(1, 2).reshape(t.shape).contiguous()
    HF = {"attention.wq": "self_attn.q_proj", "attention.wk": "self_attn.k_proj", "attention.wv": "self_attn.v_proj", "attention.wo": "self_attn.o_proj",
          "feed_forward.w1": "mlp.gate_proj", "feed_forward.w2": "mlp.down_proj", "feed_forward.w3": "mlp.up_proj", "attention_norm": "input_layernorm",
          "ffn_norm": "post_attention_layernorm", "tok_embeddings": "model.embed_tokens", "norm": "model.norm", "output": "lm_head"}
    LIT = {"attention.wo": "attn.proj", "feed_forward.w1": "mlp.fc_1", "feed_forward.w2": "mlp.proj", "feed_forward.w3": "mlp.fc_2", "attention_norm": "norm_1",
           "ffn_norm": "norm_2", "tok_embeddings": "transformer.wte", "norm": "transformer.ln_f", "output": "lm_head"}
    def parts(name):
        words = name.removesuffix(".weight").split(".")
        return (int(words[1]), ".".join(words[2:])) if words[0] == "layers" else (None, words[0])
    def turned(name, t): return halves(t, heads if ".wq." in name else kv) if ".wq." in name or ".wk." in name else t
    hf = {(f"model.layers.{l}." if l is not None else "") + HF[n] + ".weight": turned(name, t) for name, t in w.items() if "rope" not in name for l, n in [parts(name)]}
    bare = {k.removeprefix("model."): t for k, t in hf.items()}
    plain = {k: t for k, t in w.items() if "rope" not in k}
    def fused(join, name, names, prefix, turn):
        out = {}
        for key, t in plain.items():
            l, n = parts(key)
            if n in ("attention.wk", "attention.wv"): continue
            if n == "attention.wq":
                q, k, v = (w[f"layers.{l}.attention.{x}.weight"] for x in ("wq", "wk", "wv"))
                if turn: q, k = halves(q, heads), halves(k, kv)
                out[f"{prefix}{l}.{name}.weight"] = torch.cat(list(join(q, k, v)))
            else: out[(f"{prefix}{l}." if l is not None else "") + names.get(n, n) + ".weight"] = t
        return out
    def grouped(q, k, v):
        return itertools.chain.from_iterable(zip(q.split(heads // kv * hd), k.split(hd), v.split(hd)))
    def stacked(q, k, v): return (q, k, v)
    gptfast = fused(stacked, "attention.wqkv", {}, "layers.", False)
    lit, oldlit = fused(stacked, "attn.qkv", LIT, "transformer.h.", True), fused(grouped, "attn.attn", LIT, "transformer.h.", True)
    def wrapped(prefix): return {prefix + k: t for k, t in w.items()}
    state = {"epoch": 3, "global_step": 7, "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(3)}}}], "lr_schedulers": [], "hyper_parameters": {"lr": 1e-4}}
    buffers = {"freqs_cis": torch.ones(4, 2, dtype=torch.complex64), "layers.0.attention.mask": torch.ones(1, 1, 4, 4, dtype=torch.bool),
               "layers.0.attention.cache_k": torch.zeros(1, 4, kv, hd, dtype=torch.int8), "causal_mask": torch.ones(4, 4, dtype=torch.bool)}
    lora = {f"model.layers.0.self_attn.q_proj.lora_{x}.default.weight": torch.zeros(2, dim) for x in "AB"}
    items = list(hf.items())
    half = {"pytorch_model-00001-of-00002.bin": dict(items[::2]), "pytorch_model-00002-of-00002.bin": dict(items[1::2])}
    index = {"weight_map": {k: f for f, t in half.items() for k in t}, "metadata": {}}
    transposed = {k: t.t().contiguous().t() if t.dim() == 2 else torch.stack([t, t])[1] for k, t in w.items()}
    def legacy(t): return ("legacy", t)
    def safe(t): return ("safetensors", t)
    cases = {
        "tune": ({"meta_model_0.pt": w}, ""), "merged": ({"consolidated.pth": w}, ""), "digit": ({"consolidated.0.pth": w}, ""), "fast": ({"model.pth": gptfast}, ""),
        "fast-config": ({"model.pth": gptfast, "config.json": CONFIG}, ""), "lit": ({"lit_model.pth": lit, "config.json": CONFIG}, ""), "lit-params": ({"lit_model.pth": lit}, ""),
        "lit-old": ({"lit_model.pth": oldlit, "config.json": CONFIG}, ""), "lightning": ({"epoch=1.ckpt": state | {"state_dict": wrapped("model.")}}, "epoch"),
        "torchtune-state": ({"recipe.pt": {"model": w, "steps_run": torch.tensor(3)}}, "steps_run"), "deepspeed": ({"mp_rank_00_model_states.pt": {"module": wrapped("module."), "dp_world_size": 1}}, "dp_world_size"),
        "twice": ({"last.ckpt": {"state_dict": {"model": w}, "step": 1}}, "step"), "compiled": ({"model.pt": wrapped("_orig_mod.")}, ""),
        "parallel": ({"model.pt": wrapped("module._orig_mod.")}, ""), "sharded": ({"model.pt": {("_fsdp_wrapped_module." + k).replace("layers.0.", "layers.0._fsdp_wrapped_module._checkpoint_wrapped_module."): t for k, t in w.items()}}, ""),
        "bin": ({"pytorch_model.bin": hf, "config.json": CONFIG, "training_args.bin": "args"}, ""), "bins": (half | {"pytorch_model.bin.index.json": index, "config.json": CONFIG}, ""),
        "bins-without-index": (half | {"config.json": CONFIG}, ""), "bin-trained": ({"pytorch_model.bin": {"module." + k: t for k, t in hf.items()}, "config.json": CONFIG, "optimizer.pt": state}, ""),
        "headless-names": ({"pytorch_model.bin": bare, "config.json": CONFIG}, ""), "mistral": ({"consolidated.safetensors": safe(w)}, ""),
        "hf-by-params": ({"weights.pt": hf}, ""), "meta-by-config": ({"weights.pt": w, "config.json": CONFIG}, ""), "any-name": ({"tensors.safetensors": safe(hf), "config.json": CONFIG}, ""),
        "buffers": ({"model.pth": w | buffers}, "freqs_cis"), "lora": ({"pytorch_model.bin": hf | lora, "config.json": CONFIG}, "lora_A"),
        "peft": ({"pytorch_model.bin": {"base_model.model." + (k.replace("q_proj", "q_proj.base_layer")): t for k, t in (hf | lora).items()}, "config.json": CONFIG}, "lora_B"),
        "legacy": ({"consolidated.00.pth": legacy(w)}, ""), "legacy-bin": ({"pytorch_model.bin": legacy(hf), "config.json": CONFIG}, ""),
        "legacy-views": ({"model.pth": legacy(transposed)}, ""), "legacy-state": ({"x.ckpt": legacy(state | {"state_dict": wrapped("model.")})}, "epoch"),
        "legacy-buffers": ({"consolidated.pth": legacy(w | buffers)}, "freqs_cis"), "wrong-ending": ({"model.safetensors": w}, ""), "gguf-ending": ({"model.gguf": w}, ""), "wrong-ending-too": ({"consolidated.00.pth": safe(w)}, ""),
    } | {f"legacy-protocol-{n}": ({"model.pt": ("protocol", n)}, "") for n in (1, 3, 4, 5)}
    from safetensors.torch import save_file
    class Args: pass
    for name, (files, _) in cases.items():
        folder = f"{root}/named-{name}"; os.makedirs(folder)
        if "config.json" not in files: json.dump(PARAMS, open(folder + "/params.json", "w"))
        for file, content in files.items():
            path = f"{folder}/{file}"
            if file.endswith(".json"): json.dump(content, open(path, "w"))
            elif content == "args": torch.save(Args(), path)
            elif isinstance(content, tuple) and content[0] == "safetensors": save_file({k: t.clone() for k, t in content[1].items()}, path)
            elif isinstance(content, tuple) and content[0] == "legacy": torch.save(content[1], path, _use_new_zipfile_serialization=False)
            elif isinstance(content, tuple): torch.save(w, path, _use_new_zipfile_serialization=False, pickle_protocol=content[1])
            else: torch.save(content, path)
    print(json.dumps({"named-" + name: words for name, (_, words) in cases.items()}))
    """#

  /// Compares every tensor of every shard in each folder with the model of `shape`, bit for bit.
  static func check(_ shape: Shape, _ folders: [Folder], with peer: Peer) throws {
    try python(
      common + """

        modern = int(torch.__version__.split(".")[0]) >= 2
        for folder, mp, format in folders:
            files = sorted(glob.glob(f"{folder}/consolidated.*.{format}"))
            assert len(files) == mp, (folder, files)
            for rank, file in enumerate(files):
                if format == "pth": got = torch.load(file, weights_only=True, mmap=True) if modern else torch.load(file)
                else:
                    from safetensors.torch import load_file
                    got = load_file(file)
                    length = int.from_bytes(open(file, "rb").read(8), "little")
                    assert folder.endswith("source") or (8 + length) % 4096 == 0, length
                want = cut(shape, mp, rank)
                # Most programs compute them.
                if "/named-" in folder and "rope.freqs" not in got: del want["rope.freqs"]
                assert set(got) == set(want), set(got) ^ set(want)
                for name in want:
                    a, b = got[name], want[name]
                    assert a.dtype == b.dtype and a.shape == b.shape and a.is_contiguous(), (file, name, a.dtype, a.shape)
                    integer = torch.int32 if a.dtype == torch.float32 else torch.int16
                    assert torch.equal(a.view(integer), b.view(integer)), (file, name)
        """, shape.json, json(folders), with: peer)
  }
}

/// Plans and writes.
@discardableResult
func reshard(
  _ source: String, _ destination: String, modelParallel: Int, format: Checkpoint.Format = .pth, dtype: DTypeMix? = nil,
  _ options: ReshardPlan.WriteOptions = .init()
) throws -> [ReshardPlan.WrittenFile] {
  let checkpoint = try Checkpoint.open(at: FilePath(source))
  return try ReshardPlan(checkpoint, .init(modelParallel: modelParallel, format: format, dtype: dtype)).write(to: FilePath(destination), options)
}
