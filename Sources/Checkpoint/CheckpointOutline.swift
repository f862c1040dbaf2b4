import Integrity
import SystemPackage

/// What a checkpoint is, without a way to its weights: what its headers tell.
///
/// It can be read where the weights themselves aren't at hand, from files on a server. Nothing that needs weights takes it.
public struct CheckpointOutline: Sendable {
  public struct Tensor: Sendable, Equatable {
    public var name: TensorName
    /// Of the whole tensor; of a lone shard's, its own.
    public var shape: [Int]
    public var dtype: DType
    public var split: LogicalTensor.Split
    /// Pieces that it lies in.
    public var parts: Int
  }

  /// Hyperparameters, as far as they are known.
  public enum Params: Sendable, Equatable, Encodable {
    case complete(ModelParams)
    /// What shapes alone tell: how many heads there are, and how RoPE turns, is written beside the weights.
    case shapes(dim: Int?, layers: Int, hiddenDim: Int?, vocabularySize: Int?)

    private enum CodingKeys: String, CodingKey { case dim, layers, hiddenDim, vocabularySize }

    public func encode(to encoder: any Encoder) throws {
      switch self {
      case .complete(let params): try params.encode(to: encoder)
      case .shapes(let dim, let layers, let hiddenDim, let vocabularySize):
        var values = encoder.container(keyedBy: CodingKeys.self)
        try values.encode(dim, forKey: .dim)
        try values.encode(layers, forKey: .layers)
        try values.encode(hiddenDim, forKey: .hiddenDim)
        try values.encode(vocabularySize, forKey: .vocabularySize)
      }
    }
  }

  public let format: Checkpoint.Format
  public let modelParallel: Int
  public let params: Params
  /// In Meta's order.
  public let tensors: [Tensor]
  /// Names of the licences, policies and cards beside the weights.
  public var legal: [String]
  /// What the licence is called; nil where nothing says.
  public var licence: String?
  /// What a person should know, in sentences.
  public let notes: [String]

  public init(_ checkpoint: Checkpoint) {
    self.init(
      format: checkpoint.format, modelParallel: checkpoint.modelParallel, params: .complete(checkpoint.params),
      tensors: checkpoint.tensors.map { Tensor(name: $0.name, shape: $0.storedShape, dtype: $0.dtype, split: $0.split, parts: $0.parts.count) },
      legal: checkpoint.companions.legal.compactMap { $0.lastComponent?.string }, notes: checkpoint.companions.notes + checkpoint.unhonoured.map(\.note))
    licence = checkpoint.companions.licence
  }

  init(format: Checkpoint.Format, modelParallel: Int, params: Params, tensors: [Tensor], legal: [String] = [], notes: [String]) {
    self.format = format
    self.modelParallel = modelParallel
    self.params = params
    self.tensors = tensors
    self.legal = legal
    self.notes = notes
  }

  /// Elements of all weights; buffers that can be computed don't count.
  public var parameterCount: Int {
    tensors.reduce(0) { count, tensor in
      if tensor.name.role.isBuffer { return count }
      // Tensors with a stride of 0 may be of any size.
      let (sum, overflow) = count.addingReportingOverflow(tensor.elements)
      return overflow ? .max : sum
    }
  }

  /// The dtype of most of the weights.
  public var dominantDType: DType { DType.dominant(tensors.map { ($0.dtype, $0.elements) }) }
}

extension CheckpointOutline.Tensor {
  fileprivate var elements: Int { shape.reduce(1, *) }
}
