import Integrity
import Platform

extension Checkpoint {
  /// Computes the fingerprint of every tensor, on all cores, in a fixed amount of memory; `TensorGrid` has the definition.
  ///
  /// Reads all weights once. Copies of a tensor in several shards (norms; key and value heads that ranks share) are compared on the way.
  ///
  /// - Parameters:
  ///   - progress: called on any thread with the number of bytes that were hashed since its last call; in all `fingerprintBytes`.
  ///   - isCancelled: asked now and then.
  /// - Throws: `.corrupt` where copies differ, naming the tensor and the file; `.cancelled`.
  public func fingerprint(
    progress: @escaping @Sendable (_ bytes: Int) -> Void = { _ in }, isCancelled: @escaping @Sendable () -> Bool = { false }
  ) throws(CheckpointError) -> CheckpointFingerprint {
    try fingerprint(of: readForFingerprint, threads: Workers.available, progress: progress, isCancelled: isCancelled)
  }

  /// Hashes the tensors of `work`, begun in that order.
  func fingerprint(
    of work: [LogicalTensor], threads: Int, progress: @escaping @Sendable (_ bytes: Int) -> Void, isCancelled: @escaping @Sendable () -> Bool
  ) throws(CheckpointError) -> CheckpointFingerprint {
    var plans: [TensorPlan] = []
    for tensor in work { plans.append(try TensorPlan(tensor, as: tensor.dtype, to: [])) }
    let execution = PlanExecution(plans, from: files, order: .source, proves: true, didRead: progress, isCancelled: isCancelled)
    return CheckpointFingerprint(stored: try execution.run(threads: threads).fingerprints)
  }

  /// Bytes that `fingerprint` reads, each of several copies once.
  public var fingerprintBytes: Int { readForFingerprint.reduce(0) { $0 + $1.byteCount } }

  /// The tensors that have a fingerprint, and buffers, which have none, but of which shards must have the same.
  private var readForFingerprint: [LogicalTensor] { tensors.filter { !$0.name.role.isBuffer || $0.parts.count > 1 } }
}

extension CheckpointFingerprint {
  /// From the digests of the tensors that a checkpoint holds: a tied output projection is the embedding table.
  package init(stored digests: [String: Digest]) {
    var digests = digests
    let (embedding, output) = (TensorName(.tokEmbeddings).text, TensorName(.output).text)
    if digests[output] == nil { digests[output] = digests[embedding] }
    self.init(tensors: digests)
  }
}

extension LogicalTensor {
  /// Bytes of the whole.
  fileprivate var byteCount: Int { rows * dtype.byteCount(columns) }
}
