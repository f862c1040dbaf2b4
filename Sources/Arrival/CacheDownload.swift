import Catalog
import Glibc
import Integrity
import Platform
import SystemPackage
import Transfer

/// The download of a repository into the cache that the hub's own tools keep, so that they find it there and don't fetch it a second time.
///
/// Contents come first, each called by its digest: what is here already, whoever fetched it, isn't fetched again. The files' own names, which are links to
/// them, and the branch appear when all of them are here: whoever finds a snapshot of this finds all of it.
public struct CacheDownload: Sendable {
  public let request: TransferRequest
  private let repository: HubRepository
  private let files: [HubRepository.File]
  private let cached: CachedRepository
  private let cache: FilePath

  /// - Parameters:
  ///   - files: those that are wanted.
  ///   - cache: the folder of all repositories.
  ///   - request: how to download; its files and folder are set here.
  /// - Throws: `.unsafePath` for a file that must not be written.
  public init(_ repository: HubRepository, _ files: [HubRepository.File], in cache: FilePath, _ request: TransferRequest) throws(ArrivalError) {
    var request = request
    let cached = CachedRepository(repository.name.repository, in: cache)
    request.folder = cached.path
    request.files = []
    var places: Set<String> = []
    for file in files {
      let path = repository.name.name + "/" + file.path
      if let danger = Release.danger(ofPath: path) { throw .unsafePath(file.path, of: repository.name.description, why: danger) }
      // Not called `.incomplete`, as unfinished files of the hub's tools are: older ones would go on at the end of one, which here is as long as the file.
      let place = "blobs/" + file.digest.hex
      if places.insert(place).inserted { request.files.append(.init(path: path, place: place, remote: repository.remote(file.path), digest: file.digest)) }
    }
    (self.request, self.repository, self.files, self.cached, self.cache) = (request, repository, files, cached, cache)
  }

  /// The folder that has the files' names.
  public var snapshot: FilePath { cached.snapshot(repository.commit) }

  /// Where files lie under their names, relative to the cache, by what the request calls them: several where files have one content.
  public var names: [String: [String]] {
    let prefix = snapshot.components.suffix(3).map(\.string).joined(separator: "/") + "/"
    let byPlace = Dictionary(grouping: files, by: \.digest)
    return Dictionary(uniqueKeysWithValues: request.files.map { file in (file.path, (file.digest.flatMap { byPlace[$0] } ?? []).map { prefix + $0.path }) })
  }

  /// Looks whether all of it is here, where the hub isn't asked, and reads it on all cores.
  /// - Throws: `.damagedInCache`; `VerificationError.unreadable`; `.repairInterrupted`, where it was stopped.
  public func present(progress: @escaping @Sendable (_ file: Int, _ bytes: Int) -> Void, isCancelled: @escaping @Sendable () -> Bool) throws -> TransferReport {
    let start = steadySeconds()
    let jobs = request.files.map { FileHasher.Job(path: cached.path.appending($0.place ?? $0.path), algorithms: [.sha256]) }
    let outcomes = FileHasher().hash(jobs, progress: progress, isCancelled: isCancelled)
    var report = TransferReport()
    for ((file, job), outcome) in zip(zip(request.files, jobs), outcomes) {
      let hashed: FileHasher.Outcome
      do throws(Errno) { hashed = try outcome.get() } catch {
        if error == .canceled { throw ArrivalError.repairInterrupted }
        throw VerificationError.unreadable(job.path, error)
      }
      guard let chain = hashed.digests[.sha256] else { continue }
      var blob: GitBlobID?
      switch file.digest {
      case .hash(let digest)? where digest == chain.digest: break
      case .blob(let id)? where (try? GitBlobID(ofFileAt: job.path)) == id: blob = id
      default: throw ArrivalError.damagedInCache(job.path, name: repository.name.description)
      }
      report.files.append(.init(present: file.path, bytes: hashed.bytes, digest: chain, blob: blob))
    }
    report.bytes = report.files.reduce(0) { $0 + $1.bytes }
    report.seconds = steadySeconds() - start
    return report
  }

  /// Makes the files' names, now that all of them are here, and says at which commit the branch is.
  public func link() throws(ArrivalError) {
    for file in files { try link(file) }
    // A branch that was asked for by its commit has no other name.
    if repository.name.revision != repository.commit { try record() }
    tag()
    for file in request.files { FinishedFile.forgetJournal(of: cached.path.appending(file.place ?? file.path)) }
  }

  private func link(_ file: HubRepository.File) throws(ArrivalError) {
    let path = FilePath(snapshot.string + "/" + file.path)
    let depth = 2 + file.path.utf8.count { $0 == UInt8(ascii: "/") }
    let target = String(repeating: "../", count: depth) + "blobs/" + file.digest.hex
    do throws(Errno) {
      try path.removingLastComponent().makeFolders()
      // What has the name already, and is right, stays: on file systems without links the hub's tools put the file itself there.
      if try Self.holds(path, file.digest) { return }
      let new = SmallFile.temporary(for: path)
      new.remove()
      guard target.withCString({ target in new.withPlatformString { symlink(target, $0) } }) == 0 else { throw Errno(rawValue: errno) }
      do throws(Errno) { try new.rename(to: path) } catch {
        new.remove()
        throw error
      }
      try SmallFile.syncFolder(of: path)
    } catch {
      if error == .fileExists { throw .link(path, why: "another file has it; move that away") }
      throw .link(path, why: "\(error)")
    }
  }

  /// Whether a name leads to this content.
  /// - Throws: `.fileExists` where a file of somebody's own has the name.
  private static func holds(_ path: FilePath, _ digest: PublishedDigest) throws(Errno) -> Bool {
    var status = stat()
    guard path.withPlatformString({ lstat($0, &status) }) == 0 else { return false }
    if status.st_mode & S_IFMT == S_IFLNK {
      guard let real = path.withPlatformString({ realpath($0, nil) }) else { return false }
      defer { free(real) }
      return FilePath(platformString: real).lastComponent?.string == digest.hex
    }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .fileExists }
    let isRight =
      switch digest {
      case .hash(let digest): (try? FileHasher().hash([.init(path: path, algorithms: [digest.algorithm])]).first?.get())?.digests[digest.algorithm]?.digest == digest
      case .blob(let id): (try? GitBlobID(ofFileAt: path)) == id
      }
    guard isRight else { throw .fileExists }
    return true
  }

  /// The commit in `refs`, as huggingface_hub has it: nothing else is in the file.
  private func record() throws(ArrivalError) {
    let ref = cached.ref(repository.name.revision)
    do throws(Errno) {
      if let before = try? SmallFile.read(ref, atMost: 4096), before == Array(repository.commit.utf8) { return }
      try ref.removingLastComponent().makeFolders()
      try SmallFile.write(Array(repository.commit.utf8), to: ref)
    } catch { throw .link(ref, why: "\(error)") }
  }

  /// Programs that make backups leave folders out that have this file (bford.info/cachedir).
  private func tag() {
    let path = cache.appending("CACHEDIR.TAG")
    guard !Directory.exists(path) else { return }
    try? SmallFile.write(Array("Signature: 8a477f597d28d172789f06886806bc55\n# Models of Hugging Face's hub, which can be fetched again.\n".utf8), to: path)
  }
}
