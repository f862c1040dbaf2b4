import Integrity

/// The format's names of the dtypes of weights.
enum SafetensorsDType {
  private static let dtypes: [String: DType] = ["F32": .f32, "F16": .f16, "BF16": .bf16]

  static func dtype(_ name: String) -> DType? { dtypes[name] }

  /// - Parameter dtype: one that `FormatCapacity.safetensors` has.
  static func name(_ dtype: DType) -> String { dtypes.first { $0.value == dtype }?.key ?? "F32" }

  static var held: Set<DType> { Set(dtypes.values) }
}

extension FormatCapacity {
  static let safetensors = FormatCapacity(dtypes: SafetensorsDType.held, isSharded: true)
}
