import Integrity
import Platform
import Synchronization

extension Checkpoint {
  /// Computes the fingerprint of every tensor, side by side on all cores, in a fixed amount of memory; `TensorFingerprint` has the definition.
  ///
  /// Reads all weights once. Copies of a tensor in several shards (norms; key and value heads that ranks share) are compared first.
  ///
  /// - Parameters:
  ///   - progress: called on any thread with the number of bytes that were hashed since its last call; in all `fingerprintBytes`.
  ///   - isCancelled: asked now and then.
  /// - Throws: `.corrupt` where copies differ, naming the tensor and the file; `.cancelled`.
  public func fingerprint(
    progress: @escaping @Sendable (_ bytes: Int) -> Void = { _ in }, isCancelled: @escaping @Sendable () -> Bool = { false }
  ) throws(CheckpointError) -> CheckpointFingerprint {
    try checkReplicas(Workers.available)
    // The largest first, so that no core is left with one of them in the end.
    return try hash(fingerprinted.sorted { $0.byteCount > $1.byteCount }, threads: Workers.available, progress: progress, isCancelled: isCancelled)
  }

  /// Hashes the tensors of `work`, begun in that order.
  func hash(
    _ work: [LogicalTensor], threads: Int, progress: @escaping @Sendable (_ bytes: Int) -> Void, isCancelled: @escaping @Sendable () -> Bool
  ) throws(CheckpointError) -> CheckpointFingerprint {
    let next = Atomic(0)
    let results = Mutex((digests: [String: Digest](), failure: CheckpointError?.none))
    Workers.run(min(threads, work.count)) {
      var reader = RegionReader(files: files)
      let blocks = (0..<SHA256.lanes).map { _ in Block(count: Self.stretchBytes) }
      var walks: [FingerprintWalk] = []
      do throws(CheckpointError) {
        while results.withLock({ $0.failure == nil }) {
          if isCancelled() { throw CheckpointError(.cancelled, "stopped before all weights had a fingerprint") }
          while walks.count < blocks.count {
            let index = next.add(1, ordering: .relaxed).oldValue
            guard index < work.count else { break }
            walks.append(try FingerprintWalk(work[index].located(in: files), as: work[index].dtype))
          }
          guard !walks.isEmpty else { return }
          progress(try FingerprintWalk.advance(&walks, &reader, through: blocks))
          let ended = walks.filter(\.isDone).map { ($0.name, $0.hash.finalize()) }
          results.withLock { for (name, digest) in ended { $0.digests[name] = digest } }
          walks.removeAll(where: \.isDone)
        }
      } catch {
        results.withLock { $0.failure = $0.failure ?? error }
      }
    }
    let (digests, failure) = results.withLock { $0 }
    if let failure { throw failure }
    return CheckpointFingerprint(stored: digests)
  }

  /// Bytes of a tensor that are read at a time: they are hashed out of a core's cache.
  private static let stretchBytes = 256 << 10

  /// Bytes that `fingerprint` hashes.
  public var fingerprintBytes: Int { fingerprinted.reduce(0) { $0 + $1.byteCount } }

  /// The tensors that have a fingerprint.
  var fingerprinted: [LogicalTensor] {
    tensors.filter { !$0.name.role.isBuffer }
  }
}

extension CheckpointFingerprint {
  /// From the digests of the tensors that a checkpoint holds: a tied output projection is the embedding table.
  init(stored digests: [String: Digest]) {
    var digests = digests
    let (embedding, output) = (TensorName.Role.tokEmbeddings.rawValue, TensorName.Role.output.rawValue)
    if digests[output] == nil { digests[output] = digests[embedding] }
    self.init(tensors: digests)
  }
}

extension LogicalTensor {
  /// Bytes of the whole.
  fileprivate var byteCount: Int { rows * dtype.byteCount(columns) }
}

/// One tensor on its way into its fingerprint: the whole of it, row by row in Meta's order, whatever pieces it lies in.
struct FingerprintWalk {
  /// Bytes of a tensor that are hashed at a time.
  struct Stretch {
    let block: Block
    let count: Int

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: block.memory[..<count]) }
  }

  let name: String
  var hash: TensorFingerprint
  private let region: TensorRegion
  /// The number of the next stretch.
  private var index = 0
  private var bytesRead = 0

  /// - Parameter dtype: what the tensor's elements are turned into first.
  /// - Throws: when the tensor's parts don't make it whole.
  init(_ tensor: LogicalTensor, as dtype: DType) throws(CheckpointError) {
    name = tensor.name.text
    region = try TensorRegion(of: tensor, rows: 0..<tensor.rows, columns: 0..<tensor.columns, as: dtype)
    hash = TensorFingerprint(dtype: (region.isVector ? .f32 : dtype).rawValue, shape: tensor.shape)
  }

  var isDone: Bool { bytesRead == region.byteCount }

  /// Reads the next stretch, as it is hashed; nothing at the end.
  /// - Parameter block: of the same size in all calls.
  mutating func read(_ reader: inout RegionReader, into block: Block) throws(CheckpointError) -> Stretch {
    guard let window = region.window(index, limit: block.count) else { return Stretch(block: block, count: 0) }
    try reader.read(region, rows: window.rows, columns: window.columns, into: block.baseAddress)
    index += 1
    bytesRead += window.byteCount
    let stretch = Stretch(block: block, count: window.byteCount)
    return region.isVector ? stretch.widened(from: region.dtype) : stretch
  }

  /// Takes each of `walks` a stretch further, side by side.
  /// - Returns: bytes of the tensors that were read.
  static func advance(_ walks: inout [FingerprintWalk], _ reader: inout RegionReader, through blocks: [Block]) throws(CheckpointError) -> Int {
    let before = walks.reduce(0) { $0 + $1.bytesRead }
    var stretches: [Stretch] = []
    for (index, block) in zip(walks.indices, blocks) { stretches.append(try walks[index].read(&reader, into: block)) }
    var hashes = walks.map(\.hash.hash)
    SHA256.update(&hashes, with: stretches.map(\.bytes))
    for index in walks.indices { walks[index].hash.hash = hashes[index] }
    return walks.reduce(0) { $0 + $1.bytesRead } - before
  }
}

extension FingerprintWalk.Stretch {
  /// The float32 values of bfloat16 or float16 elements, exactly.
  fileprivate func widened(from dtype: DType) -> Self {
    guard dtype == .bf16 || dtype == .f16 else { return self }
    let wide = Block(count: 2 * count)
    for at in stride(from: 0, to: count, by: 2) {
      let bits = UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt16.self))
      let float = dtype == .bf16 ? UInt32(bits) << 16 : float32Bits(ofFloat16: bits)
      wide.memory.storeBytes(of: float.littleEndian, toByteOffset: 2 * at, as: UInt32.self)
    }
    return Self(block: wide, count: 2 * count)
  }
}

/// IEEE 754 binary16 to binary32. In integers: arithmetic would make signalling NaNs quiet.
private func float32Bits(ofFloat16 bits: UInt16) -> UInt32 {
  let sign = UInt32(bits >> 15) << 31
  let exponent = UInt32(bits >> 10 & 0x1F)
  let fraction = UInt32(bits & 0x3FF)
  switch exponent {
  case 0:
    guard fraction != 0 else { return sign }
    // Subnormal: the highest bit set becomes the implicit one.
    let shift = UInt32(fraction.leadingZeroBitCount) - 21
    return sign | (113 - shift) << 23 | (fraction << shift & 0x3FF) << 13
  case 0x1F: return sign | 0x7F80_0000 | fraction << 13
  default: return sign | (exponent + 112) << 23 | fraction << 13
  }
}
