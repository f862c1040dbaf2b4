import Integrity

/// torch's storage classes of weights. The others hold integers, complex numbers or truth values.
enum PthStorage {
  private static let dtypes: [String: DType] = ["FloatStorage": .f32, "HalfStorage": .f16, "BFloat16Storage": .bf16]

  static func dtype(_ name: String) -> DType? { dtypes[name] }

  /// - Parameter dtype: one that `FormatCapacity.pth` has.
  static func name(_ dtype: DType) -> String { dtypes.first { $0.value == dtype }?.key ?? "FloatStorage" }

  static var held: Set<DType> { Set(dtypes.values) }
}

extension FormatCapacity {
  static let pth = FormatCapacity(dtypes: PthStorage.held, isSharded: true)
}
