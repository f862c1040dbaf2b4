import Integrity

/// torch's storage classes and dtypes of weights. The others hold integers, complex numbers, truth values or eight-bit floats.
enum PthStorage {
  private static let dtypes: [String: DType] = ["FloatStorage": .f32, "HalfStorage": .f16, "BFloat16Storage": .bf16]
  private static let torchNames: [String: DType] = ["float32": .f32, "float16": .f16, "bfloat16": .bf16]

  static func dtype(_ name: String) -> DType? { dtypes[name] }

  /// - Parameter name: as in `torch.float16`.
  static func dtype(torch name: String) -> DType? { torchNames[name] }

  /// - Parameter dtype: one that `FormatCapacity.pth` has.
  static func name(_ dtype: DType) -> String { dtypes.first { $0.value == dtype }?.key ?? "FloatStorage" }

  static var held: Set<DType> { Set(dtypes.values) }
}

extension FormatCapacity {
  static let pth = FormatCapacity(dtypes: PthStorage.held, isSharded: true)
}
