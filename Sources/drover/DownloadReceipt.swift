import ArgumentParser
import Catalog
import Checkpoint
import Integrity
import Platform
import Synchronization
import SystemPackage
import Terminal
import Transfer

/// The receipts of a download, one in the folder of each release: the last stage, when all files are here and verified.
struct DownloadReceipts {
  let releases: [(Release, FingerprintFollower)]
  let report: TransferReport
  let output: FilePath
  /// What the download was told, but for the link and for what names places on this machine.
  let options: [String: String]
  let global: GlobalOptions

  func write() throws {
    let display = ProgressDisplay("fingerprint", mode: global.progressMode)
    defer { display.close() }
    let isStopped = StopFlag()
    Interruption.onSignal { isStopped.raise() }
    for (release, follower) in releases {
      guard let receipt = receipt(of: release) else { continue }
      let name = release.folder.isEmpty ? release.id : release.folder
      let item = display.add(name, total: nil)
      // What was hashed while it arrived counts as done.
      var hashed = 0
      let arrived = follower.fingerprint(
        progress: { done, total in
          hashed = total
          display.update(item, done: done, total: total)
        }, isCancelled: { isStopped.isRaised })
      if arrived == nil { hashed = 0 }
      let done = Atomic(hashed)
      var missing = 0
      do {
        let completion = try receipt.complete(
          in: output.appending(release.folder), arrived: arrived,
          willRead: { bytes in
            missing = bytes
            display.update(item, done: hashed, total: hashed + bytes)
          }, progress: { display.update(item, done: done.add($0, ordering: .relaxed).newValue) }, isCancelled: { isStopped.isRaised })
        switch completion {
        case .present: display.finish(item, "receipt is here already")
        case .written: display.finish(item, missing > 0 ? "receipt written, \(Format.bytes(missing)) read again for it" : "receipt written")
        case .writtenWithoutFingerprint(let error):
          display.finish(item, "receipt written, without fingerprint")
          if !global.quiet { Console.note("note: the receipt of \(name) has no fingerprint: \(error)") }
        }
      } catch let error as CheckpointError where error.reason == .cancelled {
        throw CommandError(.interrupted, "interrupted: all files are here and verified; the same command again writes the receipt")
      }
    }
  }

  /// nil when nothing came into the release's folder.
  private func receipt(of release: Release) -> Receipt? {
    let folder = FilePath(release.folder)
    let wanted = Set(release.files.map(\.path))
    let files = report.files.compactMap { file -> Receipt.File? in
      var path = FilePath(file.path)
      guard wanted.contains(file.path), path.removePrefix(folder), let md5 = Digest(hex: file.md5) else { return nil }
      return .init(path: path, bytes: file.bytes, md5: md5, sha256: file.sha256.flatMap { Digest(hex: $0) })
    }
    guard !files.isEmpty else { return nil }
    return Receipt(tool: Drover.configuration.version, operation: "download", origin: .release(release.id), options: options, files: files)
  }
}
