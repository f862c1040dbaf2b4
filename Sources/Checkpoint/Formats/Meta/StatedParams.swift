import FoundationEssentials
import SystemPackage

/// What a checkpoint's own description says of its hyperparameters. The shapes are the truth; this is what they are held against, and what they
/// can't tell (the number of heads, RoPE).
struct StatedParams {
  var dim: Int?
  var layers: Int?
  var heads: Int
  var kvHeads: Int?
  var headDim: Int?
  var hiddenDim: Int?
  var vocabularySize: Int?
  var normEpsilon: Double
  var ropeTheta: Double
  var ropeScaling: ModelParams.RoPEScaling?
  /// nil when only the tensors tell.
  var tiedEmbeddings: Bool?
}

/// Meta's `params.json`.
///
/// Source: `ModelArgs` of the llama, llama3 and llama-models repositories; `head_dim`, `hidden_dim` are Mistral's.
struct MetaParams: Decodable {
  var dim: Int?
  var nLayers: Int?
  var nHeads: Int?
  var nKVHeads: Int?
  var headDim: Int?
  var hiddenDim: Int?
  var multipleOf: Int?
  var ffnDimMultiplier: Double?
  var vocabSize: Int?
  var normEps: Double?
  var ropeTheta: Double?
  var useScaledRope: Bool?
  var ropeScalingFactor: Double?
  var ropeLowFrequencyFactor: Double?
  var ropeHighFrequencyFactor: Double?
  var ropeOriginalContext: Int?

  enum CodingKeys: String, CodingKey {
    case dim
    case nLayers = "n_layers"
    case nHeads = "n_heads"
    case nKVHeads = "n_kv_heads"
    case headDim = "head_dim"
    case hiddenDim = "hidden_dim"
    case multipleOf = "multiple_of"
    case ffnDimMultiplier = "ffn_dim_multiplier"
    case vocabSize = "vocab_size"
    case normEps = "norm_eps"
    case ropeTheta = "rope_theta"
    case useScaledRope = "use_scaled_rope"
    case ropeScalingFactor = "rope_scaling_factor"
    case ropeLowFrequencyFactor = "low_freq_factor"
    case ropeHighFrequencyFactor = "high_freq_factor"
    case ropeOriginalContext = "original_rotary_embed_context"
  }

  static func read(_ file: any ByteSource) throws(CheckpointError) -> StatedParams {
    let params = try decodeJSON(MetaParams.self, from: file)
    return try params.stated(file.path)
  }

  private func stated(_ path: FilePath) throws(CheckpointError) -> StatedParams {
    guard let heads = nHeads else { throw CheckpointError(.corrupt, in: path, "doesn't say n_heads") }
    var stated = StatedParams(
      dim: dim, layers: nLayers, heads: heads, kvHeads: nKVHeads ?? heads, headDim: headDim, hiddenDim: hiddenDim,
      vocabularySize: vocabSize.flatMap { $0 > 0 ? $0 : nil }, normEpsilon: normEps ?? 1e-5, ropeTheta: ropeTheta ?? 10000)
    if stated.hiddenDim == nil { stated.hiddenDim = computedHiddenDim }
    if useScaledRope == true {
      // Llama 3.2's 1B and 3B scale by 32, and their params.json doesn't say so: their dims tell.
      let scaling = ModelParams.RoPEScaling()
      stated.ropeScaling = ModelParams.RoPEScaling(
        factor: ropeScalingFactor ?? (dim == 2048 || dim == 3072 ? 32 : scaling.factor),
        lowFrequencyFactor: ropeLowFrequencyFactor ?? scaling.lowFrequencyFactor,
        highFrequencyFactor: ropeHighFrequencyFactor ?? scaling.highFrequencyFactor,
        originalContext: ropeOriginalContext ?? scaling.originalContext)
    }
    return stated
  }

  private var computedHiddenDim: Int? {
    guard let dim, let multipleOf else { return nil }
    return Self.hiddenDim(dim: dim, multipleOf: multipleOf, multiplier: ffnDimMultiplier)
  }

  /// The reference's width of the feed-forward layer: two thirds of 4·dim, times a multiplier, rounded up to a multiple.
  /// - Returns: nil for numbers that no model has.
  static func hiddenDim(dim: Int, multipleOf: Int, multiplier: Double?) -> Int? {
    guard (1...1 << 30).contains(dim), (1...1 << 30).contains(multipleOf) else { return nil }
    var hidden = Double(2 * 4 * dim / 3)
    if let multiplier { hidden = (multiplier * hidden).rounded(.towardZero) }
    guard hidden >= 0, hidden < 0x1p40 else { return nil }
    return (Int(hidden) + multipleOf - 1) / multipleOf * multipleOf
  }
}

/// Decodes the JSON that `file` is.
func decodeJSON<T: Decodable>(_ type: T.Type, from file: any ByteSource) throws(CheckpointError) -> T {
  let bytes = try file.contents()
  if bytes.first(where: { $0 > 0x20 }) == UInt8(ascii: "<") {
    throw CheckpointError(.corrupt, in: file.path, "is a page of HTML, not JSON; the link it came from was wrong or had expired")
  }
  return try decodeJSON(type, from: bytes, in: file.path)
}

/// Decodes JSON that lies in `path`.
func decodeJSON<T: Decodable>(_ type: T.Type, from bytes: [UInt8], in path: FilePath) throws(CheckpointError) -> T {
  do {
    return try JSONDecoder().decode(type, from: Data(bytes))
  } catch DecodingError.dataCorrupted {
    throw CheckpointError(.corrupt, in: path, "isn't valid JSON")
  } catch DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context), DecodingError.keyNotFound(_, let context) {
    let key = context.codingPath.map(\.stringValue).joined(separator: ".")
    throw CheckpointError(.corrupt, in: path, "isn't what was expected\(key.isEmpty ? "" : " at \(key)"): \(context.debugDescription)")
  } catch {
    throw CheckpointError(.corrupt, in: path, "isn't valid JSON: \(error)")
  }
}
