import Integrity
import Tokenization

/// Lays out a Hugging Face folder: `config.json`, safetensors with the names of `transformers`, and an index when there are several.
enum HuggingFaceWriter {
  /// - Parameter maxShardBytes: weights that a file holds at most, but for a single tensor that is larger.
  static func files(
    _ source: Checkpoint, _ dtype: (DType) -> DType, maxShardBytes: Int
  ) throws(CheckpointError) -> [OutputFile] {
    var shards: [[TensorRegion]] = [[]]
    var bytes = 0
    for tensor in source.tensors {
      guard let text = HuggingFaceReader.name(tensor.name) else { continue }
      // transformers rotates halves of a head where Meta rotates pairs.
      let order: LogicalTensor.RowOrder = tensor.name.role.isRotated ? .halves(headDim: source.params.headDim) : .pairs
      let region = try TensorRegion(
        of: tensor, rows: 0..<tensor.rows, columns: 0..<tensor.columns, as: dtype(tensor.dtype), order: order, name: text)
      if bytes + region.byteCount > maxShardBytes, bytes > 0 {
        shards.append([])
        bytes = 0
      }
      shards[shards.count - 1].append(region)
      bytes += region.byteCount
    }
    var files: [OutputFile] = []
    var map: [String: JSONValue] = [:]
    for (index, regions) in shards.enumerated() {
      let name = shards.count == 1 ? "model.safetensors" : "model-\(number(index + 1))-of-\(number(shards.count)).safetensors"
      files.append(SafetensorsWriter.file(name, regions))
      for region in regions { map[region.name] = .text(name) }
    }
    if shards.count > 1 {
      let total = shards.reduce(0) { $0 + $1.reduce(0) { $0 + $1.byteCount } }
      let index = JSONValue.object(["metadata": .object(["total_size": .integer(total)]), "weight_map": .object(map)])
      files.append(OutputFile(name: "model.safetensors.index.json", content: try index.encoded()))
    }
    files.append(OutputFile(name: "config.json", content: try config(source, dtype(source.dominantDType)).encoded()))
    return files
  }

  private static func number(_ value: Int) -> String {
    let digits = String(value)
    return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
  }

  /// Source of the keys: `transformers/models/llama/configuration_llama.py`.
  private static func config(_ source: Checkpoint, _ dtype: DType) throws(CheckpointError) -> JSONValue {
    let params = source.params
    var object: [String: JSONValue] = [
      "architectures": .array([.text("LlamaForCausalLM")]), "model_type": .text("llama"), "hidden_act": .text("silu"),
      "hidden_size": .integer(params.dim), "intermediate_size": .integer(params.hiddenDim), "num_hidden_layers": .integer(params.layers),
      "num_attention_heads": .integer(params.heads), "num_key_value_heads": .integer(params.kvHeads), "head_dim": .integer(params.headDim),
      "vocab_size": .integer(params.vocabularySize), "rms_norm_eps": .number(Double("\(params.normEpsilon)") ?? Double(params.normEpsilon)),
      "rope_theta": .number(params.ropeTheta), "tie_word_embeddings": .bool(params.tiedEmbeddings), "attention_bias": .bool(false),
      "mlp_bias": .bool(false), "max_position_embeddings": .integer(contextLength(source)),
      "torch_dtype": .text(dtype == .f16 ? "float16" : dtype == .bf16 ? "bfloat16" : "float32"),
    ]
    if let scaling = params.ropeScaling {
      object["rope_scaling"] = .object([
        "rope_type": .text("llama3"), "factor": .number(scaling.factor), "low_freq_factor": .number(scaling.lowFrequencyFactor),
        "high_freq_factor": .number(scaling.highFrequencyFactor), "original_max_position_embeddings": .integer(scaling.originalContext),
      ])
    }
    let vocabulary: Vocabulary?
    do { vocabulary = try source.vocabulary() } catch { throw CheckpointError(.unsupported, "the tokenizer can't come along: \(error)") }
    if let bos = vocabulary?.bos { object["bos_token_id"] = .integer(bos) }
    if let eos = vocabulary?.eos { object["eos_token_id"] = .integer(eos) }
    return .object(object)
  }

  /// Positions that the model was trained for. Meta's params.json doesn't say; the families' are known.
  private static func contextLength(_ source: Checkpoint) -> Int {
    if case .gguf(let metadata) = source.companions.tokenizer, let length = metadata["llama.context_length"]?.integer { return length }
    if source.params.ropeScaling != nil { return 131_072 }
    return source.params.ropeTheta >= 500_000 ? 8192 : 4096
  }
}
