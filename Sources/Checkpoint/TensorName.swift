/// What a tensor is for, in Meta's naming: `tok_embeddings.weight`, or `layers.3.` and `attention.wq.weight`.
public struct TensorName: Sendable, Hashable {
  public enum Role: String, Sendable, CaseIterable {
    case embedding = "tok_embeddings.weight"
    case attentionNorm = "attention_norm.weight"
    case query = "attention.wq.weight"
    case key = "attention.wk.weight"
    case value = "attention.wv.weight"
    case attentionOutput = "attention.wo.weight"
    case feedForwardNorm = "ffn_norm.weight"
    case gate = "feed_forward.w1.weight"
    case down = "feed_forward.w2.weight"
    case up = "feed_forward.w3.weight"
    /// Llama 1's copy of `ropeFrequencies` in every layer.
    case layerRoPEFrequencies = "attention.inner_attention.rope.freqs"
    case norm = "norm.weight"
    case output = "output.weight"
    /// A buffer that can be computed; Llama 2's checkpoints carry it.
    case ropeFrequencies = "rope.freqs"

    /// Whether every layer has one.
    public var isLayered: Bool {
      switch self {
      case .embedding, .norm, .output, .ropeFrequencies: false
      default: true
      }
    }

    /// Whether a checkpoint is complete without it.
    var isOptional: Bool { self == .layerRoPEFrequencies || self == .ropeFrequencies }

    var isVector: Bool {
      switch self {
      case .attentionNorm, .feedForwardNorm, .norm, .ropeFrequencies, .layerRoPEFrequencies: true
      default: false
      }
    }

    /// How Meta's reference (fairscale) splits it among ranks.
    ///
    /// - Parameter embeddingAxis: 1 in Llama 1 and 2 (`ParallelEmbedding`), 0 since Llama 3 (`VocabParallelEmbedding`).
    func split(embeddingAxis: Int) -> LogicalTensor.Split {
      switch self {
      case .embedding: .axis(embeddingAxis)
      case .query, .key, .value, .gate, .up, .output: .axis(0)
      case .attentionOutput, .down: .axis(1)
      case .attentionNorm, .feedForwardNorm, .norm, .ropeFrequencies, .layerRoPEFrequencies: .replicated
      }
    }
  }

  public let role: Role
  /// nil for tensors outside of the layers.
  public let layer: Int?

  init(_ role: Role, layer: Int? = nil) {
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

  /// Meta's name.
  public var text: String { layer.map { "layers.\($0).\(role.rawValue)" } ?? role.rawValue }

  /// Meta's order: the embedding, the layers, the final norm, the output, buffers.
  static func order(_ a: TensorName, _ b: TensorName) -> Bool { a.place < b.place }

  private var place: (Int, Int, Int) {
    let index = Role.allCases.firstIndex(of: role) ?? 0
    switch role {
    case .embedding: return (0, 0, index)
    case .norm, .output, .ropeFrequencies: return (2, 0, index)
    default: return (1, layer ?? 0, index)
    }
  }
}
