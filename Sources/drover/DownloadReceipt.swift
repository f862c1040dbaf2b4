import ArgumentParser
import Catalog
import Integrity
import SystemPackage
import Transfer

extension Receipt {
  /// What a download brought into the folder of `release`; nil when that is nothing.
  init?(_ release: Release, _ report: TransferReport) {
    let folder = FilePath(release.folder)
    let wanted = Set(release.files.map(\.path))
    let files = report.files.compactMap { file -> File? in
      var path = FilePath(file.path)
      guard wanted.contains(file.path), path.removePrefix(folder), let md5 = Digest(hex: file.md5) else { return nil }
      return File(path: path, bytes: file.bytes, md5: md5)
    }
    guard !files.isEmpty else { return nil }
    self.init(tool: Drover.configuration.version, operation: "download", origin: .release(release.id), files: files)
  }

  /// Writes one into the folder of each release, below `output`.
  static func write(for releases: [Release], _ report: TransferReport, output: FilePath) throws(ReceiptError) {
    for release in releases { try Receipt(release, report)?.write(into: output.appending(release.folder)) }
  }
}
