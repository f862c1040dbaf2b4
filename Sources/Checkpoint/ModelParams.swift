import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// A model's hyperparameters, as Meta's `params.json` names them.
public struct ModelParams: Sendable, Equatable, Encodable {
  /// Width of the residual stream.
  public var dim: Int
  public var layers: Int
  public var heads: Int
  /// Key and value heads; equal to `heads` without grouped-query attention.
  public var kvHeads: Int
  /// Width of a head: `dim / heads` unless the shapes say otherwise.
  public var headDim: Int
  /// Width of the feed-forward layer, as the shapes have it; an expert's, where all layers have experts.
  public var hiddenDim: Int
  public var vocabularySize: Int
  public var normEpsilon: Float
  public var ropeTheta: Double
  /// How RoPE's frequencies are scaled; nil where they aren't.
  public var ropeScaling: RoPEScaling?
  /// The output projection is the embedding table itself; the checkpoint then may have no `output.weight`.
  public var tiedEmbeddings: Bool
  /// nil of a model whose layers all have one feed-forward network.
  public var experts: Experts?
  /// nil of a model of text alone.
  public var vision: Vision?

  /// Llama 4's layers with experts.
  public struct Experts: Sendable, Equatable, Encodable {
    /// In a layer, beside the one that all tokens share.
    public var count: Int
    /// Width of an expert, and of the shared one.
    public var hiddenDim: Int
    /// Every how many layers there are some; the others have one feed-forward network.
    public var interval: Int

    func isIn(layer: Int) -> Bool { (layer + 1) % interval == 0 }
  }

  /// What it has that the engine doesn't compute, in words; nil of a text model without experts.
  var architecture: String? {
    let parts = [experts.map { "\($0.count) experts a layer" }, vision.map { _ in "a part for images" }].compactMap { $0 }
    return parts.isEmpty ? nil : parts.joined(separator: " and ")
  }

  /// What turns images into embeddings: a transformer of its own, and an adapter behind it.
  public struct Vision: Sendable, Equatable, Encodable {
    public var dim: Int
    public var layers: Int
    public var heads: Int
    public var hiddenDim: Int
    /// Numbers of a patch of an image.
    public var patch: Int
    /// Places of patches, and one of the whole.
    public var positions: Int
    /// Width of what goes into the adapter, and of what comes out of it.
    public var adapterInput: Int
    public var outputDim: Int
  }

  /// A scaling of RoPE's frequencies, for longer contexts than a model was first trained for.
  public struct RoPEScaling: Sendable, Equatable, Encodable {
    /// As transformers calls them.
    public enum Kind: String, Sendable, Encodable {
      /// That of Llama 3.1 and later (`use_scaled_rope`): low frequencies are divided by the factor.
      case llama3
      /// Position interpolation (arXiv:2306.15595): all frequencies are divided by the factor.
      case linear
      /// NTK-aware: beyond the original context theta grows with the length of the sequence.
      case dynamic
    }

    public var kind: Kind
    public var factor: Double
    public var lowFrequencyFactor: Double
    public var highFrequencyFactor: Double
    /// Positions the model was first trained for.
    public var originalContext: Int

    public init(kind: Kind = .llama3, factor: Double = 8, lowFrequencyFactor: Double = 1, highFrequencyFactor: Double = 4, originalContext: Int = 8192) {
      self.kind = kind
      self.factor = factor
      self.lowFrequencyFactor = lowFrequencyFactor
      self.highFrequencyFactor = highFrequencyFactor
      self.originalContext = originalContext
    }

    /// - Parameter keys: what the description calls the four numbers, in the order of their declaration.
    /// - Throws: for numbers with which the frequencies wouldn't be numbers.
    func check(_ file: FilePath, _ keys: (factor: String, low: String, high: String, context: String)) throws(CheckpointError) {
      let values: [(key: String, value: Double)] = [
        (keys.factor, factor), (keys.low, lowFrequencyFactor), (keys.high, highFrequencyFactor), (keys.context, Double(originalContext)),
      ]
      for (key, value) in values where !(value > 0 && value.isFinite) { throw CheckpointError(.corrupt, in: file, "says \(key) is \(value), which scales RoPE to nothing") }
      guard highFrequencyFactor > lowFrequencyFactor else {
        throw CheckpointError(.corrupt, in: file, "says \(keys.low) is \(lowFrequencyFactor) and \(keys.high) is \(highFrequencyFactor), which must be the greater one")
      }
    }

    /// The theta of a sequence of `length` positions.
    ///
    /// Source: `_compute_dynamic_ntk_parameters` in `modeling_rope_utils.py` of transformers.
    public func theta(_ theta: Double, length: Int, headDim: Int) -> Double {
      // Of heads of two columns there is one frequency, 1, whatever theta.
      guard kind == .dynamic, length > originalContext, headDim > 2 else { return theta }
      return theta * pow(factor * Double(length) / Double(originalContext) - (factor - 1), Double(headDim) / Double(headDim - 2))
    }

    /// What each RoPE frequency is divided by: of llama3's scaling 1 for the high ones, `factor` for the low ones, a blend in between.
    ///
    /// Source: `apply_scaling` of Meta's llama-models (`llama3/model.py`).
    /// - Returns: `headDim / 2` divisors, from the highest frequency to the lowest.
    public func divisors(headDim: Int, theta: Double) -> [Double] {
      switch kind {
      case .linear: return [Double](repeating: factor, count: headDim / 2)
      case .dynamic: return [Double](repeating: 1, count: headDim / 2)
      case .llama3: break
      }
      let lowWavelength = Double(originalContext) / lowFrequencyFactor
      let highWavelength = Double(originalContext) / highFrequencyFactor
      return (0..<headDim / 2).map { index in
        let wavelength = 2 * Double.pi * pow(theta, Double(2 * index) / Double(headDim))
        if wavelength < highWavelength { return 1 }
        if wavelength > lowWavelength { return factor }
        let smooth = (Double(originalContext) / wavelength - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor)
        return 1 / ((1 - smooth) / factor + smooth)
      }
    }
  }

  public init(
    dim: Int, layers: Int, heads: Int, kvHeads: Int, headDim: Int, hiddenDim: Int, vocabularySize: Int, normEpsilon: Float,
    ropeTheta: Double, ropeScaling: RoPEScaling? = nil, tiedEmbeddings: Bool = false
  ) {
    self.dim = dim
    self.layers = layers
    self.heads = heads
    self.kvHeads = kvHeads
    self.headDim = headDim
    self.hiddenDim = hiddenDim
    self.vocabularySize = vocabularySize
    self.normEpsilon = normEpsilon
    self.ropeTheta = ropeTheta
    self.ropeScaling = ropeScaling
    self.tiedEmbeddings = tiedEmbeddings
  }
}
