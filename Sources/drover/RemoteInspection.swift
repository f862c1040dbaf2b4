import Catalog
import Checkpoint
import SystemPackage
import Transfer

extension RemoteFile: RangeSource {}

/// Looks at checkpoints that are on a server, and counts what it took.
struct RemoteInspection {
  let outline: CheckpointOutline
  let fetchedBytes: Int
  let requests: Int

  /// A whole release behind a signed link.
  init(_ release: Release, _ link: SignedLink, authorities: String?, retries: Int) throws {
    let session = try RemoteSession(origin: link.origin, authorities: authorities, retry: RetryPolicy(limit: retries))
    let files = release.checkpointFiles
    let outline = try CheckpointOutline.read(folder: FilePath(release.folder), names: Array(files.keys)) { name in
      guard let file = files[name] else { throw CommandError(.noInput, "\(release.id) has no file \(name)") }
      return try RemoteFile(link, file.remote, as: file.path, session: session)
    }
    self.init(outline, session)
  }

  /// One file, and what describes it if that lies openly beside it.
  init(_ file: SignedLink.OneFile, authorities: String?, retries: Int) throws {
    let session = try RemoteSession(origin: file.link.origin, authorities: authorities, retry: RetryPolicy(limit: retries))
    let name = file.name ?? "the file"
    let outline = try CheckpointOutline.read(file: RemoteFile(file.link, as: name, session: session), name: FilePath(name)) { name in
      guard let siblings = file.siblings else { return nil }
      do throws(TransferError) {
        return try RemoteFile(siblings, name, as: name, session: session)
      } catch .missing, .refused, .html {
        return nil
      }
    }
    self.init(outline, session)
  }

  private init(_ outline: CheckpointOutline, _ session: RemoteSession) {
    self.outline = outline
    fetchedBytes = session.fetchedBytes
    requests = session.requests
  }
}
