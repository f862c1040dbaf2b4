import Integrity

/// The name of a tensor of a Llama, as Meta's reference has it: `tok_embeddings.weight`, `layers.3.attention.wq.weight`.
public struct TensorName: Sendable, Hashable {
  /// What a tensor is for, called as the reference calls it. The raw value is the name, without `layers.N.` where every layer has one.
  ///
  /// Source: `llama/model.py` of Meta's llama and llama3 repositories; `llama4/moe.py`, `llama4/vision` and `checkpoint.py` of llama-models.
  public enum Role: String, Sendable, CaseIterable {
    case tokEmbeddings = "tok_embeddings.weight"
    case attentionNorm = "attention_norm.weight"
    case wq = "attention.wq.weight"
    case wk = "attention.wk.weight"
    case wv = "attention.wv.weight"
    case wo = "attention.wo.weight"
    case ffnNorm = "ffn_norm.weight"
    /// Goes through the SiLU; Hugging Face's `gate_proj`.
    case w1 = "feed_forward.w1.weight"
    /// Back to the width of the model; Hugging Face's `down_proj`.
    case w2 = "feed_forward.w2.weight"
    /// Is multiplied by the SiLU of `w1`; Hugging Face's `up_proj`.
    case w3 = "feed_forward.w3.weight"
    /// Llama 1's copy of `ropeFreqs` in every layer.
    case layerRopeFreqs = "attention.inner_attention.rope.freqs"
    case norm = "norm.weight"
    case output = "output.weight"
    /// RoPE's frequencies, which Llama 2's checkpoints carry.
    case ropeFreqs = "rope.freqs"
    /// What is added to a projection. Meta's models have none; transformers' Llamas may (`attention_bias`, `mlp_bias`).
    case wqBias = "attention.wq.bias"
    case wkBias = "attention.wk.bias"
    case wvBias = "attention.wv.bias"
    case woBias = "attention.wo.bias"
    case w1Bias = "feed_forward.w1.bias"
    case w2Bias = "feed_forward.w2.bias"
    case w3Bias = "feed_forward.w3.bias"
    /// Llama 4's layers of experts: E experts, of which the router chooses, and one that all tokens share. D is the width of the model, F an expert's.
    /// Column e says how well expert e fits.
    case router = "feed_forward.router_DE"
    /// The experts' `w1`, transposed and one below the other: [E·D, F].
    case expertsW1 = "feed_forward.experts.moe_w_in_eD_F"
    /// [E·F, D].
    case expertsW2 = "feed_forward.experts.moe_w_out_eF_D"
    case expertsW3 = "feed_forward.experts.moe_w_swiglu_eD_F"
    case sharedW1 = "feed_forward.w_in_shared_FD.weight"
    case sharedW2 = "feed_forward.w_out_shared_DF.weight"
    case sharedW3 = "feed_forward.w_swiglu_FD.weight"
    /// What turns images into embeddings.
    case visionPatches = "vision_embeddings.vision_encoder.conv1._linear.weight"
    case visionClass = "vision_embeddings.vision_encoder.class_embedding"
    case visionPositions = "vision_embeddings.vision_encoder.positional_embedding_vlm"
    case visionNormBefore = "vision_embeddings.vision_encoder.ln_pre.weight"
    case visionNormBeforeBias = "vision_embeddings.vision_encoder.ln_pre.bias"
    case visionNormAfter = "vision_embeddings.vision_encoder.ln_post.weight"
    case visionNormAfterBias = "vision_embeddings.vision_encoder.ln_post.bias"
    case visionWq = "attn.wq.weight"
    case visionWk = "attn.wk.weight"
    case visionWv = "attn.wv.weight"
    case visionWo = "attn.wo.weight"
    case visionWqBias = "attn.wq.bias"
    case visionWkBias = "attn.wk.bias"
    case visionWvBias = "attn.wv.bias"
    case visionWoBias = "attn.wo.bias"
    case visionAttentionNorm = "ln_1.weight"
    case visionAttentionNormBias = "ln_1.bias"
    case visionUp = "mlp.c_fc.weight"
    case visionUpBias = "mlp.c_fc.bias"
    case visionDown = "mlp.c_proj.weight"
    case visionDownBias = "mlp.c_proj.bias"
    case visionFFNNorm = "ln_2.weight"
    case visionFFNNormBias = "ln_2.bias"
    case visionAdapterUp = "vision_embeddings.vision_adapter.mlp.c_fc.weight"
    case visionAdapterDown = "vision_embeddings.vision_adapter.mlp.c_proj.weight"
    case visionProjection = "vision_projection.weight"

    /// The layers that have one each; nil of what there is one of.
    public var stack: Stack? {
      switch self {
      case .tokEmbeddings, .norm, .output, .ropeFreqs, .visionPatches, .visionClass, .visionPositions, .visionNormBefore, .visionNormBeforeBias, .visionNormAfter,
        .visionNormAfterBias, .visionAdapterUp, .visionAdapterDown, .visionProjection: nil
      case .visionWq, .visionWk, .visionWv, .visionWo, .visionWqBias, .visionWkBias, .visionWvBias, .visionWoBias, .visionAttentionNorm, .visionAttentionNormBias,
        .visionUp, .visionUpBias, .visionDown, .visionDownBias, .visionFFNNorm, .visionFFNNormBias: .vision
      default: .text
      }
    }

    public var isLayered: Bool { stack != nil }

    /// What only layers with experts have.
    public var isOfExperts: Bool { Self.ofExperts.contains(self) }
    static let ofExperts: [Self] = [.router, .expertsW1, .expertsW2, .expertsW3, .sharedW1, .sharedW2, .sharedW3]
    /// What they have in its place.
    static let dense: [Self] = [.w1, .w2, .w3]

    /// What belongs to images.
    public var isOfVision: Bool { stack == .vision || rawValue.hasPrefix("vision_") }

    /// Whether a rank has a run of each expert's rows, rather than one of all rows.
    public var isCutByExpert: Bool { self == .expertsW2 }

    /// Whether it is a buffer that can be computed, and no weight: a checkpoint is complete without it, and it has no fingerprint.
    public var isBuffer: Bool { self == .layerRopeFreqs || self == .ropeFreqs }

    /// Whether a head's rows are turned by RoPE, so that formats may have them in another order.
    public var isRotated: Bool { self == .wq || self == .wk || self == .wqBias || self == .wkBias }

    /// Whether it has a head's rows that ranks may have copies of.
    var isKeyOrValue: Bool { self == .wk || self == .wv || self == .wkBias || self == .wvBias }

    /// Whether it is a vector with an element for each row of a matrix, so that it is cut and ordered as those rows are: a matrix of one column.
    public var isBias: Bool { rawValue.hasSuffix(".bias") }

    /// The bias that belongs to a matrix; nil of one that never has any.
    public var bias: Self? {
      switch self {
      case .wq: .wqBias
      case .wk: .wkBias
      case .wv: .wvBias
      case .wo: .woBias
      case .w1: .w1Bias
      case .w2: .w2Bias
      case .w3: .w3Bias
      default: nil
      }
    }

    static let attentionBiases: [Self] = [.wqBias, .wkBias, .wvBias, .woBias]
    static let feedForwardBiases: [Self] = [.w1Bias, .w2Bias, .w3Bias]

    /// Along which axes model parallelism cuts it.
    ///
    /// Source: the `ColumnParallelLinear` (rows of the weight), `RowParallelLinear` (its columns) and embeddings of the reference; `checkpoint.py` of
    /// llama-models for Llama 4's. The embedding is cut by columns in Llama 1 and 2 (`ParallelEmbedding`), by rows since Llama 3 (`VocabParallelEmbedding`).
    public var cut: TensorGrid.Cut {
      switch self {
      case .tokEmbeddings: .both
      case .wq, .wk, .wv, .w1, .w3, .output, .wqBias, .wkBias, .wvBias, .w1Bias, .w3Bias: .rows
      case .sharedW1, .sharedW3, .expertsW2, .visionPatches, .visionWq, .visionWk, .visionWv, .visionWqBias, .visionWkBias, .visionWvBias, .visionUp, .visionUpBias,
        .visionAdapterUp, .visionProjection: .rows
      case .wo, .w2, .sharedW2, .expertsW1, .expertsW3, .visionWo, .visionDown, .visionAdapterDown: .columns
      // Each rank has all of it, and it is added once, to the ranks' sum.
      case .woBias, .w2Bias, .visionWoBias, .visionDownBias: .whole
      case .attentionNorm, .ffnNorm, .norm, .ropeFreqs, .layerRopeFreqs, .router, .visionClass, .visionPositions, .visionNormBefore, .visionNormBeforeBias,
        .visionNormAfter, .visionNormAfterBias, .visionAttentionNorm, .visionAttentionNormBias, .visionFFNNorm, .visionFFNNormBias: .whole
      }
    }

    /// How the parts of several ranks make the whole.
    /// - Parameter embeddingAxis: along which the embedding is cut.
    func split(embeddingAxis: Int) -> LogicalTensor.Split {
      switch cut {
      case .rows: .axis(0)
      case .columns: .axis(1)
      case .both: .axis(embeddingAxis)
      case .whole: .whole
      }
    }
  }

  /// Layers that are counted together. The raw value is what stands before a layer's number in a name.
  public enum Stack: String, Sendable, CaseIterable {
    case text = "layers."
    case vision = "vision_embeddings.vision_encoder.transformer.resblocks."
  }

  public let role: Role
  /// nil for tensors outside of the layers.
  public let layer: Int?

  /// - Parameter layer: given for exactly those roles that are layered.
  public init(_ role: Role, layer: Int? = nil) {
    self.role = role
    self.layer = layer
  }

  /// - Returns: nil when `text` isn't the name of a Llama's tensor.
  public init?(_ text: String) {
    guard let (stack, layer, rest) = Self.place(text) else {
      guard let role = Role(rawValue: text), !role.isLayered else { return nil }
      self.init(role)
      return
    }
    guard let role = Role(rawValue: String(rest)), role.stack == stack else { return nil }
    self.init(role, layer: layer)
  }

  /// The layer that a name says first, and what comes after it; nil where it doesn't begin with one.
  static func place(_ text: String) -> (stack: Stack, layer: Int, rest: Substring)? {
    for stack in Stack.allCases where text.hasPrefix(stack.rawValue) {
      let rest = text.dropFirst(stack.rawValue.count)
      if let dot = rest.firstIndex(of: "."), let layer = layer(rest[..<dot]) { return (stack, layer, rest[rest.index(after: dot)...]) }
    }
    return nil
  }

  /// A layer's number as files write it: decimal digits, no sign, no leading zero.
  static func layer(_ digits: some StringProtocol) -> Int? {
    guard let layer = Int(digits), layer >= 0, String(layer) == digits else { return nil }
    return layer
  }

  /// As files write it.
  public var text: String {
    guard let layer, let stack = role.stack else { return role.rawValue }
    return "\(stack.rawValue)\(layer).\(role.rawValue)"
  }
}

extension TensorName: Comparable {
  /// The reference's order: the embedding, the layers, the final norm, the output, buffers, what belongs to images.
  public static func < (a: TensorName, b: TensorName) -> Bool { a.place < b.place }

  private var place: (Int, Int, Int) {
    let index = Role.allCases.firstIndex(of: role) ?? 0
    switch role {
    case .tokEmbeddings: return (0, 0, index)
    case .norm, .output, .ropeFreqs: return (2, 0, index)
    default: return (role.stack == .text ? 1 : role.stack == .vision ? 4 : 3, layer ?? 0, index)
    }
  }
}

extension TensorName: CustomStringConvertible {
  public var description: String { text }
}
