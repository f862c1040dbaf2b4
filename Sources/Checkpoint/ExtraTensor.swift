/// A tensor that isn't a Llama's and goes along as it is: a buffer, an adapter's remains, a head of another task.
public struct ExtraTensor: Sendable, Equatable {
  /// As its file has it.
  public let name: String
  let dtype: DType
  /// Any number of dimensions.
  public let shape: [Int]
  /// Its elements without gaps, little-endian.
  let bytes: [UInt8]

  /// What elements may be, called as safetensors calls it.
  enum DType: String, Sendable, CaseIterable {
    case f64 = "F64", f32 = "F32", f16 = "F16", bf16 = "BF16", i64 = "I64", i32 = "I32", i16 = "I16", i8 = "I8", u8 = "U8", bool = "BOOL", c64 = "C64"

    var width: Int {
      switch self {
      case .f64, .i64, .c64: 8
      case .f32, .i32: 4
      case .f16, .bf16, .i16: 2
      case .i8, .u8, .bool: 1
      }
    }
  }

  /// Bytes of all that go along: they are held in memory.
  static let mostBytes = 128 << 20
}
