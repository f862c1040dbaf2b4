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

  private static let dtypes: [String: DType] = ["FloatStorage": .f32, "HalfStorage": .f16, "BFloat16Storage": .bf16, "DoubleStorage": .f64]
  private static let torchNames: [String: DType] = ["float32": .f32, "float16": .f16, "bfloat16": .bf16, "float64": .f64]

  /// Of tensors that go along as they are, by class of storage without its ending.
  private static let extras: [String: ExtraTensor.DType] = [
    "Double": .f64, "Float": .f32, "Half": .f16, "BFloat16": .bf16, "Long": .i64, "Int": .i32, "Short": .i16, "Char": .i8, "Byte": .u8, "Bool": .bool, "ComplexFloat": .c64,
  ]

  static func extra(_ name: String) -> ExtraTensor.DType? { name.hasSuffix("Storage") ? extras[String(name.dropLast("Storage".count))] : nil }

  static func name(_ dtype: ExtraTensor.DType) -> String { (extras.first { $0.value == dtype }?.key ?? "Float") + "Storage" }

  static func dtype(_ name: String) -> DType? { dtypes[name] }

  /// Codes of weights, by the names of storages and of dtypes.
  static func code(_ name: String) -> StoredCoding.Code? { name == "CharStorage" || name == "int8" ? .int8 : name == "float8_e4m3fn" ? .float8 : nil }

  /// - Parameter name: as in `torch.float16`.
  static func dtype(torch name: String) -> DType? { torchNames[name] }

  /// As in `torch.float16`.
  static func torchName(_ dtype: DType) -> String { torchNames.first { $0.value == dtype }?.key ?? "float32" }

  /// - Parameter dtype: one that `FormatCapacity.pth` has.
  static func name(_ dtype: DType) -> String { dtypes.first { $0.value == dtype }?.key ?? "FloatStorage" }

  static var held: Set<DType> { Set(dtypes.values) }
}

extension FormatCapacity {
  static let pth = FormatCapacity(dtypes: PthStorage.held, isSharded: true)
}
