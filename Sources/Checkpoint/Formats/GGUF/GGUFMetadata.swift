import Platform
import SystemPackage
import Tokenization

/// The key-value pairs at the start of a GGUF file. Arrays stay in the file until they are asked for.
///
/// Source: `docs/gguf.md` of the ggml repository.
public struct GGUFMetadata: Sendable {
  public enum Value: Sendable {
    case integer(Int)
    case float(Double)
    case bool(Bool)
    case text(String)
    case array(Array)

    public var integer: Int? { if case .integer(let value) = self { value } else { nil } }
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    public var text: String? { if case .text(let value) = self { value } else { nil } }
    public var array: Array? { if case .array(let value) = self { value } else { nil } }
    /// A float, or an integer as one.
    public var number: Double? {
      switch self {
      case .float(let value): value
      case .integer(let value): Double(value)
      default: nil
      }
    }
  }

  /// An array that was checked to lie within the file.
  public struct Array: Sendable {
    let file: any ByteSource
    let type: UInt32
    let range: Range<Int>
    public let count: Int
    /// Bytes that it takes in the file.
    public var byteCount: Int { range.count }

    /// The elements; empty when they aren't strings, or can't be read any more.
    public func packedStrings() -> PackedStrings {
      var strings = PackedStrings()
      guard type == GGUFType.string, let bytes = try? file.bytes(range) else { return strings }
      // Each has eight bytes of length before it.
      strings.reserveCapacity(count, bytes: range.count - 8 * count)
      bytes.withUnsafeBytes { bytes in
        var at = 0
        for _ in 0..<count {
          // The lengths were checked when the header was read; the file may have changed since.
          guard at + 8 <= bytes.count, let length = Int(exactly: UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))),
            length <= bytes.count - at - 8
          else { return }
          strings.append(bytes[at + 8..<at + 8 + length])
          at += 8 + length
        }
      }
      return strings
    }

    /// The elements; empty when they aren't numbers. Integers of any width, and floats rounded towards zero.
    public func integers() -> [Int] { numbers { Int(exactly: $0.rounded(.towardZero)) ?? 0 } whole: { $0 } }

    /// The elements as numbers; empty when they aren't.
    public func floats() -> [Float] { numbers { Float($0) } whole: { Float($0) } }

    /// Whether both hold the same.
    func isEqual(to other: Self) throws(CheckpointError) -> Bool {
      guard type == other.type, count == other.count, range.count == other.range.count else { return false }
      for start in stride(from: 0, to: range.count, by: 1 << 20) {
        let piece = start..<min(start + 1 << 20, range.count)
        let a = try file.bytes(range.lowerBound + piece.lowerBound..<range.lowerBound + piece.upperBound)
        guard a == (try other.file.bytes(other.range.lowerBound + piece.lowerBound..<other.range.lowerBound + piece.upperBound)) else { return false }
      }
      return true
    }

    private func numbers<T>(_ real: (Double) -> T, whole: (Int) -> T) -> [T] {
      var reader = ByteReader(file, range)
      var values: [T] = []
      values.reserveCapacity(count)
      for _ in 0..<count {
        switch try? GGUFType.readScalar(type, &reader, "an array") {
        case .integer(let value)?: values.append(whole(value))
        case .float(let value)?: values.append(real(value))
        case .bool(let value)?: values.append(whole(value ? 1 : 0))
        default: return []
        }
      }
      return values
    }
  }

  private(set) var values: [String: Value] = [:]

  /// More than any model has: some have a hundred.
  private static let mostKeys = 1 << 16

  public subscript(key: String) -> Value? { values[key] }

  /// What `key` says; nil when it isn't there.
  /// - Throws: where it is no integer: what has another type says something that isn't understood.
  func integer(_ key: String, _ file: FilePath) throws(CheckpointError) -> Int? { try values[key].map(key, file, "an integer", \.integer) }

  func number(_ key: String, _ file: FilePath) throws(CheckpointError) -> Double? { try values[key].map(key, file, "a number", \.number) }

  func text(_ key: String, _ file: FilePath) throws(CheckpointError) -> String? { try values[key].map(key, file, "a string", \.text) }

  /// As JSON; arrays are empty, and stand for themselves.
  var json: [String: JSONValue] { values.mapValues(\.json) }

  /// - Parameter count: as the header says; every pair takes 12 bytes at least.
  init(_ reader: inout ByteReader, count: Int) throws(CheckpointError) {
    guard count <= reader.remaining / 12 else { throw reader.corrupt("says it has \(count) metadata keys, more than it has room for") }
    // The file may be longer than anything that was written to it, so its length vouches for nothing, and nothing is set aside by it.
    guard count <= Self.mostKeys else { throw reader.corrupt("says it has \(count) metadata keys; no model has more than \(Self.mostKeys)", at: 16) }
    for _ in 0..<count {
      let at = reader.position
      let key = try GGUFType.readString(&reader, "a metadata key", longest: GGUFType.longestName)
      let type = try reader.integer(UInt32.self, "the type of \(key)")
      let value = type == GGUFType.array ? Value.array(try Self.readArray(&reader, key)) : try GGUFType.readScalar(type, &reader, key)
      guard values.updateValue(value, forKey: key) == nil else { throw reader.corrupt("has the metadata key \(key) twice", at: at) }
    }
  }

  private static func readArray(_ reader: inout ByteReader, _ key: String) throws(CheckpointError) -> Array {
    let type = try reader.integer(UInt32.self, "the type of \(key)")
    let count = try reader.size("the length of \(key)")
    let start = reader.position
    if let width = GGUFType.width(type) {
      guard let bytes = product(count, width) else { throw reader.corrupt("\(key) has \(count) elements, more than any file", at: start - 8) }
      try reader.skip(bytes, key)
    } else if type == GGUFType.string {
      guard count <= reader.remaining / 8 else {
        throw reader.corrupt("\(key) says it has \(count) strings, more than the file has room for", at: start - 8)
      }
      for _ in 0..<count { try reader.skip(try reader.size("a string of \(key)"), "a string of \(key)") }
    } else {
      throw reader.corrupt("\(key) is an array of the type \(type), which isn't supported", at: start - 12)
    }
    return Array(file: reader.file, type: type, range: start..<reader.position, count: count)
  }
}

extension GGUFMetadata.Value? {
  fileprivate func map<T>(
    _ key: String, _ file: FilePath, _ type: String, _ convert: (GGUFMetadata.Value) -> T?
  ) throws(CheckpointError) -> T? {
    guard let self else { return nil }
    guard let value = convert(self) else {
      throw CheckpointError(.unsupported, in: file, "says \(key) is \(self.json.brief), where \(type) is supported")
    }
    return value
  }
}

extension GGUFMetadata.Value {
  var json: JSONValue {
    switch self {
    case .integer(let value): .integer(value)
    case .float(let value): .number(value)
    case .bool(let value): .bool(value)
    case .text(let value): .text(value)
    case .array: .array([])
    }
  }
}

/// Types of metadata values, by number.
enum GGUFType {
  /// GGUF allows 65,535 bytes; none has over a hundred, and messages repeat it.
  static let longestName = 1024
  /// Of a text: a chat template, a licence.
  private static let longestText = smallFileLimit

  static let bool: UInt32 = 7
  static let string: UInt32 = 8
  static let array: UInt32 = 9

  /// Bytes of a scalar: uint8, int8, uint16, int16, uint32, int32, float32, bool, -, -, uint64, int64, float64.
  static func width(_ type: UInt32) -> Int? {
    switch type {
    case 0, 1, 7: 1
    case 2, 3: 2
    case 4, 5, 6: 4
    case 10, 11, 12: 8
    default: nil
    }
  }

  static func readScalar(_ type: UInt32, _ reader: inout ByteReader, _ key: String) throws(CheckpointError) -> GGUFMetadata.Value {
    let at = reader.position
    switch type {
    case 0: return .integer(Int(try reader.integer(UInt8.self, key)))
    case 1: return .integer(Int(try reader.integer(Int8.self, key)))
    case 2: return .integer(Int(try reader.integer(UInt16.self, key)))
    case 3: return .integer(Int(try reader.integer(Int16.self, key)))
    case 4: return .integer(Int(try reader.integer(UInt32.self, key)))
    case 5: return .integer(Int(try reader.integer(Int32.self, key)))
    case 6: return .float(Double(Float(bitPattern: try reader.integer(UInt32.self, key))))
    case bool: return .bool(try reader.byte(key) != 0)
    case string: return .text(try readString(&reader, key))
    case 10:
      let value = try reader.integer(UInt64.self, key)
      guard let value = Int(exactly: value) else { throw reader.corrupt("\(key) is \(value), beyond 63 bits", at: at) }
      return .integer(value)
    case 11: return .integer(Int(try reader.integer(Int64.self, key)))
    case 12: return .float(Double(bitPattern: try reader.integer(UInt64.self, key)))
    default: throw reader.corrupt("\(key) has the type \(type), which GGUF doesn't define", at: at - 4)
    }
  }

  static func readString(_ reader: inout ByteReader, _ what: String, longest: Int = longestText) throws(CheckpointError) -> String {
    let at = reader.position
    let length = try reader.size("the length of \(what)")
    guard length <= longest else { throw reader.corrupt("\(what) has \(length) bytes, and \(longest) are the most that make sense", at: at) }
    return String(decoding: try reader.bytes(length, what), as: UTF8.self)
  }
}
