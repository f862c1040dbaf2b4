/// The element types that checkpoints hold. Quantized types are ggml's: blocks of 32 elements with a scale.
public enum DType: String, Sendable, Equatable, Codable, CaseIterable {
  case f32, f16, bf16
  /// Per block a float16 scale `d` and 32 signed bytes: `d * q`.
  case q8_0
  /// Per block a float16 scale `d` and 32 nibbles: `d * (q - 8)`.
  case q4_0
  /// Per block float16 scale `d` and minimum `m`, and 32 nibbles: `d * q + m`.
  case q4_1

  /// Elements that are stored together; 1 unless quantized.
  public var blockElements: Int {
    switch self {
    case .f32, .f16, .bf16: 1
    case .q8_0, .q4_0, .q4_1: 32
    }
  }

  /// Bytes of one block.
  public var blockBytes: Int {
    switch self {
    case .f32: 4
    case .f16, .bf16: 2
    case .q8_0: 34
    case .q4_0: 18
    case .q4_1: 20
    }
  }

  /// The type that most elements have.
  package static func dominant(_ tensors: [(dtype: DType, elements: Int)]) -> DType {
    var sums: [DType: Double] = [:]
    for tensor in tensors { sums[tensor.dtype, default: 0] += Double(tensor.elements) }
    return allCases.max { sums[$0, default: 0] < sums[$1, default: 0] } ?? .f32
  }

  public var isQuantized: Bool { blockElements > 1 }

  /// Bytes of `elements` elements without gaps; of quantized types whole blocks.
  package func byteCount(_ elements: Int) -> Int { elements / blockElements * blockBytes }
}
