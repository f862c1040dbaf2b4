import Integrity

/// What the weights of an output are stored as: one type, or one of llama.cpp's mixes, which give more bits to the tensors that need them.
///
/// In the quantized ones the output projection has more bits than the rest, and so has the embedding where it serves as one. Rows that a type's blocks don't divide are stored as another.
///
/// Source: `llama_tensor_get_type_impl`, `tensor_type_fallback` and `llama_ftype` of llama.cpp.
public enum DTypeMix: String, Sendable, Equatable, CaseIterable {
  case f64, f32, f16, bf16
  case q8_0, q4_0, q4_1, q5_0, q5_1
  case q4_k_s, q4_k_m, q5_k_s, q5_k_m, q6_k

  /// Of most matrices.
  public var base: DType {
    switch self {
    case .f64: .f64
    case .f32: .f32
    case .f16: .f16
    case .bf16: .bf16
    case .q8_0: .q8_0
    case .q4_0: .q4_0
    case .q4_1: .q4_1
    case .q5_0: .q5_0
    case .q5_1: .q5_1
    case .q4_k_s, .q4_k_m: .q4_k
    case .q5_k_s, .q5_k_m: .q5_k
    case .q6_k: .q6_k
    }
  }

  /// What a tensor of a model is stored as.
  package func dtype(of tensor: LogicalTensor, in model: ModelParams) -> DType {
    guard base.isQuantized else { return base }
    // Only matrices are quantized.
    guard tensor.shape.count > 1 else { return .f32 }
    let preferred = preferred(tensor.name, in: model, columns: tensor.columns)
    if tensor.columns % preferred.blockElements == 0 { return preferred }
    let other: DType = switch preferred {
    case .q4_k: .q5_0
    case .q5_k: .q5_1
    case .q6_k: .q8_0
    default: .f16
    }
    return tensor.columns % other.blockElements == 0 ? other : .f16
  }

  /// Before it is asked whether its blocks divide a row.
  private func preferred(_ name: TensorName, in model: ModelParams, columns: Int) -> DType {
    let layer = name.layer ?? 0
    switch name.role {
    case .output: return outputType(columns)
    case .tokEmbeddings: return model.tiedEmbeddings ? outputType(columns) : base
    case .wv:
      if hasMoreBits, Self.hasMoreBits(layer, of: model.layers) { return .q6_k }
      if self == .q4_k_s, layer < 4 { return .q5_k }
      // In models such as Llama 2 70B eight heads share each of its rows.
      return base == .q4_k && model.layers == 80 && model.kvHeads != model.heads ? .q5_k : base
    case .w2:
      if hasMoreBits, Self.hasMoreBits(layer, of: model.layers) { return .q6_k }
      return self == .q4_k_s && layer < model.layers / 8 ? .q5_k : base
    default: return base
    }
  }

  private func outputType(_ columns: Int) -> DType { columns % base.blockElements != 0 || base == .q8_0 ? .q8_0 : .q6_k }

  private var hasMoreBits: Bool { self == .q4_k_m || self == .q5_k_m }

  /// The first and last eighth of the layers, and every third between.
  private static func hasMoreBits(_ layer: Int, of layers: Int) -> Bool {
    layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2
  }
}
