import Platform
import SystemPackage

/// Meta's `params.json`, read and written.
///
/// Source: `ModelArgs` of the llama, llama3 and llama-models repositories; `head_dim`, `hidden_dim` are Mistral's.
struct MetaParams: Codable {
  var dim: Int?
  var nLayers: Int?
  var nHeads: Int?
  /// Copies of key and value heads count, as in Meta's 405B at MP 16.
  var nKVHeads: Int?
  var headDim: Int?
  var hiddenDim: Int?
  var multipleOf: Int?
  var ffnDimMultiplier: Double?
  /// -1 where only the tokenizer tells.
  var vocabSize: Int?
  var normEps: Double?
  var ropeTheta: Double?
  var useScaledRope: Bool?
  var ropeScalingFactor: Double?
  var ropeLowFrequencyFactor: Double?
  var ropeHighFrequencyFactor: Double?
  /// Llama 4's name for it.
  var llama4HighFrequencyFactor: Double?
  var ropeOriginalContext: Int?
  var quantizationArgs: QuantizationArgs?
  var loraArgs: LoRAArgs?
  /// The rest is Llama 4's.
  var ffnExp: Double?
  var moeArgs: MoEArgs?
  var visionArgs: VisionArgs?

  struct MoEArgs: Codable {
    var numExperts: Int?
    var capacityFactor: Double?
    /// Whether experts are so narrow that a token costs as much as with one network.
    var autoScale: Bool?
    var interval: Int?

    enum CodingKeys: String, CodingKey {
      case numExperts = "num_experts"
      case capacityFactor = "capacity_factor"
      case autoScale = "auto_scale_F"
      case interval = "interleave_moe_layer_step"
    }
  }

  struct VisionArgs: Codable {
    var nHeads: Int?

    enum CodingKeys: String, CodingKey { case nHeads = "n_heads" }
  }

  /// Of the int4 and int8 releases of 3.2.
  struct QuantizationArgs: Codable {
    var scheme: String?
    var groupSize: Int?
    var spinquant: Bool?

    enum CodingKeys: String, CodingKey {
      case scheme, spinquant
      case groupSize = "group_size"
    }
  }

  struct LoRAArgs: Codable {
    var rank: Int?
    var scale: Double?
  }

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
    case llama4HighFrequencyFactor = "rope_high_freq_factor"
    case ropeOriginalContext = "original_rotary_embed_context"
    case quantizationArgs = "quantization_args"
    case loraArgs = "lora_args"
    case ffnExp = "ffn_exp"
    case moeArgs = "moe_args"
    case visionArgs = "vision_args"
  }
}

// MARK: Reading

extension MetaParams {
  /// - Parameter file: the `params.json`.
  static func stated(in file: any ByteSource) throws(CheckpointError) -> StatedParams {
    let bytes = try jsonContents(of: file)
    var stated = try decodeJSON(MetaParams.self, from: bytes, in: file.path).stated(file.path)
    let object = try decodeJSONObject(bytes, in: file.path)
    stated.unhonoured += KeyTable.meta.unhonoured(object, in: file.path)
    // Whether they hold depends on what the weights are.
    stated.scaled?.keys = ["quantization_args", "lora_args"].compactMap { key in
      object[key].flatMap { $0 == .null ? nil : UnhonouredKey(key, $0, in: file.path, because: "no weight beside it is a code with a scale") }
    }
    return stated
  }

  private func stated(_ path: FilePath) throws(CheckpointError) -> StatedParams {
    guard let heads = nHeads else { throw CheckpointError(.corrupt, in: path, "doesn't say n_heads") }
    var stated = StatedParams(
      dim: dim, layers: nLayers, heads: heads, kvHeads: nKVHeads ?? heads, headDim: headDim, hiddenDim: hiddenDim,
      vocabularySize: vocabSize.flatMap { $0 > 0 ? $0 : nil }, normEpsilon: normEps ?? 1e-5, ropeTheta: ropeTheta)
    if stated.hiddenDim == nil, let dim, let multipleOf {
      stated.hiddenDim = Self.hiddenDim(dim: dim, multipleOf: multipleOf, multiplier: ffnDimMultiplier)
    }
    if useScaledRope == true {
      // Llama 3.2's 1B and 3B scale by 32, and their params.json doesn't say so: their dims tell.
      // And Llama 4's has numbers in its code, with which nothing lies between the low and the high frequencies.
      let isLlama4 = moeArgs != nil
      let scaling = isLlama4 ? ModelParams.RoPEScaling(factor: 16, highFrequencyFactor: 1) : ModelParams.RoPEScaling()
      stated.ropeScaling = ModelParams.RoPEScaling(
        factor: ropeScalingFactor ?? (dim == 2048 || dim == 3072 ? 32 : scaling.factor),
        lowFrequencyFactor: ropeLowFrequencyFactor ?? scaling.lowFrequencyFactor,
        highFrequencyFactor: ropeHighFrequencyFactor ?? llama4HighFrequencyFactor ?? scaling.highFrequencyFactor,
        originalContext: ropeOriginalContext ?? scaling.originalContext)
      if !isLlama4 { try stated.ropeScaling?.check(path, ("rope_scaling_factor", "low_freq_factor", "high_freq_factor", "original_rotary_embed_context")) }
    } else {
      let parts: [(key: CodingKeys, value: Double?)] = [
        (.ropeScalingFactor, ropeScalingFactor), (.ropeLowFrequencyFactor, ropeLowFrequencyFactor), (.ropeHighFrequencyFactor, ropeHighFrequencyFactor),
        (.llama4HighFrequencyFactor, llama4HighFrequencyFactor), (.ropeOriginalContext, ropeOriginalContext.map(Double.init)),
      ]
      for (key, value) in parts {
        if let value { stated.unhonoured.append(UnhonouredKey(key.rawValue, .number(value), in: path, because: "without use_scaled_rope")) }
      }
    }
    if let ropeHighFrequencyFactor, let llama4HighFrequencyFactor, ropeHighFrequencyFactor != llama4HighFrequencyFactor {
      stated.unhonoured.append(
        UnhonouredKey(CodingKeys.llama4HighFrequencyFactor.rawValue, .number(llama4HighFrequencyFactor), in: path, because: "high_freq_factor says \(ropeHighFrequencyFactor)"))
    }
    if let moeArgs {
      stated.experts = (moeArgs.numExperts, expertWidth(moeArgs), moeArgs.interval ?? 1)
      guard stated.experts.map({ $0.interval > 0 }) ?? true else { throw CheckpointError(.corrupt, in: path, "says interleave_moe_layer_step is \(moeArgs.interval ?? 0)") }
    }
    stated.visionHeads = visionArgs?.nHeads
    if quantizationArgs != nil || loraArgs != nil {
      if let scheme = quantizationArgs?.scheme, scheme != "int4_weight_int8_dynamic_activation" {
        stated.unhonoured.append(UnhonouredKey("quantization_args.scheme", .text(scheme), in: path, because: "only int4_weight_int8_dynamic_activation is supported"))
      }
      let scaled = ScaledWeights.Stated(
        groupSize: quantizationArgs?.groupSize, isRotated: quantizationArgs?.spinquant ?? false, adaptorRank: loraArgs?.rank, adaptorScale: loraArgs?.scale)
      stated.scaled = (scaled, [])
    }
    guard stated.normEpsilon.isFinite, stated.normEpsilon >= 0 else { throw CheckpointError(.corrupt, in: path, "says norm_eps is \(stated.normEpsilon)") }
    return stated
  }

  /// The reference's width of the feed-forward layer: two thirds of 4·dim, times a multiplier, rounded up to a multiple.
  /// - Returns: nil for numbers that no model has.
  private static func hiddenDim(dim: Int, multipleOf: Int, multiplier: Double?) -> Int? {
    guard (1...1 << 30).contains(dim), (1...1 << 30).contains(multipleOf) else { return nil }
    var hidden = Double(2 * 4 * dim / 3)
    if let multiplier { hidden = (multiplier * hidden).rounded(.towardZero) }
    guard hidden >= 0, hidden < 0x1p40 else { return nil }
    return (Int(hidden) + multipleOf - 1) / multipleOf * multipleOf
  }
}

extension MetaParams {
  /// The reference's width of an expert.
  ///
  /// Source: `MoE` in `llama4/moe.py`.
  /// - Returns: nil where it isn't said, and for numbers that no model has.
  private func expertWidth(_ args: MoEArgs) -> Int? {
    guard let dim, let multipleOf, let ffnExp, (1...1 << 30).contains(dim), (1...1 << 30).contains(multipleOf) else { return nil }
    // Each division and product is cut off to an integer.
    var width = (2 * (ffnExp * Double(dim)).rounded(.towardZero) / 3).rounded(.towardZero)
    width = ((ffnDimMultiplier ?? 1) * width).rounded(.towardZero)
    if args.autoScale ?? true { width = (width / ((args.capacityFactor ?? 1) + 1)).rounded(.towardZero) }
    guard width >= 0, width < 0x1p40 else { return nil }
    return (Int(width) + multipleOf - 1) / multipleOf * multipleOf
  }
}

// MARK: Writing

extension MetaParams {
  /// A description that Meta's reference understands.
  /// - Parameter keyValueHeads: over all ranks, copies counted.
  /// - Throws: for a scaling of RoPE that it has no words for.
  init(_ params: ModelParams, keyValueHeads: Int) throws(CheckpointError) {
    if let kind = params.ropeScaling?.kind, kind != .llama3 {
      throw CheckpointError(.refused, "params.json has no words for RoPE's scaling of the type \(kind.rawValue); --format hf keeps it")
    }
    dim = params.dim
    nLayers = params.layers
    nHeads = params.heads
    nKVHeads = keyValueHeads
    headDim = params.headDim == params.dim / params.heads ? nil : params.headDim
    if let (multiple, multiplier) = Self.feedForward(params) {
      (multipleOf, ffnDimMultiplier) = (multiple, multiplier)
    } else {
      hiddenDim = params.hiddenDim
    }
    vocabSize = params.vocabularySize
    normEps = params.normEpsilon.shortest
    ropeTheta = params.ropeTheta
    if let scaling = params.ropeScaling {
      let standard = ModelParams.RoPEScaling()
      useScaledRope = true
      ropeScalingFactor = scaling.factor
      ropeLowFrequencyFactor = scaling.lowFrequencyFactor == standard.lowFrequencyFactor ? nil : scaling.lowFrequencyFactor
      ropeHighFrequencyFactor = scaling.highFrequencyFactor == standard.highFrequencyFactor ? nil : scaling.highFrequencyFactor
      ropeOriginalContext = scaling.originalContext == standard.originalContext ? nil : scaling.originalContext
    }
  }

  /// What the reference's formula needs to come to the width of the feed-forward layer; nil when it can't.
  private static func feedForward(_ params: ModelParams) -> (multipleOf: Int, multiplier: Double?)? {
    let multiples = [4096, 1024, 512, 256, 128, 64, 32, 16, 8, 4, 2, 1].filter { params.hiddenDim % $0 == 0 }
    let base = 2 * 4 * params.dim / 3
    func computes(_ multiple: Int, _ multiplier: Double?) -> Bool {
      hiddenDim(dim: params.dim, multipleOf: multiple, multiplier: multiplier) == params.hiddenDim
    }
    if let multiple = multiples.first(where: { computes($0, nil) }) { return (multiple, nil) }
    guard let multiple = multiples.first else { return nil }
    // The middle of what is rounded up to it.
    let multiplier = ((Double(params.hiddenDim) - Double(multiple) / 2) / Double(base) * 10000).rounded() / 10000
    return computes(multiple, multiplier) ? (multiple, multiplier) : nil
  }

  /// The bytes of a `params.json` for `source`: Meta's own file as it is, if there is one and it still holds.
  static func file(for source: Checkpoint, keyValueHeads: Int) throws(CheckpointError) -> [UInt8] {
    guard let path = source.companions.params else { return try encodeJSON(try MetaParams(source.params, keyValueHeads: keyValueHeads)) }
    let bytes = try LocalFile.contents(of: path)
    let own = try decodeJSON(MetaParams.self, from: bytes, in: path)
    if own.nKVHeads ?? own.nHeads == keyValueHeads { return bytes }
    // The rest of it stays, known here or not.
    var object = try decodeJSONObject(bytes, in: path)
    object[CodingKeys.nKVHeads.rawValue] = .integer(keyValueHeads)
    return try encodeJSON(JSONValue.object(object))
  }
}

extension Float {
  /// The shortest decimal that is this float32: 1e-05, not 9.999999747378752e-06.
  var shortest: Double { Double("\(self)") ?? Double(self) }
}
