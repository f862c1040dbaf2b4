/// The chaining values that a serial hash passed on its way through a file, one every `interval` bytes.
///
/// MD5 and SHA-256 carry nothing from one 64-byte block to the next but their chaining value (and the length, which follows from the place). So a
/// file whose values were kept is serial no more: each piece is hashed from the value before it, and must end in the value after it. The first
/// piece begins with the algorithm's own initial value and the last ends in the digest, so none of the values has to be believed.
public struct ChainStates: Sendable, Equatable {
  /// Bytes of a piece; a multiple of the hashes' blocks.
  public static let interval = 16 << 20

  public let algorithm: HashAlgorithm
  /// The values at 1, 2, … times the interval, one after another, `algorithm.digestBytes` each, in the byte order of a digest.
  public private(set) var bytes: [UInt8]

  public init(_ algorithm: HashAlgorithm) { (self.algorithm, bytes) = (algorithm, []) }

  /// - Returns: nil when the bytes aren't whole values.
  public init?(_ algorithm: HashAlgorithm, bytes: [UInt8]) {
    guard bytes.count % algorithm.digestBytes == 0 else { return nil }
    (self.algorithm, self.bytes) = (algorithm, bytes)
  }

  /// Values that are known.
  public var count: Int { bytes.count / algorithm.digestBytes }

  /// Values that a file of `length` bytes has: the last piece ends in the digest instead, also where it is a whole one.
  public static func count(ofFile length: Int) -> Int { max(0, (length - 1) / interval) }

  /// The value after `index + 1` pieces.
  public subscript(index: Int) -> ArraySlice<UInt8> { bytes[index * algorithm.digestBytes..<(index + 1) * algorithm.digestBytes] }

  /// Adds the value that comes next.
  public mutating func append(_ chain: some Collection<UInt8>) {
    precondition(chain.count == algorithm.digestBytes)
    bytes += chain
  }

  /// Forgets all values but the first `count`.
  public mutating func truncate(to count: Int) { bytes.removeLast(max(0, bytes.count - count * algorithm.digestBytes)) }
}

extension StreamingHash {
  /// The chaining value: all that is carried on from one block to the next.
  public var chain: [UInt8] { Array(state.prefix(Self.algorithm.digestBytes)) }

  /// The hash after `byteCount` bytes, whole blocks, that ended in `chain`.
  /// - Returns: nil when that can't be.
  public init?(chain: some Collection<UInt8>, byteCount: Int) {
    guard chain.count == Self.algorithm.digestBytes, byteCount >= 0, byteCount % HashState.blockBytes == 0 else { return nil }
    let count = withUnsafeBytes(of: UInt64(byteCount).littleEndian) { Array($0) }
    self.init(state: Array(chain) + count + [UInt8](repeating: 0, count: HashState.blockBytes))
  }
}
