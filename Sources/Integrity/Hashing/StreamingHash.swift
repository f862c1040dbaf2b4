/// A hash over bytes that arrive piece by piece, and that can stop in one process and go on in another.
///
/// MD5 and SHA-256 both carry a chaining value from one 64-byte block to the next; that, the number of bytes so far and the bytes of the
/// block begun are all there is to save.
public protocol StreamingHash: Sendable {
  static var algorithm: HashAlgorithm { get }

  /// The hash of no bytes yet.
  init()

  /// Bytes hashed so far.
  var byteCount: UInt64 { get }

  /// Hashes `bytes` after those that came before.
  mutating func update(_ bytes: UnsafeRawBufferPointer)

  /// Hashes `chunks[i]` after what came before in `hashes[i]`, for all `i` side by side. Chunks may differ in length.
  static func update(_ hashes: inout [Self], with chunks: [UnsafeRawBufferPointer])

  /// The digest of all bytes so far. More may follow: this doesn't end the hash.
  func finalize() -> Digest

  /// Everything that `init(state:)` needs to go on from here: the chaining value, the byte count (64 bits, little-endian) and the block begun,
  /// padded with zeros to 64 bytes. 88 bytes for MD5, 104 for SHA-256, the same on every machine.
  var state: [UInt8] { get }

  /// Goes on from a saved `state`.
  /// - Returns: nil when that can't be one: wrong length, or something else than zeros behind the block begun.
  init?(state: [UInt8])
}

extension StreamingHash {
  public mutating func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { update($0) } }

  /// The digest of `bytes` alone.
  public static func hash(_ bytes: UnsafeRawBufferPointer) -> Digest {
    var hash = Self()
    hash.update(bytes)
    return hash.finalize()
  }

  public static func hash(_ bytes: [UInt8]) -> Digest { bytes.withUnsafeBytes { hash($0) } }
}

extension HashAlgorithm {
  /// The hash of no bytes yet.
  public var newHash: any StreamingHash {
    switch self {
    case .md5: MD5()
    case .sha256: SHA256()
    }
  }
}

/// The saved form of a `StreamingHash`, taken apart.
struct HashState {
  static let blockBytes = 64

  var chain: [UInt32]
  var byteCount: UInt64
  /// The block begun, padded with zeros.
  var block: [UInt8]
  /// SHA-256 writes its words big-endian, MD5 little-endian.
  let isBigEndian: Bool

  init(chain: [UInt32], byteCount: UInt64, block: [UInt8], isBigEndian: Bool) {
    self.chain = chain
    self.byteCount = byteCount
    // What lies behind the bytes begun is left over from an earlier block.
    let begun = Int(byteCount % UInt64(Self.blockBytes))
    self.block = block.prefix(begun) + [UInt8](repeating: 0, count: Self.blockBytes - begun)
    self.isBigEndian = isBigEndian
  }

  init?(_ bytes: [UInt8], words: Int, isBigEndian: Bool) {
    guard bytes.count == 4 * words + 8 + Self.blockBytes else { return nil }
    chain = (0..<words).map { word in
      let value = bytes[4 * word..<4 * word + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) }
      return isBigEndian ? value.byteSwapped : value
    }
    byteCount = bytes[4 * words..<4 * words + 8].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    block = Array(bytes[(4 * words + 8)...])
    self.isBigEndian = isBigEndian
    // Lengths are counted in 64 bits, of bits.
    guard byteCount < 1 << 61, block[Int(byteCount % UInt64(Self.blockBytes))...].allSatisfy({ $0 == 0 }) else { return nil }
  }

  var bytes: [UInt8] {
    let words = chain.flatMap { word in Self.littleEndian(isBigEndian ? word.byteSwapped : word) }
    return words + Self.littleEndian(byteCount) + block
  }

  private static func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }
}
