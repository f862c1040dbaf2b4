import Integrity

/// The format's names of dtypes.
enum SafetensorsDType {
  private static let dtypes: [String: DType] = ["F32": .f32, "F16": .f16, "BF16": .bf16, "F64": .f64]

  /// Of weights; nil for the others.
  static func dtype(_ name: String) -> DType? { dtypes[name] }

  /// Of codes of weights.
  static func code(_ name: String) -> StoredCoding.Code? { name == "I8" ? .int8 : name == "F8_E4M3" ? .float8 : nil }

  /// Bits of an element. Source: `Dtype` in `tensor.rs` of the safetensors repository, version 0.8.
  private static let bits: [String: Int] = [
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64,
  ]

  /// Whether the format defines it.
  static func isKnown(_ name: String) -> Bool { bits[name] != nil }

  /// Bytes of a tensor without gaps; nil on overflow, and where they aren't whole.
  static func byteCount(_ name: String, _ shape: [Int]) -> Int? {
    guard var count = bits[name] else { return nil }
    for dimension in shape {
      guard let value = product(count, dimension) else { return nil }
      count = value
    }
    return count % 8 == 0 ? count / 8 : nil
  }

  /// - Parameter dtype: one that `FormatCapacity.safetensors` has.
  static func name(_ dtype: DType) -> String { dtypes.first { $0.value == dtype }?.key ?? "F32" }

  static var held: Set<DType> { Set(dtypes.values) }
}

extension FormatCapacity {
  static let safetensors = FormatCapacity(dtypes: SafetensorsDType.held, isSharded: true)
}
