/// The element types that checkpoints hold. Quantized types are ggml's: blocks of 32 or 256 elements that share a scale.
///
/// Source: `ggml-common.h` and `dequantize_row_*` in `ggml-quants.c` of the ggml repository.
public enum DType: String, Sendable, Equatable, Codable, CaseIterable {
  case f32, f16, bf16
  /// No Llama was trained in it, but programs that sum in it save it so.
  case f64
  /// Per block a float16 scale `d` and 32 signed bytes: `d * q`.
  case q8_0
  /// Per block a float16 scale `d` and 32 nibbles: `d * (q - 8)`.
  case q4_0
  /// Per block float16 scale `d` and minimum `m`, and 32 nibbles: `d * q + m`.
  case q4_1
  /// Per block a float16 scale `d` and 32 numbers of five bits: `d * (q - 16)`.
  case q5_0
  /// Per block float16 scale `d` and minimum `m`, and 32 numbers of five bits: `d * q + m`.
  case q5_1
  /// Per block of 256 float16 scales `d` and `dmin`; for each 16 elements a scale `s` and a minimum `m` of four bits; numbers of two bits: `d * s * q - dmin * m`.
  case q2_k
  /// Per block of 256 a float16 scale `d`; for each 16 elements a scale `s` of six bits; numbers of three bits: `d * (s - 32) * (q - 4)`.
  case q3_k
  /// Per block of 256 float16 scales `d` and `dmin`; for each 32 elements a scale `s` and a minimum `m` of six bits; nibbles: `d * s * q - dmin * m`.
  case q4_k
  /// As Q4_K, with numbers of five bits.
  case q5_k
  /// Per block of 256 a float16 scale `d`; for each 16 elements a signed byte `s` as scale; numbers of six bits: `d * s * (q - 32)`.
  case q6_k
  /// Per block a float16 scale `d` and 32 nibbles that choose among sixteen levels: `d * level[q]`.
  case iq4_nl
  /// Per block of 256 a float16 scale `d`; for each 32 elements a scale `s` of six bits; the levels of IQ4_NL: `d * (s - 32) * level[q]`.
  case iq4_xs

  /// Elements that are stored together; 1 unless quantized.
  public var blockElements: Int {
    switch self {
    case .f32, .f16, .bf16, .f64: 1
    case .q8_0, .q4_0, .q4_1, .q5_0, .q5_1, .iq4_nl: 32
    case .q2_k, .q3_k, .q4_k, .q5_k, .q6_k, .iq4_xs: 256
    }
  }

  /// Bytes of one block.
  public var blockBytes: Int {
    switch self {
    case .f32: 4
    case .f16, .bf16: 2
    case .f64: 8
    case .q8_0: 34
    case .q4_0, .iq4_nl: 18
    case .q4_1: 20
    case .q5_0: 22
    case .q5_1: 24
    case .q2_k: 84
    case .q3_k: 110
    case .q4_k: 144
    case .q5_k: 176
    case .q6_k: 210
    case .iq4_xs: 136
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
