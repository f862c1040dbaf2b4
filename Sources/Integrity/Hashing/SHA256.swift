import CKernels
import COpenSSL

/// SHA-256 (FIPS 180-4) by OpenSSL, which uses the processor's own instructions for it where there are any. Several streams side by side,
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
  /// Streams that `update(_:with:)` hashes side by side. More are hashed in turns.
  public static let lanes = SHA256Kernel.mostStreams

  /// Hashes `chunks[i]` after what came before in `hashes[i]`, for all `i`. Chunks may differ in length; where few are left over, OpenSSL takes them.
  public static func update(_ hashes: inout [SHA256], with chunks: [UnsafeRawBufferPointer]) {
    update(&hashes, with: chunks, kernel: .best(for: chunks.count))
  }

  /// The same, by a kernel of one's choice.
  public static func update(_ hashes: inout [SHA256], with chunks: [UnsafeRawBufferPointer], kernel: SHA256Kernel) {
    precondition(hashes.count == chunks.count)
    var rest = chunks
    // In fewer lanes than three OpenSSL is as fast.
    let fewest = kernel == .sha ? 2 : 3
    if kernel != .plain, chunks.count >= fewest {
      // Lanes take whole blocks: the one begun is filled first.
      for index in rest.indices {
        let begun = Int(hashes[index].context.num)
        if begun > 0 { hashes[index].take(min(64 - begun, rest[index].count), off: &rest[index]) }
      }
      var active = rest.indices.filter { rest[$0].count >= 64 }
      while active.count >= fewest {
        if kernel == .sha { updatePair(&hashes, active[0], active[1], with: &rest) } else { updateLanes(&hashes, active.prefix(kernel.lanes), with: &rest, kernel) }
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
    hashes[a].advance(to: chainA, blocks: blocks, off: &rest[a])
    hashes[b].advance(to: chainB, blocks: blocks, off: &rest[b])
  }

  /// Takes as many whole blocks off all of the `active` chunks as the shortest has.
  private static func updateLanes(
    _ hashes: inout [SHA256], _ active: ArraySlice<Int>, with rest: inout [UnsafeRawBufferPointer], _ kernel: SHA256Kernel
  ) {
    guard let blocks = active.map({ rest[$0].count / 64 }).min() else { return }
    var chains = active.map { hashes[$0].context.h }
    let data = active.map { rest[$0].baseAddress?.assumingMemoryBound(to: UInt8.self) }
    chains.withUnsafeMutableBufferPointer { chains in
      drover_sha256_blocks(kernel == .avx2 ? DROVER_SHA256_AVX2 : DROVER_SHA256_AVX512, chains.baseAddress, data, Int32(active.count), blocks)
    }
    for (index, chain) in zip(active, chains) { hashes[index].advance(to: chain, blocks: blocks, off: &rest[index]) }
  }

  private typealias Chain = (UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32)

  /// Takes over a chaining value from a kernel that hashed `blocks` blocks of `chunk`.
  private mutating func advance(to chain: Chain, blocks: Int, off chunk: inout UnsafeRawBufferPointer) {
    let bits = (byteCount + 64 * UInt64(blocks)) << 3
    (context.Nl, context.Nh) = (UInt32(truncatingIfNeeded: bits), UInt32(bits >> 32))
    context.h = chain
    chunk = UnsafeRawBufferPointer(rebasing: chunk[(64 * blocks)...])
  }
}

extension SHA256: Equatable {
  public static func == (a: SHA256, b: SHA256) -> Bool { a.state == b.state }
}
