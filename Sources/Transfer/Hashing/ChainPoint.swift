import FoundationEssentials
import Integrity

/// Where the hash of a file that passes by is, and what its server said of the file: all that is needed to go on from there in another run.
public struct ChainPoint: Sendable {
  let hash: FileHash
  /// Of the whole file.
  public let length: Int
  let validators: Validators

  init(hash: FileHash, length: Int, validators: Validators) { (self.hash, self.length, self.validators) = (hash, length, validators) }

  /// Bytes that were hashed.
  public var position: Int { hash.position }
  public var isComplete: Bool { position == length }
  /// Whether a later part of the file can be told to belong to what was hashed, where nothing vouches for the whole.
  public var isStrong: Bool { validators.isStrong }

  /// The last place not behind `position` that can be gone back to: hashes keep their values every 16 MiB.
  /// - Returns: nil for the file's beginning.
  public func back(to position: Int) -> ChainPoint? {
    if position >= self.position { return self }
    let pieces = max(0, position) / ChainStates.interval
    guard pieces > 0, let hash = FileHash(hash.passed, pieces: pieces) else { return nil }
    return ChainPoint(hash: hash, length: length, validators: validators)
  }
}

extension ChainPoint: Codable {
  private struct Document: Codable {
    var algorithm: HashAlgorithm
    var hash: Data
    var states: Data
    var length: Int
    var validators: Validators
  }

  public init(from decoder: any Decoder) throws {
    let document = try Document(from: decoder)
    guard let states = ChainStates(document.algorithm, bytes: [UInt8](document.states)), let hash = FileHash(state: [UInt8](document.hash), passed: states),
      hash.position <= document.length
    else { throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "no hash has this state")) }
    self.init(hash: hash, length: document.length, validators: document.validators)
  }

  public func encode(to encoder: any Encoder) throws {
    try Document(algorithm: hash.algorithm, hash: Data(hash.state), states: Data(hash.passed.bytes), length: length, validators: validators).encode(to: encoder)
  }
}
