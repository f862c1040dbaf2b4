import Integrity
import Platform
import SystemPackage

/// The fingerprint of a checkpoint that was read while it arrived, before anyone knew whether the checkpoint is sound.
public struct ArrivingFingerprint: Sendable {
  let fingerprint: CheckpointFingerprint
  /// What was hashed, and where it lay.
  private let tensors: [LogicalTensor]

  /// A few hash as much as any network brings; the others would only wait.
  private static let mostThreads = 8

  /// Hashes each tensor as soon as all shards have it, while its bytes are in the page cache. Returns when the last one has come.
  ///
  /// - Parameters:
  ///   - folder: what messages call it.
  ///   - names: files in it, as a folder of this machine would have them.
  ///   - open: opens one of them, however little of it is here.
  ///   - willRead: called before weights are read, with the number of bytes.
  ///   - progress: called on any thread with the number of bytes read since its last call.
  ///   - isCancelled: asked now and then.
  /// - Throws: what `open` or its sources throw, or `CheckpointError`.
  public init(
    folder: FilePath, names: [String], open: @escaping (String) throws -> any ArrivingSource, willRead: (_ bytes: Int) -> Void,
    progress: @escaping @Sendable (_ bytes: Int) -> Void, isCancelled: @escaping @Sendable () -> Bool
  ) throws {
    do throws(CheckpointError) {
      let checkpoint = try Checkpoint.open(CheckpointFolder(path: folder, names: names.sorted()) { path throws(CheckpointError) in
        do { return IncomingFile(try open(path.lastComponent?.string ?? ""), path: path) } catch {
          throw CheckpointError(.io, in: path, "can't be read while it arrives: \(error)", cause: error)
        }
      })
      willRead(checkpoint.fingerprintBytes)
      // In the order of the files, which is that of their arrival.
      let work = checkpoint.fingerprinted.sorted { $0.place < $1.place }
      fingerprint = try checkpoint.fingerprint(of: work, threads: min(Workers.available, Self.mostThreads), progress: progress, isCancelled: isCancelled)
      try checkpoint.checkExpectations()
      tensors = checkpoint.tensors
    } catch { throw error.cause ?? error }
  }

  /// The fingerprint, if it is that of `checkpoint`: of the same tensors in the same places.
  ///
  /// A partial file's headers are checked less strictly than a whole one's, and of copies only one was read: here they are compared.
  func fingerprint(of checkpoint: Checkpoint) throws(CheckpointError) -> CheckpointFingerprint? {
    guard checkpoint.tensors == tensors else { return nil }
    return fingerprint
  }
}

extension LogicalTensor {
  /// Where it begins.
  fileprivate var place: (file: Int, byte: Int) { parts.first.map { ($0.file, $0.offset) } ?? (0, 0) }
}
