/// The hash functions that checkpoints are published with.
public enum HashAlgorithm: String, Sendable, Hashable, Codable, CaseIterable {
  case md5, sha256

  /// Bytes of a digest: 16 (MD5) or 32 (SHA-256).
  public var digestBytes: Int {
    switch self {
    case .md5: 16
    case .sha256: 32
    }
  }
}

/// What a hash function makes of a file.
public struct Digest: Sendable, Hashable, CustomStringConvertible {
  public let algorithm: HashAlgorithm
  /// `algorithm.digestBytes` of them.
  public let bytes: [UInt8]

  /// - Parameter bytes: as many as the algorithm's digests have.
  init(_ algorithm: HashAlgorithm, bytes: [UInt8]) {
    precondition(bytes.count == algorithm.digestBytes)
    self.algorithm = algorithm
    self.bytes = bytes
  }

  /// Reads 32 (MD5) or 64 (SHA-256) hexadecimal digits, upper or lower case. The number of digits tells the algorithm.
  /// - Returns: nil for anything else.
  public init?(hex: some StringProtocol) {
    let digits = hex.utf8
    guard let algorithm = HashAlgorithm.allCases.first(where: { $0.digestBytes * 2 == digits.count }) else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(algorithm.digestBytes)
    var high: UInt8?
    for digit in digits {
      guard let value = Self.value(ofHexDigit: digit) else { return nil }
      if let first = high {
        bytes.append(first << 4 | value)
        high = nil
      } else {
        high = value
      }
    }
    self.init(algorithm, bytes: bytes)
  }

  /// Lower-case hexadecimal, as `md5sum` prints it.
  public var hex: String {
    String(unsafeUninitializedCapacity: bytes.count * 2) { text in
      for (index, byte) in bytes.enumerated() {
        text[2 * index] = Self.hexDigit(byte >> 4)
        text[2 * index + 1] = Self.hexDigit(byte & 15)
      }
      return bytes.count * 2
    }
  }

  public var description: String { hex }

  private static func hexDigit(_ value: UInt8) -> UInt8 { value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10 }

  private static func value(ofHexDigit digit: UInt8) -> UInt8? {
    switch digit {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
    default: nil
    }
  }
}

extension Digest: Codable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let hex = try container.decode(String.self)
    guard let digest = Digest(hex: hex) else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "a digest has 32 or 64 hexadecimal digits")
    }
    self = digest
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(hex)
  }
}
