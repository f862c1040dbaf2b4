import COpenSSL

/// SHA-256 (FIPS 180-4) by OpenSSL, which uses the processor's own instructions for it where there are any.
public struct SHA256: StreamingHash {
  public static let algorithm = HashAlgorithm.sha256

  private var context = SHA256_CTX()

  public init() { SHA256_Init(&context) }

  public init?(state: [UInt8]) {
    guard let saved = HashState(state, words: 8, isBigEndian: true) else { return nil }
    self.init()
    withUnsafeMutableBytes(of: &context.h) { words in
      for (index, word) in saved.chain.enumerated() { words.storeBytes(of: word, toByteOffset: 4 * index, as: UInt32.self) }
    }
    let bits = saved.byteCount << 3
    (context.Nl, context.Nh) = (UInt32(truncatingIfNeeded: bits), UInt32(bits >> 32))
    context.num = UInt32(saved.byteCount % 64)
    withUnsafeMutableBytes(of: &context.data) { $0.copyBytes(from: saved.block) }
  }

  public var byteCount: UInt64 { (UInt64(context.Nh) << 32 | UInt64(context.Nl)) >> 3 }

  public mutating func update(_ bytes: UnsafeRawBufferPointer) { SHA256_Update(&context, bytes.baseAddress, bytes.count) }

  public func finalize() -> Digest {
    var last = context
    return Digest(.sha256, bytes: [UInt8](unsafeUninitializedCapacity: 32) { bytes, count in
      SHA256_Final(bytes.baseAddress, &last)
      count = 32
    })
  }

  public var state: [UInt8] {
    HashState(
      chain: withUnsafeBytes(of: context.h) { words in (0..<8).map { words.load(fromByteOffset: 4 * $0, as: UInt32.self) } },
      byteCount: byteCount, block: withUnsafeBytes(of: context.data) { Array($0) }, isBigEndian: true
    ).bytes
  }
}
