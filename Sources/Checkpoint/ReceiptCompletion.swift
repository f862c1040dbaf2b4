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

  /// Writes this receipt into the folder of its files, with the fingerprint of the weights among them.
  ///
  /// A fingerprint runs through all shards of a tensor in order, so it can't be had from shards that arrive in any order: the files are read once
  /// more, out of the page cache where they are still in it. A fingerprint that an earlier receipt of the same files has isn't computed again.
  ///
  /// - Parameters:
  ///   - folder: where the files lie, all of them verified.
  ///   - willRead: called before weights are read, with the number of their bytes.
  ///   - progress: called on any thread with the number of bytes read since its last call.
  ///   - isCancelled: asked now and then.
  /// - Throws: `ReceiptError` when it can't be written; `CheckpointError` with `.cancelled`, and then nothing was written.
  public func complete(
    in folder: FilePath, willRead: (_ bytes: Int) -> Void = { _ in }, progress: @escaping @Sendable (_ bytes: Int) -> Void = { _ in },
    isCancelled: @escaping @Sendable () -> Bool = { false }
  ) throws -> Completion {
    let before = try? Receipt(contentsOf: folder.appending(Self.fileName))
    if let before, before.files == files, before.origin == origin, before.fingerprint != nil || !hasWeights { return .present }
    var receipt = self
    var failure: CheckpointError?
    if let before, before.fingerprint != nil, before.isOf(files) {
      receipt.fingerprint = before.fingerprint
    } else if hasWeights {
      do throws(CheckpointError) {
        let checkpoint = try Checkpoint.open(at: folder.isEmpty ? "." : folder)
        try checkNames(of: checkpoint)
        willRead(checkpoint.fingerprintBytes)
        receipt.fingerprint = try checkpoint.fingerprint(progress: progress, isCancelled: isCancelled)
      } catch {
        if error.reason == .cancelled { throw error }
        failure = error
      }
    }
    try receipt.write(into: folder)
    return failure.map { .writtenWithoutFingerprint($0) } ?? .written
  }

  private var hasWeights: Bool { files.contains { ["pth", "safetensors", "gguf"].contains($0.path.extension) } }

  /// Whether it names `files`, with no other digest than they have.
  private func isOf(_ files: [File]) -> Bool {
    func agree(_ a: Digest?, _ b: Digest?) -> Bool { a == nil || b == nil || a == b }
    let named = Dictionary(self.files.map { ($0.path, $0) }) { first, _ in first }
    return self.files.count == files.count && files.allSatisfy { file in
      guard let other = named[file.path] else { return false }
      // One kind of digest at least has to be in both.
      let shares = file.md5 != nil && other.md5 != nil || file.sha256 != nil && other.sha256 != nil
      return shares && file.bytes == other.bytes && agree(file.md5, other.md5) && agree(file.sha256, other.sha256)
    }
  }

  /// A fingerprint must be of the files that the receipt vouches for, not of others that lie beside them.
  private func checkNames(of checkpoint: Checkpoint) throws(CheckpointError) {
    let named = Set(files.compactMap(\.path.lastComponent))
    for file in checkpoint.files where !(file.path.lastComponent.map(named.contains) ?? false) {
      throw CheckpointError(.refused, in: file.path, "belongs to the checkpoint in its folder, but is none of the files that were fetched")
    }
  }
}
