import FoundationEssentials

/// The JSON of a receipt; its keys are a promise.
struct ReceiptDocument: Codable {
  static let version = 2

  struct Source: Codable {
    var release: String?
    var repository: String?
    var commit: String?
    var hosts: [String]?
    var checkpoint: String?
    var files: [File]?
  }

  struct File: Codable {
    var path: String
    @Named var bytes: Int
    var md5: Digest?
    /// Chaining values every 16 MiB, one after another, as hexadecimal digits; absent where there are none.
    var md5States: String?
    var sha256: Digest?
    var sha256States: String?
    var weights: [Weight]?
    var rest: Digest?
  }

  struct Weight: Codable {
    var tensor: String
    var dtype: DType
    @Named var shape: [Int]
    var cut: TensorGrid.Cut
    @Named var offset: Int
    /// The first, and the one after the last.
    @Named var rows: [Int]
    @Named var columns: [Int]
    var headDim: Int?
    var digests: [Digest]
  }

  struct Fingerprint: Codable {
    var checkpoint: Digest
    var tensors: [String: Digest]
  }

  /// The version of this form.
  @Named var receipt = Self.version
  var tool: String
  @Named var created: Date
  var operation: String
  var source: Source
  var options: [String: String]
  var files: [File]
  var fingerprint: Fingerprint?
}

/// What only says which version it is of.
struct ReceiptVersion: Decodable {
  @Named var receipt: Int
}

/// Numbers or a date: for one that makes no sense Foundation's error doesn't say under which key it is.
@propertyWrapper struct Named<Value: Codable>: Codable {
  var wrappedValue: Value

  init(wrappedValue: Value) { self.wrappedValue = wrappedValue }

  init(from decoder: any Decoder) throws {
    do { wrappedValue = try decoder.singleValueContainer().decode(Value.self) } catch {
      switch error as? DecodingError {
      case .typeMismatch, .valueNotFound: throw error
      default: throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "\(error)"))
      }
    }
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(wrappedValue)
  }
}
