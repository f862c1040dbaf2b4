import Platform
import SystemPackage

/// How RoPE turns, as `config.json` says it in one of three spellings: `rope_theta` and `rope_scaling`, `rope_parameters` with both, or a mixture.
///
/// Source: `RotaryEmbeddingConfigMixin` in `modeling_rope_utils.py` of transformers, in the order in which it looks.
struct HuggingFaceRoPE {
  /// nil when it isn't said anywhere.
  let theta: Double?
  let scaling: ModelParams.RoPEScaling?
  /// What isn't supported, or contradicts what transformers looks at first.
  private(set) var unhonoured: [UnhonouredKey] = []

  /// - Parameters:
  ///   - object: all that the file says.
  ///   - path: of the file, for errors.
  init(_ config: HuggingFaceConfig, _ object: [String: JSONValue], _ path: FilePath) throws(CheckpointError) {
    let spellings: [(key: String, rope: HuggingFaceConfig.RoPE?)] = [("rope_scaling", config.ropeScaling), ("rope_parameters", config.ropeParameters)]
    let given = spellings.filter { !(object[$0.key]?.isEmpty ?? true) }
    guard let key = given.first?.key, let rope = given.first?.rope else {
      (theta, scaling) = (config.ropeTheta, nil)
      return
    }
    theta = rope.ropeTheta ?? config.ropeTheta
    if let inner = rope.ropeTheta, let outer = config.ropeTheta, inner != outer {
      unhonoured.append(UnhonouredKey("rope_theta", .number(outer), in: path, because: "\(key).rope_theta says \(inner)"))
    }
    if given.count > 1, let second = given[1].rope, !second.means(rope, config) {
      unhonoured.append(UnhonouredKey(given[1].key, object[given[1].key] ?? .null, in: path, because: "contradicts \(key)"))
    }
    if let name = rope.ropeType, let old = rope.type, name != old {
      unhonoured.append(UnhonouredKey("\(key).type", .text(old), in: path, because: "rope_type says \(name)"))
    }
    let members: [String: JSONValue]
    if case .object(let object)? = object[key] { members = object } else { members = [:] }
    switch rope.kind {
    case "default":
      scaling = nil
      // Without a type transformers doesn't scale, and other readers do.
      let factors = KeyTable(rules: [
        "factor": .only([.integer(1)]), "low_freq_factor": .only([]), "high_freq_factor": .only([]), "original_max_position_embeddings": .harmless,
      ])
      let scales = factors.unhonoured(members.filter { factors.rules[$0.key] != nil }, prefix: key + ".", in: path)
      unhonoured += scales + KeyTable.huggingFaceRoPE.unhonoured(members, prefix: key + ".", in: path)
    case "llama3":
      let context = rope.originalContext(config)
      if let inner = rope.originalMaxPositionEmbeddings, let outer = config.originalMaxPositionEmbeddings, inner != outer {
        unhonoured.append(UnhonouredKey("original_max_position_embeddings", .integer(outer), in: path, because: "\(key) says \(inner)"))
      }
      func required(_ name: String, _ value: Double?) throws(CheckpointError) -> Double {
        guard let value else { throw CheckpointError(.corrupt, in: path, "doesn't say \(key).\(name), which the scaling of the type llama3 needs") }
        return value
      }
      let llama3 = ModelParams.RoPEScaling(
        factor: try required("factor", rope.factor), lowFrequencyFactor: try required("low_freq_factor", rope.lowFreqFactor),
        highFrequencyFactor: try required("high_freq_factor", rope.highFreqFactor), originalContext: context)
      try llama3.check(path, ("\(key).factor", "\(key).low_freq_factor", "\(key).high_freq_factor", "original_max_position_embeddings"))
      scaling = llama3
      unhonoured += KeyTable.huggingFaceRoPE.unhonoured(members, prefix: key + ".", in: path)
    case "linear", "dynamic":
      guard let kind = ModelParams.RoPEScaling.Kind(rawValue: rope.kind), let factor = rope.factor else {
        throw CheckpointError(.corrupt, in: path, "doesn't say \(key).factor, which the scaling of the type \(rope.kind) needs")
      }
      guard factor.isFinite, factor > 0 else { throw CheckpointError(.corrupt, in: path, "says \(key).factor is \(factor), which scales RoPE to nothing") }
      let context = config.maxPositionEmbeddings ?? 2048
      guard context > 0 else { throw CheckpointError(.corrupt, in: path, "says max_position_embeddings is \(context)") }
      scaling = ModelParams.RoPEScaling(kind: kind, factor: factor, originalContext: context)
      // Neither has other numbers; transformers starts from max_position_embeddings whatever is said of an original context.
      let others = KeyTable(
        rules: KeyTable.huggingFaceRoPE.rules.merging(["low_freq_factor": .only([]), "high_freq_factor": .only([]), "original_max_position_embeddings": .only([.integer(context)])]) { $1 })
      unhonoured += others.unhonoured(members, prefix: key + ".", in: path)
    case let other:
      // What else the object says belongs to that type.
      scaling = nil
      unhonoured.append(
        UnhonouredKey("\(key).\(rope.ropeType == nil ? "type" : "rope_type")", .text(other), in: path, because: "only default, linear, dynamic and llama3 are supported"))
    }
  }
}

extension HuggingFaceConfig.RoPE {
  fileprivate var kind: String { ropeType ?? type ?? "default" }

  /// Positions that the scaling starts from. Where none are said, the model's own: `max_position_embeddings`, 2048 if that isn't said either.
  fileprivate func originalContext(_ config: HuggingFaceConfig) -> Int {
    config.originalMaxPositionEmbeddings ?? originalMaxPositionEmbeddings ?? config.maxPositionEmbeddings ?? 2048
  }

  /// Whether both turn in the same way, in this configuration.
  fileprivate func means(_ other: Self, _ config: HuggingFaceConfig) -> Bool {
    func normal(_ rope: Self) -> Self {
      var rope = rope
      rope.ropeType = rope.kind
      rope.type = nil
      rope.ropeTheta = rope.ropeTheta ?? config.ropeTheta ?? 10000
      rope.originalMaxPositionEmbeddings = rope.originalMaxPositionEmbeddings ?? config.maxPositionEmbeddings
      return rope
    }
    return normal(self) == normal(other)
  }
}
