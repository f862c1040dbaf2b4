import COpenSSL

/// MD5 (RFC 1321) by OpenSSL. One stream is one serial chain; see `FileHasher` for many files at once.
public struct MD5: StreamingHash {
  public static let algorithm = HashAlgorithm.md5

  private var context = MD5_CTX()

  public init() { MD5_Init(&context) }

  public init?(state: [UInt8]) {
    guard let saved = HashState(state, words: 4, isBigEndian: false) else { return nil }
    self.init()
    (context.A, context.B, context.C, context.D) = (saved.chain[0], saved.chain[1], saved.chain[2], saved.chain[3])
    let bits = saved.byteCount << 3
    (context.Nl, context.Nh) = (UInt32(truncatingIfNeeded: bits), UInt32(bits >> 32))
    context.num = UInt32(saved.byteCount % 64)
    withUnsafeMutableBytes(of: &context.data) { $0.copyBytes(from: saved.block) }
  }

  public var byteCount: UInt64 { (UInt64(context.Nh) << 32 | UInt64(context.Nl)) >> 3 }

  public mutating func update(_ bytes: UnsafeRawBufferPointer) { MD5_Update(&context, bytes.baseAddress, bytes.count) }

  public func finalize() -> Digest {
    var last = context
    return Digest(.md5, bytes: [UInt8](unsafeUninitializedCapacity: 16) { bytes, count in
      MD5_Final(bytes.baseAddress, &last)
      count = 16
    })
  }

  public var state: [UInt8] {
    HashState(
      chain: [context.A, context.B, context.C, context.D], byteCount: byteCount,
      block: withUnsafeBytes(of: context.data) { Array($0) }, isBigEndian: false
    ).bytes
  }
}
