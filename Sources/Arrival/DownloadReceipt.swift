import Checkpoint
import Integrity
import Synchronization
import SystemPackage

/// The receipt of a release that was downloaded, not yet written: all its files are here and verified.
public struct DownloadReceipt: Sendable {
  /// What messages call it: the release's folder, or its id.
  public let name: String
  let folder: FilePath
  let receipt: Receipt
  let follower: FingerprintFollower

  /// What came of `write`.
  public struct Outcome: Sendable {
    public let completion: Receipt.Completion
    /// Bytes that were read from disk for it, because they weren't hashed while they arrived.
    public let bytesRead: Int
  }

  /// Writes the receipt into the release's folder, once the fingerprint of what arrived is complete.
  ///
  /// - Parameters:
  ///   - progress: called on any thread with the bytes that have been hashed, while they arrived or since, and how many there are.
  ///   - isCancelled: asked now and then.
  /// - Throws: `ArrivalError.receiptsInterrupted`; `ReceiptError` when it can't be written; `CheckpointError` when a file can't be read.
  public func write(
    progress: @escaping @Sendable (_ done: Int, _ total: Int) -> Void, isCancelled: @escaping @Sendable () -> Bool
  ) throws -> Outcome {
    var hashed = 0
    let arrived = follower.fingerprint(
      progress: { done, total in
        hashed = total
        progress(done, total)
      }, isCancelled: isCancelled)
    if arrived == nil { hashed = 0 }
    let done = Atomic(hashed)
    let total = Atomic(hashed)
    do {
      let completion = try receipt.complete(
        in: folder, arrived: arrived,
        willRead: { bytes in
          total.add(bytes, ordering: .relaxed)
          progress(done.load(ordering: .relaxed), total.load(ordering: .relaxed))
        }, progress: { progress(done.add($0, ordering: .relaxed).newValue, total.load(ordering: .relaxed)) }, isCancelled: isCancelled)
      return Outcome(completion: completion, bytesRead: total.load(ordering: .relaxed) - hashed)
    } catch let error as CheckpointError where error.reason == .cancelled {
      throw ArrivalError.receiptsInterrupted
    }
  }
}
