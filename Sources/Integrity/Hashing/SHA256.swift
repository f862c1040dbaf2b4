import CKernels
import COpenSSL

/// SHA-256 (FIPS 180-4) by OpenSSL, which uses the processor's own instructions for it where there are any. Two streams side by side,
/// `update(_:with:)`, are faster than one after the other.
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

extension SHA256 {
  /// Streams that `update(_:with:)` hashes side by side: 2 on x86-64 processors with SHA extensions, elsewhere 1. More are hashed in turns.
  public static let lanes = drover_sha256_has_pair() != 0 ? 2 : 1

  /// Hashes `chunks[i]` after what came before in `hashes[i]`, for all `i`. Chunks may differ in length; where one is left over, OpenSSL takes it.
  public static func update(_ hashes: inout [SHA256], with chunks: [UnsafeRawBufferPointer]) {
    precondition(hashes.count == chunks.count)
    var rest = chunks
    if lanes > 1, chunks.count > 1 {
      // Pairs take whole blocks: the one begun is filled first.
      for index in rest.indices {
        let begun = Int(hashes[index].context.num)
        if begun > 0 { hashes[index].take(min(64 - begun, rest[index].count), off: &rest[index]) }
      }
      var active = rest.indices.filter { rest[$0].count >= 64 }
      while active.count > 1 {
        updatePair(&hashes, active[0], active[1], with: &rest)
        active.removeAll { rest[$0].count < 64 }
      }
    }
    for index in rest.indices { hashes[index].update(rest[index]) }
  }

  private mutating func take(_ count: Int, off chunk: inout UnsafeRawBufferPointer) {
    update(UnsafeRawBufferPointer(rebasing: chunk[..<count]))
    chunk = UnsafeRawBufferPointer(rebasing: chunk[count...])
  }

  /// Takes as many whole blocks off two chunks as both have.
  private static func updatePair(_ hashes: inout [SHA256], _ a: Int, _ b: Int, with rest: inout [UnsafeRawBufferPointer]) {
    let blocks = min(rest[a].count, rest[b].count) / 64
    guard let x = rest[a].baseAddress, let y = rest[b].baseAddress else { return }
    var (chainA, chainB) = (hashes[a].context.h, hashes[b].context.h)
    withUnsafeMutableBytes(of: &chainA) { chainA in
      withUnsafeMutableBytes(of: &chainB) { chainB in
        guard let chainA = chainA.baseAddress, let chainB = chainB.baseAddress else { return }
        drover_sha256_pair(
          chainA.assumingMemoryBound(to: UInt32.self), x.assumingMemoryBound(to: UInt8.self), chainB.assumingMemoryBound(to: UInt32.self),
          y.assumingMemoryBound(to: UInt8.self), blocks)
      }
    }
    for (index, chain) in [(a, chainA), (b, chainB)] {
      let bits = (hashes[index].byteCount + 64 * UInt64(blocks)) << 3
      (hashes[index].context.Nl, hashes[index].context.Nh) = (UInt32(truncatingIfNeeded: bits), UInt32(bits >> 32))
      hashes[index].context.h = chain
      rest[index] = UnsafeRawBufferPointer(rebasing: rest[index][(64 * blocks)...])
    }
  }
}

extension SHA256: Equatable {
  public static func == (a: SHA256, b: SHA256) -> Bool { a.state == b.state }
}
