import SystemPackage

/// Reads a Hugging Face folder: `config.json` and safetensors files whose tensors have the names of `transformers`.
///
/// Source: `transformers/models/llama/modeling_llama.py` and `convert_llama_weights_to_hf.py`.
enum HuggingFaceReader {
  static func open(_ folder: CheckpointFolder, _ paths: [FilePath], _ options: Checkpoint.OpenOptions) throws(CheckpointError) -> Checkpoint {
    let configPath = folder.path.appending("config.json")
    let config = try decodeJSON(HuggingFaceConfig.self, from: folder.open(configPath))
    var stated = try config.stated(configPath)
    var files: [any ByteSource] = []
    var tensors: [TensorName: StoredTensor] = [:]
    var companions = try folder.companions()
    for path in paths {
      let file = try folder.open(path)
      try SafetensorsReader.read(file, index: files.count).add(to: &tensors, in: path, skipping: isBuffer, name: metaName)
      files.append(file)
    }
    if stated.tiedEmbeddings == true, tensors.removeValue(forKey: TensorName(.output)) != nil {
      companions.notes.append("config.json ties the embeddings, so lm_head.weight is left out, as transformers does")
    }
    stated.tiedEmbeddings = stated.tiedEmbeddings ?? false
    var assembly = Assembly(format: .hf, path: folder.path, shards: [tensors], files: files, stated: stated, options: options, companions: companions)
    assembly.rowOrder = { role, headDim in role.isRotated ? .halves(headDim: headDim) : .pairs }
    return try assembly.checkpoint()
  }

  private static let roles: [String: TensorName.Role] = [
    "model.embed_tokens.weight": .tokEmbeddings, "input_layernorm.weight": .attentionNorm, "self_attn.q_proj.weight": .wq,
    "self_attn.k_proj.weight": .wk, "self_attn.v_proj.weight": .wv, "self_attn.o_proj.weight": .wo,
    "post_attention_layernorm.weight": .ffnNorm, "mlp.gate_proj.weight": .w1, "mlp.down_proj.weight": .w2,
    "mlp.up_proj.weight": .w3, "model.norm.weight": .norm, "lm_head.weight": .output,
  ]

  /// The name of `transformers` for a tensor; nil for buffers, which it computes.
  static func name(_ name: TensorName) -> String? {
    guard let text = roles.first(where: { $0.value == name.role })?.key else { return nil }
    return name.layer.map { "model.layers.\($0).\(text)" } ?? text
  }

  /// Whether a tensor is one that old versions of `transformers` kept, and that is computed since.
  static func isBuffer(_ name: String) -> Bool { name.hasSuffix(".rotary_emb.inv_freq") }

  /// Meta's name for a tensor of `transformers`; nil for what isn't one of a Llama text model.
  static func metaName(_ name: String) -> TensorName? {
    let prefix = "model.layers."
    guard name.hasPrefix(prefix) else { return roles[name].flatMap { $0.isLayered ? nil : TensorName($0) } }
    let rest = name.dropFirst(prefix.count)
    guard let dot = rest.firstIndex(of: "."), let layer = TensorName.layer(rest[..<dot]),
      let role = roles[String(rest[rest.index(after: dot)...])], role.isLayered
    else { return nil }
    return TensorName(role, layer: layer)
  }
}
