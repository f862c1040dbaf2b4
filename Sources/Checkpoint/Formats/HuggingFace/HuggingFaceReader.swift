import SystemPackage

/// Reads a Hugging Face folder: `config.json` and safetensors files whose tensors have the names of `transformers`.
///
/// Source: `transformers/models/llama/modeling_llama.py` and `convert_llama_weights_to_hf.py`.
enum HuggingFaceReader {
  static func open(_ folder: CheckpointFolder, _ paths: [FilePath], _ options: Checkpoint.OpenOptions) throws(CheckpointError) -> Checkpoint {
    let configPath = folder.path.appending("config.json")
    var stated = try HuggingFaceConfig.stated(in: folder.open(configPath))
    var files: [any ByteSource] = []
    var tensors: [TensorName: StoredTensor] = [:]
    for path in paths {
      let file = try folder.open(path)
      do throws(CheckpointError) {
        try SafetensorsReader.read(file, index: files.count).add(to: &tensors, in: path, skipping: isBuffer, name: metaName)
      } catch {
        // A tensor that no Llama has often comes with a key that says so.
        guard error.reason == .unsupported, !stated.unhonoured.isEmpty else { throw error }
        let keys = stated.unhonoured.map(\.statement).joined(separator: ", ")
        throw CheckpointError(.unsupported, in: error.file, byte: error.byte, "\(error.message); config.json says \(keys), which drover doesn't honour")
      }
      files.append(file)
    }
    if stated.tiedEmbeddings == true {
      try settleTie(&tensors, &stated, files, configPath)
    } else if tensors[TensorName(.output)] == nil {
      throw CheckpointError(
        .corrupt, in: folder.path, "has no lm_head.weight, and config.json doesn't say tie_word_embeddings: true: is a file of weights missing?")
    }
    var companions = try folder.companions(isHuggingFace: true)
    if folder.isHere { companions.huggingFace = try HuggingFaceCompanions(folder, config: configPath) }
    var assembly = Assembly(format: .hf, path: folder.path, shards: [tensors], files: files, stated: stated, options: options, companions: companions)
    assembly.rowOrder = { role, headDim in role.isRotated ? .halves(headDim: headDim) : .pairs }
    return try assembly.checkpoint()
  }

  /// Where config.json ties the output projection to the embeddings, an `lm_head.weight` is a copy of them, which isn't needed. One that is something else
  /// contradicts it: transformers 4 takes the embeddings, and transformers 5 takes it.
  private static func settleTie(
    _ tensors: inout [TensorName: StoredTensor], _ stated: inout StatedParams, _ files: [any ByteSource], _ config: FilePath
  ) throws(CheckpointError) {
    guard let output = tensors[TensorName(.output)], let embedding = tensors[TensorName(.tokEmbeddings)] else { return }
    // What lies elsewhere isn't fetched to be compared.
    var areAlike = output.dtype == embedding.dtype && output.shape == embedding.shape
    if areAlike, files.allSatisfy(\.isHere) {
      areAlike = try output.part.isEqual(in: files[output.file], to: embedding.part, in: files[embedding.file], output.dtype)
    }
    if areAlike {
      tensors[TensorName(.output)] = nil
    } else {
      stated.unhonoured.append(UnhonouredKey("tie_word_embeddings", .bool(true), in: config, because: "lm_head.weight isn't model.embed_tokens.weight"))
    }
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
