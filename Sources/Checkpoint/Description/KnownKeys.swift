import Platform

/// The keys of models' descriptions that drover understands, in one table a kind of description. What isn't here is refused by name.

// MARK: config.json

extension KeyTable {
  /// Hugging Face's `config.json` of a Llama model.
  ///
  /// Source: `LlamaConfig` and `PreTrainedConfig` of transformers 4 and 5; what `modeling_llama.py` does with each. Generation's defaults, which old
  /// files have here, are the command line's business.
  static let huggingFace = KeyTable(rules: [
    // The architecture.
    "architectures": .only([.array([.text("LlamaForCausalLM")]), .array([.text("LLaMAForCausalLM")])]),
    "model_type": .read, "hidden_size": .read, "intermediate_size": .read, "num_hidden_layers": .read, "num_attention_heads": .read,
    "num_key_value_heads": .read, "head_dim": .read, "vocab_size": .read, "rms_norm_eps": .read, "tie_word_embeddings": .read,
    "hidden_act": .only([.text("silu"), .text("swish")]), "attention_bias": .read, "mlp_bias": .read,
    "is_encoder_decoder": .only([.bool(false)]), "add_cross_attention": .only([.bool(false)]), "tie_encoder_decoder": .only([.bool(false)]),
    "pruned_heads": .only([.object([:])]), "chunk_size_feed_forward": .only([.integer(0)]), "rope_interleaved": .only([.bool(false)]),
    // RoPE; the objects have a table of their own.
    "rope_theta": .read, "rope_scaling": .read, "rope_parameters": .read, "max_position_embeddings": .read,
    "original_max_position_embeddings": .read, "partial_rotary_factor": .only([.integer(1)]),
    // Tokens that begin and end a text.
    "bos_token_id": .read, "eos_token_id": .read, "pad_token_id": .harmless, "sep_token_id": .harmless,
    // Training: dropout and initial weights.
    "attention_dropout": .harmless, "initializer_range": .harmless,
    // How transformers computes, not what: its slices for tensor parallelism give the same sums, but for rounding.
    "pretraining_tp": .harmless, "use_cache": .harmless, "dtype": .harmless, "torch_dtype": .harmless, "torchscript": .harmless, "use_bfloat16": .harmless,
    "attn_implementation": .harmless, "_attn_implementation": .harmless, "_attn_implementation_autoset": .harmless,
    "_attn_implementation_internal": .harmless, "experts_implementation": .harmless, "_experts_implementation": .harmless,
    "_experts_implementation_internal": .harmless, "gradient_checkpointing": .harmless, "return_dict": .harmless, "output_hidden_states": .harmless,
    "output_attentions": .harmless, "tie_last_hidden_states": .harmless, "is_decoder": .harmless,
    // Where it comes from, and labels of tasks that need another head than Llama's.
    "_name_or_path": .harmless, "name_or_path": .harmless, "_commit_hash": .harmless, "transformers_version": .harmless, "tokenizer_class": .harmless,
    "finetuning_task": .harmless, "id2label": .harmless, "label2id": .harmless, "num_labels": .harmless, "problem_type": .harmless,
    "is_llama_config": .harmless, "transformers.js_config": .harmless, "unsloth_fixed": .harmless, "unsloth_version": .harmless,
    "max_sequence_length": .harmless,
    // Generation: which of the probabilities is taken, and for how long.
    "max_length": .harmless, "min_length": .harmless, "do_sample": .harmless, "early_stopping": .harmless, "num_beams": .harmless,
    "num_beam_groups": .harmless, "diversity_penalty": .harmless, "temperature": .harmless, "top_k": .harmless, "top_p": .harmless,
    "typical_p": .harmless, "repetition_penalty": .harmless, "length_penalty": .harmless, "no_repeat_ngram_size": .harmless,
    "encoder_no_repeat_ngram_size": .harmless, "num_return_sequences": .harmless, "output_scores": .harmless, "return_dict_in_generate": .harmless,
    "remove_invalid_values": .only([.bool(false)]),
  ])

  /// The objects `rope_scaling` and `rope_parameters` of `config.json`.
  ///
  /// Source: `modeling_rope_utils.py` of transformers; what its other types of scaling need isn't here.
  static let huggingFaceRoPE = KeyTable(rules: [
    "rope_type": .read, "type": .read, "rope_theta": .read, "factor": .read, "low_freq_factor": .read, "high_freq_factor": .read,
    "original_max_position_embeddings": .read, "partial_rotary_factor": .only([.integer(1)]), "attention_factor": .only([.integer(1)]),
  ])
}

// MARK: params.json

extension KeyTable {
  /// Meta's `params.json`, and Mistral's.
  ///
  /// Source: `ModelArgs` of the llama, codellama and llama-models repositories (`llama3/args.py`, `llama4/args.py`).
  static let meta = KeyTable(rules: [
    "dim": .read, "n_layers": .read, "n_heads": .read, "n_kv_heads": .read, "head_dim": .read, "hidden_dim": .read, "multiple_of": .read,
    "ffn_dim_multiplier": .read, "vocab_size": .read, "norm_eps": .read, "rope_theta": .read, "use_scaled_rope": .read,
    "rope_scaling_factor": .read, "low_freq_factor": .read, "high_freq_factor": .read, "rope_high_freq_factor": .read,
    "original_rotary_embed_context": .read, "quantization_args": .read, "lora_args": .read,
    // Room for the KV cache.
    "max_batch_size": .harmless, "max_seq_len": .harmless,
    // Llama 4 and the vision models: these values say that there is nothing of the kind.
    "use_qk_norm": .only([.bool(false)]), "attn_temperature_tuning": .only([.bool(false)]), "floor_scale": .only([.integer(8192)]),
    "attn_scale": .only([.number(0.1)]), "vision_chunk_size": .only([.integer(-1)]), "vision_max_num_chunks": .only([.integer(4)]),
    "vision_num_cross_attention_layers": .only([.integer(-1)]),
  ])
}

// MARK: GGUF

extension KeyTable {
  /// The metadata of a GGUF file of the llama architecture.
  ///
  /// Source: `docs/gguf.md` of the ggml repository, `constants.py` of its Python package, and which keys llama.cpp's llama architecture reads.
  static let gguf = KeyTable(
    rules: [
      "general.architecture": .read, "general.alignment": .read, "general.type": .only([.text("model")]),
      "llama.vocab_size": .read, "llama.context_length": .read, "llama.embedding_length": .read, "llama.block_count": .read,
      "llama.feed_forward_length": .read, "llama.attention.head_count": .read, "llama.attention.head_count_kv": .read,
      "llama.attention.key_length": .read, "llama.attention.value_length": .read, "llama.attention.layer_norm_rms_epsilon": .read,
      "llama.rope.dimension_count": .read, "llama.rope.freq_base": .read,
      // The second is the old name of the first. The rest of YaRN's keys come only with its type.
      "llama.rope.scaling.type": .only([.text("none"), .text("linear")]), "llama.rope.scaling.factor": .read, "llama.rope.scale_linear": .read,
      "llama.rope.scaling.attn_factor": .only([.integer(1)]),
      "llama.rope.scaling.original_context_length": .harmless, "llama.rope.scaling.finetuned": .harmless,
      // These values say that there is nothing of the kind.
      "llama.expert_count": .only([.integer(0)]), "llama.expert_used_count": .only([.integer(0)]), "llama.use_parallel_residual": .only([.bool(false)]),
      "llama.attention.causal": .only([.bool(true)]), "llama.attention.max_alibi_bias": .only([.integer(0)]),
      "llama.attention.clamp_kqv": .only([.integer(0)]), "llama.attention.scale": .only([.integer(0)]), "llama.pooling_type": .only([.integer(0)]),
      "llama.tensor_data_layout": .only([.text("Meta AI original pth"), .text("reference")]),
      "split.no": .read, "split.count": .read, "split.tensors.count": .read,
    ],
    // Bookkeeping; what the tokenizer's reader reads; how it was quantized.
    harmlessPrefixes: [
      "general.name", "general.author", "general.version", "general.organization", "general.finetune", "general.basename", "general.description",
      "general.quantized_by", "general.quantization_version", "general.file_type", "general.size_label", "general.license", "general.url",
      "general.doi", "general.uuid", "general.repo_url", "general.source", "general.base_model", "general.dataset", "general.tags",
      "general.languages", "general.sampling", "general.parameter_count", "tokenizer.", "quantize.imatrix.",
    ])
}
