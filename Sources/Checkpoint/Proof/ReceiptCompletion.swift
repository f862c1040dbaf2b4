import Integrity
import SystemPackage

extension Receipt {
  /// What came of `complete`.
  public enum Completion: Sendable, Equatable {
    /// The receipt that lay in the folder is of the same files; it stays as it is.
    case present
    case written
    /// Written without a fingerprint: the files look like weights, but can't be read as a checkpoint.
    case writtenWithoutFingerprint(CheckpointError)
  }

  /// Writes this receipt into the folder of its files, with the fingerprint of the weights among them, if it lacks that.
  ///
  /// What an earlier receipt of the same files has isn't computed again, nor what was computed while the files arrived.
  ///
  /// - Parameters:
  ///   - folder: where the files lie, all of them verified.
  ///   - arrived: made of the very bytes that were verified.
  ///   - willRead: called before anything is read, with the number of bytes.
  ///   - progress: called on any thread with the number of bytes read since its last call.
  ///   - isCancelled: asked now and then.
  /// - Throws: `ReceiptError` when it can't be written; `CheckpointError` when a file can't be read, or with `.cancelled`. Then nothing was written.
  public func complete(
    in folder: FilePath, arrived: ArrivingFingerprint? = nil, willRead: (_ bytes: Int) -> Void = { _ in }, progress: @escaping @Sendable (_ bytes: Int) -> Void = { _ in },
    isCancelled: @escaping @Sendable () -> Bool = { false }
  ) throws -> Completion {
    var receipt = self
    var hasFingerprint = false
    if let before = try? Receipt(contentsOf: folder.appending(Self.fileName)), let files = before.completed(files) {
      receipt.files = files
      receipt.fingerprint = before.fingerprint
      hasFingerprint = before.fingerprint != nil || !hasWeights
      if hasFingerprint, before.files == files, before.origin == origin { return .present }
    }
    var failure: CheckpointError?
    var checkpoint: Checkpoint?
    if !hasFingerprint, hasWeights {
      do throws(CheckpointError) { checkpoint = try openWeights(in: folder) } catch { failure = error }
    }
    do throws(CheckpointError) {
      if let known = checkpoint, let fingerprint = try arrived?.fingerprint(of: known) { (receipt.fingerprint, checkpoint) = (fingerprint, nil) }
    } catch { (failure, checkpoint) = (error, nil) }
    willRead(checkpoint?.fingerprintBytes ?? 0)
    do throws(CheckpointError) {
      if let checkpoint { receipt.fingerprint = try checkpoint.fingerprint(progress: progress, isCancelled: isCancelled) }
    } catch {
      if error.reason == .cancelled { throw error }
      failure = error
    }
    try receipt.write(into: folder)
    return failure.map { .writtenWithoutFingerprint($0) } ?? .written
  }

  private var hasWeights: Bool { files.contains { Checkpoint.hasWeights($0.path) } }

  /// `files` with the digests that this receipt adds to them; nil unless it is of the same files, with no other digest of any.
  private func completed(_ files: [File]) -> [File]? {
    let named = Dictionary(self.files.map { ($0.path, $0) }) { first, _ in first }
    guard self.files.count == files.count else { return nil }
    var completed: [File] = []
    for file in files {
      guard let known = named[file.path], known.bytes == file.bytes else { return nil }
      guard known.md5 == file.md5, known.sha256 == file.sha256 else { return nil }
      completed.append(known)
    }
    return completed
  }

  private func openWeights(in folder: FilePath) throws(CheckpointError) -> Checkpoint {
    let checkpoint = try Checkpoint.open(at: folder.isEmpty ? "." : folder)
    // A fingerprint must be of the files that the receipt vouches for, not of others that lie beside them.
    let named = Set(files.compactMap(\.path.lastComponent))
    for file in checkpoint.files where !(file.path.lastComponent.map(named.contains) ?? false) {
      throw CheckpointError(.refused, in: file.path, "belongs to the checkpoint in its folder, but is none of the files of the receipt")
    }
    return checkpoint
  }
}
