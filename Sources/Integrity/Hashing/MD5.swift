import CKernels
import COpenSSL

/// MD5 (RFC 1321) by OpenSSL. One stream is one serial chain; `update(_:with:)` hashes several at once, and is faster.
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

extension MD5 {
  /// Streams that `update(_:with:)` can hash side by side. More are hashed in turns.
  public static let lanes = Int(DROVER_MD5_LANES)

  /// Hashes `chunks[i]` after what came before in `hashes[i]`, for all `i` side by side.
  ///
  /// Chunks may differ in length; those that are long keep fewer lanes busy in the end. Eight equal streams take little longer than one.
  public static func update(_ hashes: inout [MD5], with chunks: [UnsafeRawBufferPointer]) { update(&hashes, with: chunks, kernel: .best) }

  /// The same, by a kernel of one's choice.
  public static func update(_ hashes: inout [MD5], with chunks: [UnsafeRawBufferPointer], kernel: MD5Kernel) {
    precondition(hashes.count == chunks.count)
    var rest = chunks
    for index in rest.indices {
      // Lanes take whole blocks: the one begun is filled first.
      let begun = Int(hashes[index].context.num)
      guard begun > 0 else { continue }
      let filling = min(64 - begun, rest[index].count)
      hashes[index].update(UnsafeRawBufferPointer(rebasing: rest[index][..<filling]))
      rest[index] = UnsafeRawBufferPointer(rebasing: rest[index][filling...])
    }
    while true {
      let active = rest.indices.filter { rest[$0].count >= 64 }.prefix(lanes)
      // Alone, OpenSSL is faster than any lane.
      guard active.count > 1 || kernel == .plain, let fewest = active.map({ rest[$0].count / 64 }).min() else { break }
      updateBlocks(&hashes, of: active, with: &rest, blocks: fewest, kernel: kernel)
    }
    for index in rest.indices { hashes[index].update(rest[index]) }
  }

  /// Takes `blocks` whole blocks off each of the `active` chunks.
  private static func updateBlocks(
    _ hashes: inout [MD5], of active: ArraySlice<Int>, with rest: inout [UnsafeRawBufferPointer], blocks: Int, kernel: MD5Kernel
  ) {
    var chains = active.flatMap { [hashes[$0].context.A, hashes[$0].context.B, hashes[$0].context.C, hashes[$0].context.D] }
    let data = active.map { rest[$0].baseAddress?.assumingMemoryBound(to: UInt8.self) }
    chains.withUnsafeMutableBytes { chains in
      drover_md5_blocks(kernel.code, chains.baseAddress?.assumingMemoryBound(to: (UInt32, UInt32, UInt32, UInt32).self), data, Int32(active.count), blocks)
    }
    for (lane, index) in active.enumerated() {
      hashes[index].advance(to: chains[4 * lane..<4 * lane + 4], blocks: blocks)
      rest[index] = UnsafeRawBufferPointer(rebasing: rest[index][(64 * blocks)...])
    }
  }

  /// Takes over a chaining value from a kernel that hashed `blocks` blocks.
  private mutating func advance(to chain: ArraySlice<UInt32>, blocks: Int) {
    let first = chain.startIndex
    (context.A, context.B, context.C, context.D) = (chain[first], chain[first + 1], chain[first + 2], chain[first + 3])
    let bits = (byteCount + 64 * UInt64(blocks)) << 3
    (context.Nl, context.Nh) = (UInt32(truncatingIfNeeded: bits), UInt32(bits >> 32))
  }
}
