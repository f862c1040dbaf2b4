/// Random Llama configurations as transformers saves them and as people write them by hand, and what transformers computes from each.
///
/// Prints a line of JSON a model: its folder, tokens, the keys that drover may refuse it for, and the log-probabilities after the last tokens; without
/// them where transformers itself gives up.
let randomConfigurations = #"""
  import json, os, random, sys, warnings
  warnings.filterwarnings("ignore")
  import torch, transformers
  from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM
  transformers.logging.set_verbosity(50)
  torch.set_num_threads(1)
  root, count = sys.argv[1], int(sys.argv[2])
  random.seed(12); torch.manual_seed(12)
  def maybe(share): return random.random() < share

  def rope(width):
      kind = random.choices(["default", "llama3", "linear", "dynamic", "yarn", "longrope"], [40, 26, 12, 14, 4, 4])[0]
      given = {"rope_type": kind, "rope_theta": random.choice([100.0, 10000.0, 500000.0, 1000000.0])}
      if kind == "llama3":
          given |= {"factor": random.choice([2.0, 8.0, 32.0]), "low_freq_factor": 1.0, "high_freq_factor": random.choice([2.0, 4.0]),
                    "original_max_position_embeddings": random.choice([8, 32, 100, 8192])}
      elif kind in ("linear", "dynamic", "yarn"): given["factor"] = 4.0
      elif kind == "longrope": given |= {"short_factor": [1.5] * (width // 2), "long_factor": [4.0] * (width // 2)}
      if kind in ("yarn", "longrope"): given["original_max_position_embeddings"] = 16
      return given

  # Other ways to say the same, and what other readers of these files say besides.
  def as_transformers_4(config):
      given = config.pop("rope_parameters")
      config["rope_theta"] = given.pop("rope_theta")
      config["rope_scaling"] = None if given["rope_type"] == "default" else given
      if "dtype" in config: config["torch_dtype"] = config.pop("dtype")
  def as_older_transformers(config):
      as_transformers_4(config)
      if config["rope_scaling"]: config["rope_scaling"]["type"] = config["rope_scaling"].pop("rope_type")
  def in_both_objects(config):
      config["rope_scaling"] = dict(config["rope_parameters"])
  def context_outside(config):
      given = config["rope_parameters"]
      if given["rope_type"] == "llama3": config["original_max_position_embeddings"] = given.pop("original_max_position_embeddings")
  def context_left_out(config):
      if config["rope_parameters"]["rope_type"] == "llama3": del config["rope_parameters"]["original_max_position_embeddings"]
  def nulls(config): config.update(rope_scaling=None, sliding_window=None, quantization_config=None)
  def bookkeeping(config):
      config.update(_name_or_path="x", transformers_version="4.31.0", pretraining_tp=2, use_cache=False, torchscript=False, tokenizer_class="T", num_labels=3,
                    attention_dropout=0.5, initializer_range=0.5, pad_token_id=0, temperature=0.5, top_p=0.9, max_length=4096, _attn_implementation_autoset=True)
  def everything(config): config.update({k: v for k, v in json.loads(LlamaConfig(**config).to_json_string(use_diff=False)).items() if k != "dtype"})
  spellings = [as_transformers_4, as_older_transformers, in_both_objects, context_outside, context_left_out, nulls, bookkeeping, everything]

  # What changes the mathematics somewhere, contradicts itself, or is of another architecture: each gives the key that a refusal must name.
  def contradicting_objects(config):
      config["rope_scaling"] = {"rope_type": "llama3", "factor": 3.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 16}
      return "rope_parameters"
  def contradicting_theta(config): config["rope_theta"] = 77.0; return "rope_theta"
  def contradicting_context(config):
      if config["rope_parameters"]["rope_type"] != "llama3": return None
      config["original_max_position_embeddings"] = 21; return "original_max_position_embeddings"
  def contradicting_type(config): config["rope_parameters"]["type"] = "yarn"; return "rope_parameters.type"
  def factor_without_type(config):
      config.pop("rope_parameters"); config["rope_scaling"] = {"factor": 4.0, "rope_theta": 10000.0}; return "rope_scaling.factor"
  def llama3_without_factor(config):
      config["rope_parameters"] = {"rope_type": "llama3", "rope_theta": 10000.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}; return "factor"
  def no_factor_at_all(config):
      if config["rope_parameters"]["rope_type"] != "llama3": return None
      config["rope_parameters"]["factor"] = 0.0; return "factor"
  def another(key, value):
      def change(config): config[key] = value; return key
      return change
  def nested(key, value):
      def change(config): config["rope_parameters"][key] = value; return "rope_parameters." + key
      return change
  foreign = [contradicting_objects, contradicting_theta, contradicting_context, contradicting_type, factor_without_type, llama3_without_factor, no_factor_at_all,
             nested("partial_rotary_factor", 0.5), nested("attention_factor", 2.0), nested("mrope_section", [1, 1, 2])]
  foreign += [another(*pair) for pair in [
      ("sliding_window", 4), ("use_qk_norm", True), ("logit_scale", 0.5), ("final_logit_softcapping", 30.0), ("attention_multiplier", 0.1),
      ("residual_multiplier", 0.2), ("num_local_experts", 8), ("quantization_config", {"quant_method": "gptq", "bits": 4}),
      ("layer_types", ["sliding_attention"]), ("no_rope_layers", [1, 0]), ("attention_chunk_size", 4), ("partial_rotary_factor", 0.5),
      ("architectures", ["MistralForCausalLM"]), ("is_encoder_decoder", True), ("pruned_heads", {"0": [1]}), ("auto_map", {"AutoModel": "m.M"}),
      ("rope_interleaved", True), ("chunk_size_feed_forward", 8), ("a_key_of_tomorrow", 1)]]

  for index in range(count):
      heads = random.choice([1, 2, 3, 4, 6, 8])
      width = random.choice([4, 6, 8, 16])
      shape = dict(
          hidden_size=heads * width, num_attention_heads=heads, num_key_value_heads=random.choice([n for n in range(1, heads + 1) if heads % n == 0]),
          head_dim=random.choice([4, 10, 16]) if maybe(0.2) else width, intermediate_size=random.choice([16, 33, 40, 96]),
          num_hidden_layers=random.choice([1, 2]), vocab_size=random.choice([32, 61, 64]), rms_norm_eps=random.choice([1e-6, 1e-5, 1e-3, 0.1]),
          max_position_embeddings=random.choice([6, 12, 64, 2048]), tie_word_embeddings=maybe(0.3))
      keys = []
      mistral = maybe(0.12)
      if mistral:
          # Where it is left out it is 4096.
          shape["sliding_window"] = random.choice([None, None, 4096, 4])
          if shape["sliding_window"]: keys.append("sliding_window")
      else:
          if maybe(0.12): shape["attention_bias"] = True
          if maybe(0.12): shape["mlp_bias"] = True
      if maybe(0.1):
          shape["hidden_act"] = random.choice(["swish", "gelu", "relu", "gelu_pytorch_tanh"])
          if shape["hidden_act"] != "swish": keys.append("hidden_act")
      turn = rope(shape["head_dim"])
      if turn["rope_type"] in ("yarn", "longrope"): keys.append("type")
      config = (MistralConfig if mistral else LlamaConfig)(**shape, rope_parameters=turn)
      model = (MistralForCausalLM if mistral else LlamaForCausalLM)(config)
      for name, p in model.named_parameters():
          # So large that every head, frequency and epsilon shows in the result.
          if name.endswith("norm.weight"): p.data = 1 + 0.3 * torch.randn_like(p)
          elif name.endswith("bias"): p.data = 0.5 * torch.randn_like(p)
          else: p.data = torch.randn_like(p) * (1 if "embed" in name else (2 if "q_proj" in name or "k_proj" in name else 1) / p.shape[1] ** 0.5)
      folder = f"{root}/{index}"
      model.to(random.choice([torch.float32, torch.bfloat16, torch.float16])).save_pretrained(folder, max_shard_size=random.choice(["10GB", "8KB"]))
      path = folder + "/config.json"
      saved = json.load(open(path))
      if maybe(0.25):
          key = random.choice(foreign)(saved)
          if key: keys.append(key)
      elif not shape["tie_word_embeddings"] and maybe(0.04):
          saved["tie_word_embeddings"] = True; keys.append("tie_word_embeddings")
      elif maybe(0.7):
          random.choice(spellings[:-1] if mistral else spellings)(saved)
          if mistral and maybe(0.2): saved.pop("sliding_window", None); keys.append("sliding_window")
          if not mistral and maybe(0.3) and saved.get("num_key_value_heads") == heads: del saved["num_key_value_heads"]
          if maybe(0.3) and saved.get("head_dim") == width: del saved["head_dim"]
      json.dump(saved, open(path, "w"))
      tokens = [random.randrange(shape["vocab_size"]) for _ in range(10)]
      line = dict(folder=folder, tokens=tokens, keys=keys, config=json.dumps(saved))
      try:
          with torch.no_grad():
              logits = (MistralForCausalLM if mistral else LlamaForCausalLM).from_pretrained(folder, dtype=torch.float32)(torch.tensor([tokens])).logits[0, -3:]
          line["scores"] = torch.log_softmax(logits, -1).flatten().tolist()
      except Exception as error:
          line["error"] = f"{type(error).__name__}: {error}"[:200]
      print(json.dumps(line))
  """#
