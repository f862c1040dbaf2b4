import Platform
import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// A repository in the cache that huggingface_hub keeps, a folder such as `models--ORG--NAME`.
///
/// `blobs` has each content once, called by its SHA-256 or git's name for it; `snapshots/COMMIT` has links to them under the files' own names; `refs` says
/// at which commit a branch was when it was last asked for (huggingface_hub's guide "Understand caching").
public struct CachedRepository: Sendable {
  public let path: FilePath

  public init(path: FilePath) { self.path = path }

  /// - Parameters:
  ///   - repository: `ORG/NAME`.
  ///   - cache: the folder of all of them.
  public init(_ repository: String, in cache: FilePath) { path = cache.appending("models--" + repository.replacing("/", with: "--")) }

  /// - Returns: nil for a folder that isn't one.
  public init?(at path: FilePath) {
    guard let name = path.lastComponent?.string, ["models--", "datasets--", "spaces--", "kernels--"].contains(where: { name.hasPrefix($0) }),
      ["snapshots", "blobs"].contains(where: { (try? Directory.kind(of: path.appending($0))) == .folder })
    else { return nil }
    self.path = path
  }

  /// What it is called on the hub, `ORG/NAME`; nil for what isn't a model.
  public var name: String? {
    guard let name = path.lastComponent?.string, name.hasPrefix("models--") else { return nil }
    return String(name.dropFirst("models--".count)).replacing("--", with: "/")
  }

  public var blobs: FilePath { path.appending("blobs") }
  public func blob(_ digest: PublishedDigest) -> FilePath { blobs.appending(digest.hex) }
  public func snapshot(_ commit: String) -> FilePath { path.appending("snapshots").appending(commit) }
  public func ref(_ revision: String) -> FilePath { FilePath(path.appending("refs").string + "/" + revision) }

  public static func isCommit(_ text: some StringProtocol) -> Bool { text.utf8.count == 40 && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) } }

  /// The commits that something is here of, in order.
  public var commits: [String] {
    let names = (try? Directory.names(in: path.appending("snapshots"))) ?? []
    return names.map(\.string).filter { Self.isCommit($0) && (try? Directory.kind(of: snapshot($0))) == .folder }
  }

  /// At which commit a branch or a tag was, when it was last asked for; of a commit itself.
  /// - Returns: nil where the cache doesn't know, or has nothing of that commit.
  public func commit(of revision: String) -> String? {
    let commit = Self.isCommit(revision) ? revision : recorded(revision)
    return commit.flatMap { (try? Directory.kind(of: snapshot($0))) == .folder ? $0 : nil }
  }

  private func recorded(_ revision: String) -> String? {
    guard let bytes = try? SmallFile.read(ref(revision), atMost: 4096) else { return nil }
    let text = String(decoding: bytes, as: UTF8.self).filter { !$0.isWhitespace }
    return Self.isCommit(text) ? text : nil
  }

  // MARK: Snapshots

  /// A name in a snapshot, and what it leads to.
  public struct Entry: Sendable {
    public enum Content: Sendable, Equatable {
      /// A blob of the repository's own. Whether it is there is another question.
      case blob(PublishedDigest)
      /// The file itself, as on file systems without links: only a list can tell what it should be.
      case file
      /// Somewhere else. Nobody should follow it.
      case elsewhere(FilePath)
    }

    /// In the repository.
    public let name: String
    /// In the cache.
    public let path: FilePath
    public let content: Content
  }

  /// What a snapshot has, in the order of its names, folders after files.
  /// - Throws: where it can't be read.
  public func entries(of commit: String) throws(VerificationError) -> [Entry] {
    var entries: [Entry] = []
    try collect(snapshot(commit), "", depth: 2, &entries)
    return entries
  }

  private func collect(_ folder: FilePath, _ prefix: String, depth: Int, _ entries: inout [Entry]) throws(VerificationError) {
    var folders: [(FilePath, String)] = []
    do throws(Errno) {
      let open = try OpenFolder(folder)
      for name in try open.names().sorted(by: { $0.string < $1.string }) {
        let path = folder.appending(name)
        switch try open.status(of: name).type {
        case .symbolicLink: entries.append(Entry(name: prefix + name.string, path: path, content: try content(of: path, depth: depth)))
        case .directory: folders.append((path, prefix + name.string + "/"))
        default: entries.append(Entry(name: prefix + name.string, path: path, content: .file))
        }
      }
    } catch { throw .unreadable(folder, error) }
    // As deep as paths go.
    guard depth < 200 else { throw .unreadable(folder, .fileNameTooLong) }
    for (path, prefix) in folders { try collect(path, prefix, depth: depth + 1, &entries) }
  }

  /// - Parameter depth: folders between the link and the repository's.
  private func content(of link: FilePath, depth: Int) throws(Errno) -> Entry.Content {
    let target = try Self.target(of: link)
    let name: FilePath.Component?
    if target.isAbsolute {
      name = target.removingLastComponent().lexicallyNormalized() == Self.absolute(blobs) ? target.lastComponent : nil
    } else {
      // As the hub's tools write it: `../../blobs/NAME`.
      let parts = Array(target.components)
      let isInBlobs = parts.count == depth + 2 && parts.prefix(depth).allSatisfy { $0.kind == .parentDirectory } && parts[depth].string == "blobs"
      name = isInBlobs ? parts.last : nil
    }
    guard let name, name.kind == .regular, let digest = PublishedDigest(blobName: name.string) else { return .elsewhere(target) }
    if let strayed = try strayedTarget(ofBlob: blobs.appending(name)) { return .elsewhere(strayed) }
    return .blob(digest)
  }

  /// Where a blob leads that is a link itself. huggingface_hub shares contents between repositories: such a blob leads to `blobs/XX/NAME` in the cache, a
  /// regular file (its `_shared_blobs.py`).
  /// - Returns: nil for a regular file, for one that isn't there, and for one that is shared so.
  func strayedTarget(ofBlob blob: FilePath) throws(Errno) -> FilePath? {
    var status = stat()
    guard blob.withPlatformString({ lstat($0, &status) }) == 0, status.st_mode & S_IFMT == S_IFLNK else { return nil }
    let target = try Self.target(of: blob)
    let parts = target.components.map(\.string)
    guard target.isRelative, parts.count == 5, parts[0] == "..", parts[1] == "..", parts[2] == "blobs", PublishedDigest(blobName: parts[4]) != nil, parts[4].utf8.count == 64,
      parts[3] == parts[4].prefix(2)
    else { return target }
    let shared = path.removingLastComponent().appending("blobs").appending(parts[3]).appending(parts[4])
    guard shared.withPlatformString({ lstat($0, &status) }) == 0, status.st_mode & S_IFMT == S_IFREG else { return target }
    return nil
  }

  private static func target(of link: FilePath) throws(Errno) -> FilePath {
    var bytes = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
    guard link.withPlatformString({ readlink($0, &bytes, Int(PATH_MAX)) }) >= 0 else { throw Errno(rawValue: errno) }
    return bytes.withUnsafeBufferPointer { $0.baseAddress.map { FilePath(platformString: $0) } } ?? FilePath()
  }

  private static func absolute(_ path: FilePath) -> FilePath {
    if path.isAbsolute { return path.lexicallyNormalized() }
    var bytes = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
    guard getcwd(&bytes, Int(PATH_MAX)) != nil else { return path }
    let folder = bytes.withUnsafeBufferPointer { $0.baseAddress.map { FilePath(platformString: $0) } } ?? FilePath()
    return folder.appending(path.components).lexicallyNormalized()
  }
}
