import Catalog
import Checkpoint
import SystemPackage
import Transfer

extension RemoteFile: RangeSource {}

/// What a checkpoint on a server holds, from its headers: only these are fetched.
public struct RemoteCheckpoint: Sendable {
  public private(set) var contents: Inspection
  /// Bytes of content that came, and requests that it took.
  public let fetchedBytes: Int
  public let requests: Int

  /// A whole release behind a signed link.
  /// - Parameters:
  ///   - authorities: a PEM file of certificate authorities to trust in place of the system's.
  /// - Throws: `TransferError`, or `CheckpointError` where what came can't be read.
  public init(_ release: Release, _ link: SignedLink, authorities: FilePath? = nil, retry: RetryPolicy = RetryPolicy()) throws {
    let session = try RemoteSession(to: link, authorities: authorities, retry: retry)
    let files = release.checkpointFiles
    let contents = try Inspection.read(folder: FilePath(release.folder), names: Array(files.keys), .init(keyValueHeads: release.shape?.kvHeads)) { name in
      guard let file = files[name] else { throw ArrivalError.noSuchFile(name, of: release.id) }
      return try RemoteFile(link, file.remote, as: file.path, session: session)
    }
    self.init(contents, session)
    // What comes along with a download.
    switch self.contents {
    case .llama(var outline):
      (outline.legal, outline.licence) = (release.legalFiles, release.license)
      self.contents = .llama(outline)
    case .other(var listing):
      (listing.legal, listing.licence) = (release.legalFiles, release.license)
      self.contents = .other(listing)
    }
  }

  /// One file, and the file that describes it (`params.json` or `config.json`) if that lies openly beside it.
  public init(_ file: SignedLink.OneFile, authorities: FilePath? = nil, retry: RetryPolicy = RetryPolicy()) throws {
    let session = try RemoteSession(to: file.link, authorities: authorities, retry: retry)
    let name = file.name ?? "the file"
    let outline = try CheckpointOutline.read(file: RemoteFile(file.link, as: name, session: session), name: FilePath(name)) { name in
      guard let siblings = file.siblings else { return nil }
      do throws(TransferError) {
        return try RemoteFile(siblings, name, as: name, session: session)
      } catch .missing, .refused, .html {
        return nil
      }
    }
    self.init(.llama(outline), session)
  }

  private init(_ contents: Inspection, _ session: RemoteSession) {
    self.contents = contents
    fetchedBytes = session.fetchedBytes
    requests = session.requests
  }
}
