import Checkpoint
import Integrity
import Platform
import Synchronization
import SystemPackage
import Transfer

/// The receipt of a release that was downloaded, not yet written: all its files are here and verified.
public struct DownloadReceipt: Sendable {
  /// What messages call it: the release's folder, or its id.
  public let name: String
  let folder: FilePath
  /// Without a fingerprint.
  let receipt: Receipt
  /// Whether it is of one file that came by itself: then what a receipt says of others like it stays, and no other kind of receipt is replaced.
  let isLoneFile: Bool
  let follower: ReleaseFollower
  /// The files whose bytes the follower has all seen: their paths in the download, by their names in the folder.
  let followed: [String: String]

  package init(name: String, folder: FilePath, receipt: Receipt, isLoneFile: Bool = false, follower: ReleaseFollower, followed: [String: String]) {
    (self.name, self.folder, self.receipt, self.isLoneFile, self.follower, self.followed) = (name, folder, receipt, isLoneFile, follower, followed)
  }

  /// What came of `write`.
  public enum Outcome: Sendable, Equatable {
    /// The receipt that lay in the folder is of the same files; it stays as it is.
    case present
    /// - Parameter bytesRead: of weights that couldn't be followed while they arrived.
    case written(bytesRead: Int)
    /// What lies in the folder is the receipt of something else, which stays.
    case ofAnother
    /// Written without a fingerprint: the files look like weights, but can't be read as a checkpoint.
    case writtenWithoutFingerprint(CheckpointError)
  }

  /// Writes the receipt into the release's folder, with the fingerprint of the weights. What couldn't be followed is read for it.
  ///
  /// - Parameters:
  ///   - progress: called on any thread with the bytes that have been read, and how many there are to read.
  ///   - isCancelled: asked now and then.
  /// - Throws: `ArrivalError.receiptsInterrupted`; `ReceiptError` when it can't be written. Then nothing was written.
  public func write(progress: @escaping @Sendable (_ done: Int, _ total: Int) -> Void, isCancelled: @escaping @Sendable () -> Bool) throws -> Outcome {
    var receipt = receipt
    let existing = try? Receipt(contentsOf: folder.appending(Receipt.fileName))
    if isLoneFile, let existing, !receipt.takeOver(existing, in: folder) {
      forgetJournals()
      return .ofAnother
    }
    // Files that came each by itself are no model together.
    let weights = receipt.files.filter { Checkpoint.hasWeights($0.path) }
    let hasWeights = isLoneFile ? weights.count == 1 && receipt.files.count == 1 && weights[0].path.extension == "gguf" : !weights.isEmpty
    let before = existing.flatMap { $0.files == receipt.files ? $0 : nil }
    if let before, before.origin == receipt.origin, before.fingerprint != nil || !hasWeights {
      forgetJournals()
      return .present
    }
    var outcome = Outcome.written(bytesRead: 0)
    if let fingerprint = before?.fingerprint {
      receipt.fingerprint = fingerprint
    } else if hasWeights {
      do throws(CheckpointError) {
        let (fingerprint, bytesRead) = try fingerprint(progress, isCancelled)
        receipt.fingerprint = fingerprint
        outcome = .written(bytesRead: bytesRead)
      } catch {
        if error.reason == .cancelled { throw ArrivalError.receiptsInterrupted }
        outcome = .writtenWithoutFingerprint(error)
      }
    }
    try receipt.write(into: folder)
    forgetJournals()
    return outcome
  }

  /// The receipt says now what the finished files' journals said.
  private func forgetJournals() {
    for file in receipt.files where file.bytes > FinishedFile.leastBytes { FinishedFile.forgetJournal(of: folder.appending(file.path.components)) }
  }

  private func fingerprint(
    _ progress: @escaping @Sendable (_ done: Int, _ total: Int) -> Void, _ isCancelled: @escaping @Sendable () -> Bool
  ) throws(CheckpointError) -> (CheckpointFingerprint, bytesRead: Int) {
    let checkpoint = try openWeights()
    var (digests, missing) = try follower.join(checkpoint, paths: checkpoint.files.map { $0.path.lastComponent.flatMap { followed[$0.string] } })
    guard !missing.isEmpty else { return (CheckpointFingerprint(stored: digests), 0) }
    let rest = Checkpoint(
      format: checkpoint.format, modelParallel: checkpoint.modelParallel, params: checkpoint.params, tensors: missing, files: checkpoint.files,
      companions: checkpoint.companions)
    let done = Atomic(0)
    let total = rest.fingerprintBytes
    progress(0, total)
    let read = try rest.fingerprint(progress: { progress(done.add($0, ordering: .relaxed).newValue, total) }, isCancelled: isCancelled)
    digests.merge(read.tensors) { followed, _ in followed }
    return (CheckpointFingerprint(stored: digests), total)
  }

  private func openWeights() throws(CheckpointError) -> Checkpoint {
    let place = isLoneFile ? receipt.files.first.map { folder.appending($0.path.components) } ?? folder : folder
    let checkpoint = try Checkpoint.open(at: place.isEmpty ? "." : place, .init(keyValueHeads: follower.keyValueHeads))
    // A fingerprint must be of the files that the receipt vouches for, not of others that lie beside them.
    let named = Set(receipt.files.compactMap(\.path.lastComponent))
    for file in checkpoint.files where !(file.path.lastComponent.map(named.contains) ?? false) {
      throw CheckpointError(.refused, in: file.path, "belongs to the checkpoint in its folder, but is none of the files of the receipt")
    }
    return checkpoint
  }
}

extension Receipt {
  /// Takes over what an earlier receipt says of other files that came each by itself and are still here.
  /// - Returns: whether it is of that kind.
  fileprivate mutating func takeOver(_ earlier: Receipt, in folder: FilePath) -> Bool {
    guard case .hosts(let before) = earlier.origin, case .hosts(let now) = origin else { return false }
    let others = earlier.files.filter { file in !files.contains { $0.path == file.path } && Directory.exists(folder.appending(file.path.components)) }
    guard !others.isEmpty else { return true }
    files = (files + others).sorted { $0.path.string < $1.path.string }
    origin = .hosts(Array(Set(before + now)).sorted())
    return true
  }
}
