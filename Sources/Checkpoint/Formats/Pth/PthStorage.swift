import Integrity

/// torch's storage classes and dtypes of weights. The others hold integers, complex numbers, truth values or eight-bit floats.
enum PthStorage {
  /// Bytes of an element of each class of storage. Source: `_storage_type_map` and `_element_size` of torch.
  private static let widths: [String: Int] = [
    "BFloat16": 2, "Bool": 1, "Byte": 1, "Char": 1, "ComplexDouble": 16, "ComplexFloat": 8, "Double": 8, "Float": 4, "Half": 2, "Int": 4, "Long": 8,
    "QInt32": 4, "QInt8": 1, "QUInt2x4": 1, "QUInt4x2": 1, "QUInt8": 1, "Short": 2, "Untyped": 1,
  ]

  /// - Parameter name: of the class, such as `FloatStorage`.
  /// - Returns: nil for what isn't one.
  static func width(_ name: String) -> Int? { name.hasSuffix("Storage") ? widths[String(name.dropLast("Storage".count))] : nil }

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
