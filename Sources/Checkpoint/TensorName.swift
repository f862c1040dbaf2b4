import Integrity

/// The name of a tensor of a Llama text model, as Meta's reference has it: `tok_embeddings.weight`, `layers.3.attention.wq.weight`.
public struct TensorName: Sendable, Hashable {
  /// What a tensor is for, called as the reference calls it. The raw value is the name, without `layers.N.` where every layer has one.
  ///
  /// Source: `llama/model.py` of Meta's llama and llama3 repositories.
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

    /// Whether every layer has one.
    public var isLayered: Bool {
      switch self {
      case .tokEmbeddings, .norm, .output, .ropeFreqs: false
      default: true
      }
    }

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
    /// Source: the `ColumnParallelLinear` (rows of the weight), `RowParallelLinear` (its columns) and embeddings of the reference.
    /// The embedding is cut by columns in Llama 1 and 2 (`ParallelEmbedding`), by rows since Llama 3 (`VocabParallelEmbedding`).
    public var cut: TensorGrid.Cut {
      switch self {
      case .tokEmbeddings: .both
      case .wq, .wk, .wv, .w1, .w3, .output, .wqBias, .wkBias, .wvBias, .w1Bias, .w3Bias: .rows
      case .wo, .w2: .columns
      // Each rank has all of it, and it is added once, to the ranks' sum.
      case .woBias, .w2Bias: .whole
      case .attentionNorm, .ffnNorm, .norm, .ropeFreqs, .layerRopeFreqs: .whole
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

  public let role: Role
  /// nil for tensors outside of the layers.
  public let layer: Int?

  /// - Parameter layer: given for exactly those roles that are layered.
  public init(_ role: Role, layer: Int? = nil) {
    self.role = role
    self.layer = layer
  }

  /// - Returns: nil when `text` isn't the name of a Llama text model's tensor.
  public init?(_ text: String) {
    let prefix = "layers."
    guard text.hasPrefix(prefix) else {
      guard let role = Role(rawValue: text), !role.isLayered else { return nil }
      self.init(role)
      return
    }
    let rest = text.dropFirst(prefix.count)
    guard let dot = rest.firstIndex(of: "."), let layer = Self.layer(rest[..<dot]),
      let role = Role(rawValue: String(rest[rest.index(after: dot)...])), role.isLayered
    else { return nil }
    self.init(role, layer: layer)
  }

  /// A layer's number as files write it: decimal digits, no sign, no leading zero.
  static func layer(_ digits: some StringProtocol) -> Int? {
    guard let layer = Int(digits), layer >= 0, String(layer) == digits else { return nil }
    return layer
  }

  /// As files write it.
  public var text: String { layer.map { "layers.\($0).\(role.rawValue)" } ?? role.rawValue }
}

extension TensorName: Comparable {
  /// The reference's order: the embedding, the layers, the final norm, the output, buffers.
  public static func < (a: TensorName, b: TensorName) -> Bool { a.place < b.place }

  private var place: (Int, Int, Int) {
    let index = Role.allCases.firstIndex(of: role) ?? 0
    switch role {
    case .tokEmbeddings: return (0, 0, index)
    case .norm, .output, .ropeFreqs: return (2, 0, index)
    default: return (1, layer ?? 0, index)
    }
  }
}

extension TensorName: CustomStringConvertible {
  public var description: String { text }
}
