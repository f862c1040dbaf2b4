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
      let block = Block(count: Self.stretchBytes)
      var leaves = LeafHasher()
      do throws(CheckpointError) {
        while results.withLock({ $0.failure == nil }) {
          if isCancelled() { throw CheckpointError(.cancelled, "stopped before all weights had a fingerprint") }
          let index = next.add(1, ordering: .relaxed).oldValue
          guard index < work.count else { return }
          var walk = try FingerprintWalk(work[index], as: work[index].dtype)
          while !walk.isDone {
            if isCancelled() { throw CheckpointError(.cancelled, "stopped before all weights had a fingerprint") }
            progress(try walk.advance(&reader, through: block, &leaves))
          }
          let digest = walk.finalize()
          results.withLock { $0.digests[walk.name] = digest }
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
  private static let stretchBytes = 1 << 20

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
  private var hasher: RegionHasher
  private let region: TensorRegion
  /// The number of the next stretch.
  private var index = 0
  private var bytesRead = 0

  /// - Parameter dtype: what the tensor's elements are turned into first.
  /// - Throws: when the tensor's parts don't make it whole.
  init(_ tensor: LogicalTensor, as dtype: DType) throws(CheckpointError) {
    name = tensor.name.text
    region = try TensorRegion(of: tensor, rows: 0..<tensor.rows, columns: 0..<tensor.columns, as: dtype)
    let grid = TensorGrid(dtype: dtype, shape: tensor.shape, cut: tensor.name.role.cut)
    hasher = RegionHasher(GridRegion(whole: grid, stored: dtype))
  }

  var isDone: Bool { bytesRead == region.byteCount }

  /// The tensor's fingerprint, when all of it was read.
  func finalize() -> Digest? {
    var hasher = hasher
    var tree = TensorTree(hasher.region.grid)
    tree.add(hasher.finalize())
    return tree.root()
  }

  /// Reads and hashes the next stretch; nothing at the end.
  /// - Parameter block: of the same size in all calls.
  mutating func advance(_ reader: inout RegionReader, through block: Block, _ leaves: inout LeafHasher) throws(CheckpointError) -> Int {
    guard let window = region.window(index, limit: block.count) else { return 0 }
    try reader.read(region, rows: window.rows, columns: window.columns, into: block.baseAddress)
    index += 1
    bytesRead += window.byteCount
    hasher.update(Stretch(block: block, count: window.byteCount).bytes, &leaves)
    return window.byteCount
  }
}
