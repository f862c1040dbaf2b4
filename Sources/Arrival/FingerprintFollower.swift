import Catalog
import Checkpoint
import Integrity
import Platform
import Synchronization
import SystemPackage
import Transfer

extension ArrivingFile: ArrivingSource {}

/// Makes the fingerprint of a release while the release arrives, so that nothing has to be read a second time.
///
/// It follows only weights of which nothing was here before: what an earlier run has left isn't read before the download is over.
final class FingerprintFollower: Sendable {
  private let release: Release
  private let outcome = Mutex<Outcome>(.none)
  private let files = Mutex<[ArrivingFile]>([])
  private let done = Atomic(0)
  private let total = Atomic(0)
  private let isStopped = StopFlag()

  private enum Outcome {
    case none
    case pending
    case ended(ArrivingFingerprint?)
  }

  init(_ release: Release) { self.release = release }

  func start(_ download: Download) {
    outcome.withLock { $0 = .pending }
    let isStarted = Workers.detach { [self] in
      let fingerprint = try? ArrivingFingerprint(
        folder: FilePath(release.folder), names: Array(release.checkpointFiles.keys), open: { try self.open($0, download) },
        willRead: { self.total.store($0, ordering: .relaxed) }, progress: { self.done.add($0, ordering: .relaxed) }, isCancelled: { self.isStopped.isRaised })
      outcome.withLock { $0 = .ended(fingerprint) }
    }
    if !isStarted { outcome.withLock { $0 = .none } }
  }

  private func open(_ name: String, _ download: Download) throws -> ArrivingFile {
    guard let path = release.checkpointFiles[name]?.path, let file = ArrivingFile(path, of: download), file.isNew || !Checkpoint.hasWeights(FilePath(name)) else {
      throw ArrivalError.noSuchFile(name, of: release.id)
    }
    files.withLock { $0.append(file) }
    return file
  }

  /// Waits for what is still to be hashed when the download has ended well.
  ///
  /// - Parameters:
  ///   - progress: called now and then with the bytes that were hashed, and how many there are.
  ///   - isCancelled: asked now and then.
  /// - Returns: nil when there is no fingerprint of the very bytes that were verified.
  func fingerprint(progress: (_ done: Int, _ total: Int) -> Void, isCancelled: () -> Bool) -> ArrivingFingerprint? {
    while true {
      progress(done.load(ordering: .relaxed), total.load(ordering: .relaxed))
      switch outcome.withLock({ $0 }) {
      case .none: return nil
      case .ended(let fingerprint): return files.withLock { $0.allSatisfy(\.isSound) } ? fingerprint : nil
      case .pending: break
      }
      if isCancelled() {
        isStopped.raise()
        return nil
      }
      pause(seconds: 0.005)
    }
  }
}
