import CKernels
import COpenSSL

/// MD5 (RFC 1321). One stream is one serial chain; `update(_:with:)` hashes several at once, and is faster.
///
/// Whole blocks go to our own kernels; OpenSSL takes the bytes before and behind them, and ends the hash.
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

  public mutating func update(_ bytes: UnsafeRawBufferPointer) { update(bytes, kernel: .alone) }

  /// The same, by a kernel of one's choice.
  mutating func update(_ bytes: UnsafeRawBufferPointer, kernel: MD5Kernel) {
    var rest = bytes
    takeBegun(&rest)
    let blocks = rest.count / 64
    if blocks > 0, let data = rest.baseAddress?.assumingMemoryBound(to: UInt8.self) {
      var chain = (context.A, context.B, context.C, context.D)
      drover_md5_blocks(kernel.code, &chain, [data], 1, blocks)
      advance(to: chain, blocks: blocks)
      rest = UnsafeRawBufferPointer(rebasing: rest[(64 * blocks)...])
    }
    MD5_Update(&context, rest.baseAddress, rest.count)
  }

  /// Fills the block begun with the first of `bytes`, and takes them off: kernels hash whole blocks.
  private mutating func takeBegun(_ bytes: inout UnsafeRawBufferPointer) {
    let begun = Int(context.num)
    guard begun > 0 else { return }
    let filling = min(64 - begun, bytes.count)
    MD5_Update(&context, bytes.baseAddress, filling)
    bytes = UnsafeRawBufferPointer(rebasing: bytes[filling...])
  }

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
    for index in rest.indices { hashes[index].takeBegun(&rest[index]) }
    while true {
      let active = rest.indices.filter { rest[$0].count >= 64 }.prefix(lanes)
      guard active.count > 1, let fewest = active.map({ rest[$0].count / 64 }).min() else { break }
      updateBlocks(&hashes, of: active, with: &rest, blocks: fewest, kernel: kernel)
    }
    // What one stream has more than the others, and the ends of all.
    let alone = kernel == .best ? .alone : kernel
    for index in rest.indices { hashes[index].update(rest[index], kernel: alone) }
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
      hashes[index].advance(to: (chains[4 * lane], chains[4 * lane + 1], chains[4 * lane + 2], chains[4 * lane + 3]), blocks: blocks)
      rest[index] = UnsafeRawBufferPointer(rebasing: rest[index][(64 * blocks)...])
    }
  }

  /// Takes over a chaining value from a kernel that hashed `blocks` blocks.
  private mutating func advance(to chain: (UInt32, UInt32, UInt32, UInt32), blocks: Int) {
    (context.A, context.B, context.C, context.D) = chain
    let bits = (byteCount + 64 * UInt64(blocks)) << 3
    (context.Nl, context.Nh) = (UInt32(truncatingIfNeeded: bits), UInt32(bits >> 32))
  }
}
