/// GGUF files as the `gguf` library writes them, each with one more key or another value, and what llama.cpp's llama architecture makes of it, computed by
/// PyTorch. Every key that the library knows comes up. Prints what `randomConfigurations` prints.
let ggufKeys =
  torchLlama + #"""
    import os, numpy as np
    from gguf import GGUFWriter, GGUFValueType as V
    from gguf.constants import Keys
    root = sys.argv[1]
    base = dict(dim=32, layers=2, heads=4, kv=2, head_dim=8, theta=10000.0, eps=1e-5)
    def matrix(rows, columns, scale=1): return torch.randn(rows, columns) * scale / math.sqrt(columns)
    w = {"tok_embeddings.weight": matrix(48, 32, 5), "norm.weight": torch.ones(32), "output.weight": matrix(48, 32)}
    for l in range(2):
        a, f = f"layers.{l}.attention.", f"layers.{l}.feed_forward."
        w |= {a + "wq.weight": matrix(32, 32, 2), a + "wk.weight": matrix(16, 32, 2), a + "wv.weight": matrix(16, 32), a + "wo.weight": matrix(32, 32),
              f + "w1.weight": matrix(40, 32), f + "w2.weight": matrix(32, 40), f + "w3.weight": matrix(40, 32),
              f"layers.{l}.attention_norm.weight": 1 + 0.3 * torch.randn(32), f"layers.{l}.ffn_norm.weight": 1 + 0.3 * torch.randn(32)}
    names = {"tok_embeddings": "token_embd", "norm": "output_norm", "output": "output", "attention.wq": "attn_q", "attention.wk": "attn_k",
             "attention.wv": "attn_v", "attention.wo": "attn_output", "attention_norm": "attn_norm", "ffn_norm": "ffn_norm",
             "feed_forward.w1": "ffn_gate", "feed_forward.w2": "ffn_down", "feed_forward.w3": "ffn_up"}
    said = {"llama.embedding_length": 32, "llama.block_count": 2, "llama.feed_forward_length": 40, "llama.attention.head_count": 4,
            "llama.attention.head_count_kv": 2, "llama.attention.layer_norm_rms_epsilon": 1e-5, "llama.context_length": 64, "llama.rope.freq_base": 10000.0}
    tokens = torch.randint(48, (12,)).tolist()
    index = 0

    def write(changes, keys=(), **parameters):
        global index
        index += 1
        path = f"{root}/{index}.gguf"
        writer = GGUFWriter(path, "llama")
        for key, value in (said | changes).items():
            if value is None or key == "general.architecture": continue
            kind = {bool: V.BOOL, int: V.UINT32, float: V.FLOAT32, str: V.STRING, list: V.ARRAY}[type(value)]
            writer.add_key_value(key, value, kind, **(dict(sub_type=V.UINT32) if kind == V.ARRAY else {}))
        for name, t in w.items():
            parts = name[:-len(".weight")].split(".")
            new = f"blk.{parts[1]}." + names[".".join(parts[2:])] if parts[0] == "layers" else names[parts[0]]
            writer.add_tensor(new + ".weight", t.numpy())
        writer.write_header_to_file(); writer.write_kv_data_to_file(); writer.write_tensors_to_file(); writer.close()
        scores = torch.log_softmax(logits(base | parameters, w, tokens)[-3:], -1).flatten().tolist()
        print(json.dumps(dict(folder=path, tokens=tokens, keys=list(keys), scores=scores, config=str(changes))))

    # What says what drover computes, in other words or another number.
    write({})
    write({"llama.rope.freq_base": 500000.0}, theta=500000.0)
    write({"llama.rope.freq_base": None})
    write({"llama.attention.layer_norm_rms_epsilon": 0.1}, eps=0.1)
    harmless = {
        "llama.vocab_size": 48, "llama.context_length": 77, "llama.attention.key_length": 8, "llama.attention.value_length": 8, "llama.rope.dimension_count": 8,
        "llama.rope.scaling.type": "none", "llama.rope.scaling.factor": 1.0, "llama.rope.scaling.attn_factor": 1.0,
        "llama.rope.scaling.original_context_length": 4096, "llama.rope.scaling.finetuned": True, "llama.expert_count": 0, "llama.expert_used_count": 0,
        "llama.use_parallel_residual": False, "llama.attention.causal": True, "llama.attention.max_alibi_bias": 0.0, "llama.attention.clamp_kqv": 0.0,
        "llama.attention.scale": 0.0, "llama.pooling_type": 0, "llama.tensor_data_layout": "Meta AI original pth", "llama.rope.scale_linear": 1.0,
        "split.no": 0, "split.count": 1, "split.tensors.count": 21, "general.type": "model", "general.alignment": 32}
    for key, value in harmless.items(): write({key: value})
    write({"llama.rope.scaling.factor": 0.0})
    # A factor divides all frequencies, but for the type "none"; the old name counts where the new one isn't there.
    for more in ({}, {"llama.rope.scaling.type": "linear"}, {"llama.rope.scale_linear": 2.0}): write({"llama.rope.scaling.factor": 4.0} | more, linear=4.0)
    write({"llama.rope.scale_linear": 4.0}, linear=4.0)
    write({"llama.rope.scaling.type": "linear"})
    write({"llama.rope.scaling.type": "none", "llama.rope.scaling.factor": 4.0})
    write({"llama.attention.head_count_kv": 2, **harmless})

    # What says something else.
    for key, value in {
        "llama.rope.scaling.type": "longrope", "llama.rope.scaling.factor": -4.0, "llama.rope.scale_linear": float("nan"), "llama.rope.scaling.attn_factor": 2.0,
        "llama.rope.dimension_count": 4, "llama.attention.value_length": 4, "llama.attention.head_count_kv": [2, 2], "llama.feed_forward_length": [40, 40],
        "llama.attention.head_count": [4, 4], "llama.expert_count": 4, "llama.expert_used_count": 2, "llama.use_parallel_residual": True,
        "llama.attention.causal": False, "llama.attention.max_alibi_bias": 8.0, "llama.attention.clamp_kqv": 1.0, "llama.attention.scale": 0.5,
        "llama.pooling_type": 1, "llama.tensor_data_layout": "transposed", "split.count": 2, "split.no": 1, "general.type": "adapter",
        "llama.rope.freq_base": "10000", "llama.attention.layer_norm_rms_epsilon": float("nan"), "llama.a_key_of_tomorrow": 1}.items():
        write({key: value}, keys=[key])
    for key in ("llama.attention.layer_norm_rms_epsilon", "llama.attention.head_count"): write({key: None}, keys=[key])
    write({"llama.rope.scaling.type": "yarn", "llama.rope.scaling.factor": 4.0, "llama.rope.scaling.yarn_beta_fast": 32.0}, keys=["llama.rope.scaling.type"])

    # All other keys of the library.
    def every(group):
        for name, value in vars(group).items():
            if isinstance(value, str) and not name.startswith("__"): yield value.format(arch="llama", id=0, name="x", dense="dense")
            elif isinstance(value, type): yield from every(value)
    general = {}
    for key in every(Keys):
        if key.startswith("general."): general[key] = 3 if key.endswith(("count", "version", "file_type")) else "text"
        elif not key.startswith("tokenizer.") and key not in said and key not in harmless: write({key: 3}, keys=[key])
    write(general | {"general.type": "model", "general.alignment": 32, "tokenizer.ggml.padding_token_id": 3, "quantize.imatrix.file": "x"})
    """#

/// Meta's checkpoints, each with one more key in `params.json` or another value, and what the reference model of Meta's `llama-models` package computes.
/// Every key that the package's `ModelArgs` know comes up. Prints what `randomConfigurations` prints.
let paramsKeys = #"""
  import dataclasses, json, math, os, sys, types
  import torch
  root, package = sys.argv[1:]
  torch.manual_seed(5)
  torch.set_num_threads(1)
  # The reference without its parallel layers, of which there is one rank here.
  def module(name, **members):
      m = types.ModuleType(name); m.__dict__.update(members); sys.modules[name] = m
  class Linear(torch.nn.Linear):
      def __init__(self, inputs, outputs, bias=False, **_): super().__init__(inputs, outputs, bias=bias)
  class Embedding(torch.nn.Embedding):
      def __init__(self, count, width, **_): super().__init__(count, width)
  for name in ("fairscale", "fairscale.nn", "fairscale.nn.model_parallel"): module(name, __path__=[])
  module("fairscale.nn.model_parallel.initialize", get_model_parallel_world_size=lambda: 1)
  module("fairscale.nn.model_parallel.layers", ColumnParallelLinear=Linear, RowParallelLinear=Linear, VocabParallelEmbedding=Embedding)
  for name in ("llama_models", "llama_models.llama3", "llama_models.llama4"): module(name, __path__=[package + "/" + name.replace(".", "/")])
  from llama_models.llama3 import model as reference
  from llama_models.llama3.args import ModelArgs
  from llama_models.llama4.args import ModelArgs as Llama4Args
  base = dict(dim=32, n_layers=2, n_heads=4, n_kv_heads=2, vocab_size=48, multiple_of=16, norm_eps=1e-5, rope_theta=10000.0)
  tokens = torch.randint(48, (12,)).tolist()
  def scaling(factor=8, low=1, high=4, context=8192):
      """The reference's apply_scaling, whose numbers are in its code."""
      def scaled(freqs):
          def one(f):
              wavelength = 2 * math.pi / f
              if wavelength < context / high: return f
              if wavelength > context / low: return f / factor
              smooth = (context / wavelength - low) / (high - low)
              return (1 - smooth) * f / factor + smooth * f
          return torch.tensor([one(f.item()) for f in freqs])
      return scaled
  own = reference.apply_scaling
  index = 0

  def write(changes, keys=(), scaled=own, without=(), **arguments):
      """arguments: what the reference is told where params.json says something else or more."""
      global index
      index += 1
      said = {k: v for k, v in (base | changes).items() if k not in without}
      reference.apply_scaling = scaled
      known = {f.name for f in dataclasses.fields(ModelArgs)}
      args = ModelArgs(**(({k: v for k, v in said.items() if k in known and k not in keys and v is not None} | dict(max_batch_size=1, max_seq_len=16)) | arguments))
      model = reference.Transformer(args).float()
      for name, p in model.named_parameters():
          p.data = 1 + 0.3 * torch.randn_like(p) if "norm" in name else torch.randn_like(p) * (5 if "tok" in name else 2 if "wq" in name or "wk" in name else 1) / p.shape[1] ** 0.5
      folder = f"{root}/{index}"
      os.makedirs(folder)
      torch.save(dict(model.state_dict()), folder + "/consolidated.00.pth")
      json.dump(said, open(folder + "/params.json", "w"))
      scores = torch.log_softmax(model(torch.tensor([tokens]), 0)[0, -3:], -1).flatten().tolist()
      print(json.dumps(dict(folder=folder, tokens=tokens, keys=list(keys), scores=scores, config=json.dumps(said))))

  write({})
  for changes in [{"norm_eps": 0.1}, {"rope_theta": 100.0}, {"n_kv_heads": 4}, {"n_kv_heads": 1}, {"n_heads": 2}, {"multiple_of": 64}, {"ffn_dim_multiplier": 1.5},
                  {"max_batch_size": 1}, {"max_seq_len": 64}, {"use_scaled_rope": False}, {"head_dim": 8}, {"hidden_dim": 96}, {"use_qk_norm": False},
                  {"attn_temperature_tuning": False}, {"floor_scale": 8192.0}, {"attn_scale": 0.1}, {"vision_chunk_size": -1}, {"vision_max_num_chunks": 4},
                  {"vision_num_cross_attention_layers": -1}, {"n_layers": 1}, {"sliding_window": None, "quantization_args": None}]:
      write(changes)
  write({"vocab_size": -1}, vocab_size=48)
  write({}, without=["n_kv_heads"], n_kv_heads=None)
  write({}, without=["norm_eps"])
  write({"hidden_dim": 96}, without=["multiple_of"], multiple_of=16)
  # Theta is so small that all frequencies lie where scaling blends or divides.
  for theta in (500000.0, 1e12):
      write({"use_scaled_rope": True, "rope_theta": theta})
      write({"use_scaled_rope": True, "rope_theta": theta, "rope_scaling_factor": 32.0}, scaled=scaling(factor=32))
  small = {"use_scaled_rope": True, "original_rotary_embed_context": 32}
  write(small, scaled=scaling(context=32))
  write(small | {"rope_scaling_factor": 3.0, "low_freq_factor": 2.0, "high_freq_factor": 5.0}, scaled=scaling(3, 2, 5, 32))
  write(small | {"rope_high_freq_factor": 1.5}, scaled=scaling(high=1.5, context=32))
  write(small | {"rope_high_freq_factor": 1.5, "high_freq_factor": 4}, keys=["rope_high_freq_factor"])
  write(small | {"high_freq_factor": 1.0}, keys=["high_freq_factor"])
  write({"use_scaled_rope": True, "rope_scaling_factor": 0.0}, keys=["rope_scaling_factor"])
  for key, value in {"rope_scaling_factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "rope_high_freq_factor": 1.0, "original_rotary_embed_context": 8192}.items():
      write({key: value}, keys=[key])

  # Every other key of the reference's, with a value that isn't its default; and of other models'.
  handled = set(base) | {"head_dim", "ffn_dim_multiplier", "use_scaled_rope", "rope_scaling_factor", "rope_high_freq_factor", "max_batch_size", "max_seq_len"}
  others = {f.name: f.default for f in dataclasses.fields(ModelArgs)} | {name: f.default for name, f in Llama4Args.model_fields.items()}
  for key, default in others.items():
      if key not in handled: write({key: not default if isinstance(default, bool) else default + 3 if isinstance(default, (int, float)) else {"x": 1}}, keys=[key])
  for key, value in {"sliding_window": 8, "moe": {"num_experts": 8, "num_experts_per_tok": 2}, "quantization": {"qformat_weight": "fp8_e4m3"}, "vision_encoder": {}, "vision_model": {"dim": 1},
                     "model_type": "mamba", "ragged_attention": "x", "attention_chunk_size": 8, "a_key_of_tomorrow": 1}.items():
      write({key: value}, keys=[key])
  """#
