import Catalog
import Integrity
import SystemPackage
import Transfer

/// The download of one or several releases over a signed link, with a receipt in the folder of each.
public struct ReleaseDownload: Sendable {
  public let request: TransferRequest
  private let releases: [(release: Release, follower: ReleaseFollower)]

  /// Room for the zip directory of the largest shards, where each tensor takes about a hundred bytes.
  private static let directoryBytes = 1 << 20

  /// - Parameter request: how to download; its files are set here.
  /// - Throws: `.sharedPath` where two releases would overwrite each other's files.
  public init(_ releases: [Release], _ request: TransferRequest) throws(ArrivalError) {
    var request = request
    request.files = []
    for file in releases.flatMap(\.files) {
      if let other = request.files.first(where: { $0.path == file.path }) {
        guard other.remote == file.remote else { throw .sharedPath(file.path) }
        continue
      }
      request.files.append(.init(path: file.path, remote: file.remote, isOptional: file.isOptional, directoryBytes: file.path.hasSuffix(".pth") ? Self.directoryBytes : 0))
    }
    self.request = request
    self.releases = releases.map { ($0, ReleaseFollower($0)) }
  }

  /// What makes the fingerprints of the weights while they arrive, for `Download`.
  public var followers: [String: any ContentFollower] {
    releases.reduce(into: [:]) { all, one in all.merge(one.follower.followers) { first, _ in first } }
  }

  /// The receipts that are due when the download has ended: one for each release that is here, whatever became of others.
  /// - Parameters:
  ///   - tool: the program and its version.
  ///   - options: what the download was told, but for the link and for what names places on this machine.
  public func receipts(_ report: TransferReport, tool: String, options: [String: String]) -> [DownloadReceipt] {
    let here = Set(report.files.map(\.path))
    return releases.compactMap { release, follower in
      guard release.files.allSatisfy({ $0.isOptional || here.contains($0.path) }) else { return nil }
      let folder = FilePath(release.folder)
      let wanted = Set(release.files.map(\.path))
      let files = report.files.compactMap { file -> Receipt.File? in
        var path = FilePath(file.path)
        guard wanted.contains(file.path), path.removePrefix(folder) else { return nil }
        return .init(path: path, bytes: file.bytes, md5: file.digest.ofKind(.md5), sha256: file.digest.ofKind(.sha256))
      }
      guard !files.isEmpty else { return nil }
      let followed = Set(report.files.filter(\.isFollowed).map(\.path))
      return DownloadReceipt(
        name: release.folder.isEmpty ? release.id : release.folder, folder: request.folder.appending(release.folder),
        receipt: Receipt(tool: tool, operation: "download", origin: .release(release.id), options: options, files: files), follower: follower,
        followed: release.checkpointFiles.compactMapValues { followed.contains($0.path) ? $0.path : nil })
    }
  }
}

extension ChainedDigest {
  fileprivate func ofKind(_ algorithm: HashAlgorithm) -> ChainedDigest? { digest.algorithm == algorithm ? self : nil }
}
