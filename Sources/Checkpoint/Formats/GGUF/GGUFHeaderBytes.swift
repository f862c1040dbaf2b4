import Platform
import Tokenization

/// The start of a GGUF file as it is written, version 3, little-endian: keys with their values, and where the tensors are.
///
/// Source: `docs/gguf.md` of the ggml repository.
struct GGUFHeaderBytes {
  /// Tensors lie at multiples of it.
  static let alignment = 32

  enum Value {
    case uint16(Int)
    case uint32(Int)
    case int32(Int)
    case float32(Float)
    case float64(Double)
    case bool(Bool)
    case text(String)
    case texts(PackedStrings)
    case int32s([Int])
    case float32s([Float])
    /// As it lies in another GGUF.
    case copy(type: UInt32, count: Int, bytes: [UInt8])
  }

  private var keys: [UInt8] = []
  private var keyCount = 0
  private var tensors: [UInt8] = []
  private var tensorCount = 0

  init(_ fields: [(key: String, value: Value)]) {
    for (key, value) in fields { add(key, value) }
  }

  mutating func add(_ key: String, _ value: Value) {
    keyCount += 1
    Self.append(key.utf8, to: &keys)
    switch value {
    case .uint16(let value): scalar(2, UInt16(clamping: value))
    case .uint32(let value): scalar(4, UInt32(clamping: value))
    case .int32(let value): scalar(5, Int32(clamping: value))
    case .float32(let value): scalar(6, value.bitPattern)
    case .float64(let value): scalar(12, value.bitPattern)
    case .bool(let value): scalar(GGUFType.bool, UInt8(value ? 1 : 0))
    case .text(let value):
      keys += GGUFType.string.littleEndianBytes
      Self.append(value.utf8, to: &keys)
    case .texts(let values):
      array(GGUFType.string, values.count)
      keys.reserveCapacity(keys.count + values.byteCount + 8 * values.count)
      for index in 0..<values.count { Self.append(values[index], to: &keys) }
    case .int32s(let values):
      array(5, values.count)
      for value in values { keys += Int32(clamping: value).littleEndianBytes }
    case .float32s(let values):
      array(6, values.count)
      for value in values { keys += value.bitPattern.littleEndianBytes }
    case .copy(let type, let count, let bytes):
      array(type, count)
      keys += bytes
    }
  }

  /// - Parameters:
  ///   - shape: rows first.
  ///   - type: ggml's number of it.
  ///   - offset: from the start of the data.
  mutating func addTensor(_ name: String, shape: [Int], type: UInt32, offset: Int) {
    tensorCount += 1
    Self.append(name.utf8, to: &tensors)
    tensors += UInt32(shape.count).littleEndianBytes
    for dimension in shape.reversed() { tensors += UInt64(dimension).littleEndianBytes }
    tensors += type.littleEndianBytes + UInt64(offset).littleEndianBytes
  }

  /// The bytes, up to the start of the data.
  var bytes: [UInt8] {
    var bytes = Array("GGUF".utf8) + UInt32(3).littleEndianBytes + UInt64(tensorCount).littleEndianBytes + UInt64(keyCount).littleEndianBytes
    bytes += keys
    bytes += tensors
    bytes += Self.padding(after: bytes.count)
    return bytes
  }

  /// What is between something of `count` bytes and what follows it.
  static func padding(after count: Int) -> [UInt8] { [UInt8](repeating: 0, count: (alignment - count % alignment) % alignment) }

  private mutating func scalar(_ type: UInt32, _ value: some FixedWidthInteger) { keys += type.littleEndianBytes + value.littleEndianBytes }

  private mutating func array(_ type: UInt32, _ count: Int) {
    keys += GGUFType.array.littleEndianBytes + type.littleEndianBytes + UInt64(count).littleEndianBytes
  }

  private static func append(_ text: some Collection<UInt8>, to bytes: inout [UInt8]) {
    bytes += UInt64(text.count).littleEndianBytes
    bytes += text
  }
}
