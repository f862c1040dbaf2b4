import Integrity
import Platform
import SystemPackage

/// Hugging Face's `config.json` of a Llama model, read and written.
///
/// Source: `transformers/models/llama/configuration_llama.py`, whose defaults hold for what isn't said.
struct HuggingFaceConfig: Codable {
  var architectures: [String]?
  var modelType: String?
  var hiddenAct: String?
  var hiddenSize: Int?
  var intermediateSize: Int?
  var numHiddenLayers: Int?
  var numAttentionHeads: Int?
  var numKeyValueHeads: Int?
  var headDim: Int?
  var vocabSize: Int?
  var rmsNormEps: Double?
  var ropeTheta: Double?
  var ropeScaling: RoPE?
  /// Where transformers 5 has `rope_theta` and `rope_scaling`.
  var ropeParameters: RoPE?
  var tieWordEmbeddings: Bool?
  var attentionBias: Bool?
  var mlpBias: Bool?
  var maxPositionEmbeddings: Int?
  /// Where it isn't in the object with the scaling.
  var originalMaxPositionEmbeddings: Int?
  var torchDType: String?
  var bosTokenID: TokenIDs?
  var eosTokenID: TokenIDs?

  enum CodingKeys: String, CodingKey {
    case architectures
    case modelType = "model_type"
    case hiddenAct = "hidden_act"
    case hiddenSize = "hidden_size"
    case intermediateSize = "intermediate_size"
    case numHiddenLayers = "num_hidden_layers"
    case numAttentionHeads = "num_attention_heads"
    case numKeyValueHeads = "num_key_value_heads"
    case headDim = "head_dim"
    case vocabSize = "vocab_size"
    case rmsNormEps = "rms_norm_eps"
    case ropeTheta = "rope_theta"
    case ropeScaling = "rope_scaling"
    case ropeParameters = "rope_parameters"
    case tieWordEmbeddings = "tie_word_embeddings"
    case attentionBias = "attention_bias"
    case mlpBias = "mlp_bias"
    case maxPositionEmbeddings = "max_position_embeddings"
    case originalMaxPositionEmbeddings = "original_max_position_embeddings"
    case torchDType = "torch_dtype"
    case bosTokenID = "bos_token_id"
    case eosTokenID = "eos_token_id"
  }

  struct RoPE: Codable, Equatable {
    var ropeType: String?
    /// The older name of `rope_type`.
    var type: String?
    var ropeTheta: Double?
    var factor: Double?
    var lowFreqFactor: Double?
    var highFreqFactor: Double?
    var originalMaxPositionEmbeddings: Int?

    enum CodingKeys: String, CodingKey {
      case type, factor
      case ropeType = "rope_type"
      case ropeTheta = "rope_theta"
      case lowFreqFactor = "low_freq_factor"
      case highFreqFactor = "high_freq_factor"
      case originalMaxPositionEmbeddings = "original_max_position_embeddings"
    }
  }

  /// One token, or several that all end a text.
  struct TokenIDs: Codable {
    var ids: [Int]

    init(_ ids: [Int]) { self.ids = ids }

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let id = try? container.decode(Int.self) { ids = [id] } else { ids = try container.decode([Int].self) }
    }

    func encode(to encoder: any Encoder) throws {
      var container = encoder.singleValueContainer()
      if ids.count == 1 { try container.encode(ids[0]) } else { try container.encode(ids) }
    }
  }
}

// MARK: Reading

extension HuggingFaceConfig {
  /// - Parameter file: the `config.json`.
  static func stated(in file: any ByteSource) throws(CheckpointError) -> StatedParams {
    let bytes = try jsonContents(of: file)
    return try decodeJSON(HuggingFaceConfig.self, from: bytes, in: file.path).stated(decodeJSONObject(bytes, in: file.path), file.path)
  }

  /// - Parameters:
  ///   - object: all that the file says.
  ///   - path: of the file, for errors.
  private func stated(_ object: [String: JSONValue], _ path: FilePath) throws(CheckpointError) -> StatedParams {
    guard let modelType, let family = HuggingFaceFamily(rawValue: modelType) else {
      throw CheckpointError(.unsupported, in: path, "is a model of the type \(modelType ?? "(none given)"); llama and mistral are supported")
    }
    guard let heads = numAttentionHeads else { throw CheckpointError(.corrupt, in: path, "doesn't say num_attention_heads") }
    let rope = try HuggingFaceRoPE(self, object, path)
    let epsilon = rmsNormEps ?? 1e-6
    guard epsilon.isFinite, epsilon >= 0 else { throw CheckpointError(.corrupt, in: path, "says rms_norm_eps is \(epsilon)") }
    var stated = StatedParams(
      dim: hiddenSize, layers: numHiddenLayers, heads: heads, kvHeads: numKeyValueHeads ?? (object["num_key_value_heads"] == nil ? family.defaultKeyValueHeads : nil) ?? heads, headDim: headDim,
      hiddenDim: intermediateSize, vocabularySize: vocabSize, normEpsilon: epsilon, ropeTheta: rope.theta, ropeScaling: rope.scaling,
      tiedEmbeddings: tieWordEmbeddings ?? false, unhonoured: family.keys.unhonoured(object, in: path) + family.unhonouredWindow(object, path) + rope.unhonoured)
    (stated.hasAttentionBias, stated.hasFeedForwardBias) = (attentionBias ?? false, mlpBias ?? false)
    stated.isHeadless = architectures.map { !$0.isEmpty && $0.allSatisfy(HuggingFaceFamily.headless.contains) } ?? false
    return stated
  }
}

// MARK: Writing

extension HuggingFaceConfig.RoPE {
  fileprivate init(_ scaling: ModelParams.RoPEScaling) {
    ropeType = scaling.kind.rawValue
    factor = scaling.factor
    guard scaling.kind == .llama3 else { return }
    lowFreqFactor = scaling.lowFrequencyFactor
    highFreqFactor = scaling.highFrequencyFactor
    originalMaxPositionEmbeddings = scaling.originalContext
  }
}

extension HuggingFaceConfig {
  /// The bytes of a `config.json` for `source`: its own, if it has one, with all that it says.
  /// - Parameter dtype: of the weights that it goes with.
  static func file(for source: Checkpoint, _ dtype: DType) throws(CheckpointError) -> [UInt8] {
    guard let path = source.companions.huggingFace?.config else { return try encodeJSON(HuggingFaceConfig(source, dtype)) }
    let bytes = try LocalFile.contents(of: path)
    guard dtype != source.dominantDType else { return bytes }
    var object = try decodeJSONObject(bytes, in: path)
    // transformers 5 calls it dtype.
    let keys = ["dtype", CodingKeys.torchDType.rawValue].filter { object[$0] != nil }
    for key in keys.isEmpty ? [CodingKeys.torchDType.rawValue] : keys { object[key] = .text(name(of: dtype)) }
    return try encodeJSON(JSONValue.object(object))
  }

  /// As torch calls it.
  private static func name(of dtype: DType) -> String { dtype == .f16 ? "float16" : dtype == .bf16 ? "bfloat16" : dtype == .f64 ? "float64" : "float32" }

  /// What Meta's and other files say, as transformers says it.
  private init(_ source: Checkpoint, _ dtype: DType) throws(CheckpointError) {
    let params = source.params
    architectures = ["LlamaForCausalLM"]
    modelType = "llama"
    hiddenAct = "silu"
    hiddenSize = params.dim
    intermediateSize = params.hiddenDim
    numHiddenLayers = params.layers
    numAttentionHeads = params.heads
    numKeyValueHeads = params.kvHeads
    headDim = params.headDim
    vocabSize = params.vocabularySize
    rmsNormEps = params.normEpsilon.shortest
    ropeTheta = params.ropeTheta
    ropeScaling = params.ropeScaling.map { RoPE($0) }
    if params.ropeScaling?.kind == .dynamic { maxPositionEmbeddings = params.ropeScaling?.originalContext }
    tieWordEmbeddings = params.tiedEmbeddings
    attentionBias = try Self.hasBiases(source, TensorName.Role.attentionBiases)
    mlpBias = try Self.hasBiases(source, TensorName.Role.feedForwardBiases)
    maxPositionEmbeddings = maxPositionEmbeddings ?? Self.contextLength(source)
    torchDType = Self.name(of: dtype)
    let ends = try GenerationConfig(source)
    bosTokenID = ends.bosTokenID
    eosTokenID = ends.eosTokenID
  }

  /// Whether the layers have these biases: all of them or none, as transformers has it.
  private static func hasBiases(_ source: Checkpoint, _ roles: [TensorName.Role]) throws(CheckpointError) -> Bool {
    let present = roles.filter { source[TensorName($0, layer: 0)] != nil }
    guard present.isEmpty || present.count == roles.count else {
      throw CheckpointError(.refused, "config.json can say that all of \(roles.map(\.rawValue).joined(separator: ", ")) are there, or none; here only \(present.map(\.rawValue).joined(separator: ", ")) are")
    }
    return !present.isEmpty
  }

  /// Positions that the model was trained for; nil where nothing tells. Meta's params.json doesn't say; the families' are known.
  ///
  /// Source: `CONTEXT_LENGTH_FOR_VERSION` and the rule for Code Llama in `convert_llama_weights_to_hf.py` of transformers.
  static func contextLength(_ source: Checkpoint) -> Int? {
    if case .gguf(let metadata) = source.companions.tokenizer, let length = metadata["llama.context_length"]?.integer { return length }
    let params = source.params
    switch params.vocabularySize {
    // Llama 3, and what came after it.
    case 128_256: return params.ropeScaling == nil ? 8192 : 131_072
    case 32_000...32_016:
      // Code Llama; its chat model of 70B has Llama 2's theta and context.
      if params.ropeTheta > 10000 { return 16_384 }
      // Llama 1 has RoPE's frequencies in every layer, Llama 2 once.
      if source.tensors.contains(where: { $0.name.role == .layerRopeFreqs }) { return 2048 }
      return source[TensorName(.ropeFreqs)] == nil ? nil : 4096
    default: return nil
    }
  }
}
