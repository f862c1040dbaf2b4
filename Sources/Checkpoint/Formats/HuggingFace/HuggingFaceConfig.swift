import Integrity
import SystemPackage
import Tokenization

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
    case torchDType = "torch_dtype"
    case bosTokenID = "bos_token_id"
    case eosTokenID = "eos_token_id"
  }

  struct RoPE: Codable {
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

    init(_ id: Int) { ids = [id] }

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
  /// - Parameter path: of the file, for errors.
  func stated(_ path: FilePath) throws(CheckpointError) -> StatedParams {
    guard modelType == "llama" else {
      throw CheckpointError(.unsupported, in: path, "is a model of the type \(modelType ?? "(none given)"); only llama is supported")
    }
    if let hiddenAct, hiddenAct != "silu" {
      throw CheckpointError(.unsupported, in: path, "has the activation \"\(hiddenAct)\"; Llama's is silu")
    }
    if attentionBias == true || mlpBias == true { throw CheckpointError(.unsupported, in: path, "has biases, which Llama hasn't") }
    guard let heads = numAttentionHeads else { throw CheckpointError(.corrupt, in: path, "doesn't say num_attention_heads") }
    return StatedParams(
      dim: hiddenSize, layers: numHiddenLayers, heads: heads, kvHeads: numKeyValueHeads ?? heads, headDim: headDim,
      hiddenDim: intermediateSize, vocabularySize: vocabSize, normEpsilon: rmsNormEps ?? 1e-6,
      ropeTheta: ropeParameters?.ropeTheta ?? ropeTheta,
      ropeScaling: try (ropeParameters ?? ropeScaling)?.scaling(path), tiedEmbeddings: tieWordEmbeddings)
  }
}

extension HuggingFaceConfig.RoPE {
  fileprivate func scaling(_ path: FilePath) throws(CheckpointError) -> ModelParams.RoPEScaling? {
    switch ropeType ?? type ?? "default" {
    case "default": return nil
    case "llama3":
      let standard = ModelParams.RoPEScaling()
      return ModelParams.RoPEScaling(
        factor: factor ?? standard.factor, lowFrequencyFactor: lowFreqFactor ?? standard.lowFrequencyFactor,
        highFrequencyFactor: highFreqFactor ?? standard.highFrequencyFactor,
        originalContext: originalMaxPositionEmbeddings ?? standard.originalContext)
    case let other: throw CheckpointError(.unsupported, in: path, "scales RoPE in the way \"\(other)\"; supported are default and llama3")
    }
  }

  fileprivate init(_ scaling: ModelParams.RoPEScaling) {
    ropeType = "llama3"
    factor = scaling.factor
    lowFreqFactor = scaling.lowFrequencyFactor
    highFreqFactor = scaling.highFrequencyFactor
    originalMaxPositionEmbeddings = scaling.originalContext
  }
}

// MARK: Writing

extension HuggingFaceConfig {
  /// - Parameter dtype: of the weights that it goes with.
  init(_ source: Checkpoint, _ dtype: DType) throws(CheckpointError) {
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
    tieWordEmbeddings = params.tiedEmbeddings
    attentionBias = false
    mlpBias = false
    maxPositionEmbeddings = Self.contextLength(source)
    torchDType = dtype == .f16 ? "float16" : dtype == .bf16 ? "bfloat16" : "float32"
    do {
      let vocabulary = try source.vocabulary()
      bosTokenID = vocabulary?.bos.map { TokenIDs($0) }
      eosTokenID = vocabulary?.eos.map { TokenIDs($0) }
    } catch { throw CheckpointError(.unsupported, "the tokenizer can't come along: \(error)") }
  }

  /// Positions that the model was trained for. Meta's params.json doesn't say; the families' are known.
  private static func contextLength(_ source: Checkpoint) -> Int {
    if case .gguf(let metadata) = source.companions.tokenizer, let length = metadata["llama.context_length"]?.integer { return length }
    if source.params.ropeScaling != nil { return 131_072 }
    return source.params.ropeTheta >= 500_000 ? 8192 : 4096
  }
}
