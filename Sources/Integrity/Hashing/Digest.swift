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
  package init(_ algorithm: HashAlgorithm, bytes: [UInt8]) {
    precondition(bytes.count == algorithm.digestBytes)
    self.algorithm = algorithm
    self.bytes = bytes
  }

  /// Reads 32 (MD5) or 64 (SHA-256) hexadecimal digits, upper or lower case. The number of digits tells the algorithm.
  /// - Returns: nil for anything else.
  public init?(hex: some StringProtocol) {
    guard let algorithm = HashAlgorithm.allCases.first(where: { $0.digestBytes * 2 == hex.utf8.count }), let bytes = Hex.decode(hex) else { return nil }
    self.init(algorithm, bytes: bytes)
  }

  /// Lower-case hexadecimal, as `md5sum` prints it.
  public var hex: String { Hex.encode(bytes) }

  public var description: String { hex }
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
