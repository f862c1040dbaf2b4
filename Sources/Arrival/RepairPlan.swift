import Catalog
import Integrity
import Platform
import SystemPackage
import Transfer

/// What is damaged in a folder, by the model that it belongs to.
public struct RepairPlan: Sendable {
  /// A folder with a receipt or a checklist of its own, and what is damaged in it.
  public struct Model: Sendable {
    public let folder: FilePath
    /// Where its receipt says that it came from; nil without one.
    public let origin: Receipt.Origin?
    /// Whether drover wrote it, and didn't fetch it as it is.
    public let isMade: Bool
    /// What was done to make it, where drover made it.
    public let options: [String: String]
    public let files: [File]
    /// Where it lies in the hub's cache.
    let cached: CachedRepository?

    /// Forgets the journals of files that were repaired: their receipts say what they said.
    public func forgetJournals(_ report: TransferReport) {
      let root = cached?.path ?? folder
      for file in report.files { FinishedFile.forgetJournal(of: root.appending(files.first { $0.path.string == file.path }?.place ?? file.path)) }
    }
  }

  public struct File: Sendable {
    /// Relative to the model's folder.
    public let path: FilePath
    /// Where it lies in the hub's cache, relative to the repository's folder there, and what it is called by.
    var place: String?
    var stored: PublishedDigest?
    /// As it should be: its bytes and digests, where a receipt says so.
    var receipt: Receipt.File?
    var listed: Digest?
    var good = RangeSet<Int>()
  }

  public let models: [Model]
  private let right: [FilePath]
  /// Files that were looked at.
  public let checked: Int
  /// Receipts that are damaged themselves: their files show it.
  public let wrongReceipts: [FilePath]
  /// What is damaged, and nothing here says where it comes from.
  public struct Unfetchable: Sendable {
    public let path: FilePath
    /// What to do.
    public let advice: String
    /// What it is called by, where a link to its content is enough to make it anew: then a file of that name is damaged, or isn't there.
    let content: Digest?

    /// What to fetch over a link that opens this file alone.
    /// - Returns: nil where that isn't enough.
    public func request(_ request: TransferRequest) -> TransferRequest? {
      guard let content, let name = path.lastComponent?.string else { return nil }
      var request = request
      request.folder = path.removingLastComponent().isEmpty ? "." : path.removingLastComponent()
      request.files = [.init(path: name, remote: name, digest: .hash(content), repair: FileRepair(length: 0, good: RangeSet()))]
      return request
    }
  }

  public let unfetchable: [Unfetchable]
  /// What couldn't be looked at.
  public let problems: [VerificationError]

  /// Verifies `path`, on all cores. What it says of damage is found out, and never read from anywhere.
  public init(_ path: FilePath, observer: any VerificationObserver = NoObserver(), isCancelled: @escaping @Sendable () -> Bool = { false }) throws(ArrivalError) {
    let verification = Verification(of: [path])
    let (findings, wrong) = verification.run(observer: observer, isCancelled: isCancelled)
    // Of a file with another length a list tells nothing more; the receipt tells which pieces are right.
    let untold = findings.indices.filter { findings[$0].status == .mismatch && findings[$0].damaged == nil && findings[$0].claims.contains(where: \.isOfReceipt) }
    let again = Verification(untold.map { findings[$0].claims.filter(\.isOfReceipt) })
    let told = again.run(observer: observer, isCancelled: isCancelled).findings
    let damage = Dictionary(zip(untold, told.map(\.damaged)).map { ($0, $1) }) { first, _ in first }
    if findings.contains(where: { $0.status == .unreadable(.canceled) }) { throw .repairInterrupted }
    var files: [FilePath: [File]] = [:]
    var folders: [FilePath] = []
    var unfetchable: [Unfetchable] = []
    var repositories: [FilePath: CachedRepository] = [:]
    for (index, finding) in findings.enumerated() where finding.status != .ok {
      if finding.claims.contains(where: \.isOfStore) {
        switch Self.stored(finding) {
        case .success(let (repository, snapshot, file)):
          repositories[snapshot] = repository
          if files[snapshot] == nil { folders.append(snapshot) }
          files[snapshot, default: []].append(file)
        case .failure(let why): unfetchable.append(Unfetchable(path: finding.path, advice: why.advice, content: Self.content(finding)))
        }
        continue
      }
      guard let (folder, file) = Self.file(finding, damaged: finding.damaged ?? damage[index] ?? nil) else { continue }
      if files[folder] == nil { folders.append(folder) }
      files[folder, default: []].append(file)
    }
    self.unfetchable = unfetchable
    models = folders.map { folder in
      if let cached = repositories[folder], let name = cached.name, let commit = folder.lastComponent?.string {
        return Model(folder: folder, origin: .repository(name, commit: commit), isMade: false, options: [:], files: files[folder] ?? [], cached: cached)
      }
      let receipt = try? Receipt(contentsOf: folder.appending(Receipt.fileName))
      return Model(
        folder: folder, origin: receipt?.origin, isMade: receipt.map { $0.operation != "download" } ?? false, options: receipt?.options ?? [:], files: files[folder] ?? [], cached: nil)
    }
    right = findings.filter { $0.status == .ok }.map(\.path)
    (checked, wrongReceipts, problems) = (findings.count, wrong.keys.sorted { $0.string < $1.string }, verification.problems)
  }

  /// Forgets the journals of files that were right from the start; a repair that was killed in its last moment has left one.
  public func forgetJournals() { for path in right { FinishedFile.forgetJournal(of: path.realPath ?? path) } }

  private struct NoSource: Error { let advice: String }

  /// What a blob is called by that lies under its own name, and is damaged or missing.
  private static func content(_ finding: Verification.Finding) -> Digest? {
    guard finding.status == .mismatch || finding.status == .missing, case .stored(.hash(let digest), _)? = finding.claims.first?.content else { return nil }
    let folder = finding.path.removingLastComponent()
    guard let name = finding.path.lastComponent, name.string.hasSuffix(digest.hex), let open = try? OpenFolder(folder.isEmpty ? "." : folder) else { return nil }
    // A link is somebody's own arrangement.
    return (try? open.status(of: name))?.type == .symbolicLink ? nil : digest
  }

  /// A file of the hub's cache, as it is fetched again: into a new blob, or where it lies, on file systems without links.
  private static func stored(_ finding: Verification.Finding) -> Result<(CachedRepository, snapshot: FilePath, File), NoSource> {
    func failure(_ advice: String) -> Result<(CachedRepository, snapshot: FilePath, File), NoSource> { .failure(NoSource(advice: advice)) }
    guard let claim = finding.claims.first, case .stored(let digest, _) = claim.content else { return failure("several lists speak of it; remove it, and fetch it again") }
    guard let repository = CachedRepository(at: claim.source) else {
      let store = OllamaStore(ofManifest: claim.source)
      let model = store?.models.first { $0.manifest == claim.source }
      let pull = model.map { "run `ollama pull \($0.name)`" } ?? "no model needs it"
      return failure("only ollama fetches it, and not as long as a file has its name: \(finding.status == .missing ? "" : "remove it, and ")\(pull); or name the blob, and a link to its content with --url")
    }
    for case .stored(let other, _) in finding.claims.map(\.content) where other != digest {
      return failure("this name leads to another file's content; remove it, and run `drover download` with --hf-cache again")
    }
    var rest = finding.path
    guard repository.name != nil, rest.removePrefix(repository.path), rest.components.count > 2, rest.components.first?.string == "snapshots" else {
      return failure("no snapshot of a model names it, so there is no saying under which name the hub has it; remove it")
    }
    let commit = Array(rest.components)[1].string
    let name = FilePath(root: nil, rest.components.dropFirst(2))
    var isLink = false
    if let entries = try? repository.entries(of: commit), let entry = entries.first(where: { $0.path == finding.path }), case .blob = entry.content { isLink = true }
    var file = File(path: name)
    (file.place, file.stored) = (isLink ? "blobs/" + digest.hex : rest.string, digest)
    if case .hash(let digest) = digest { file.listed = digest }
    return .success((repository, repository.snapshot(commit), file))
  }

  private static func file(_ finding: Verification.Finding, damaged: [Verification.Damage]?) -> (folder: FilePath, File)? {
    let claim = finding.claims.first(where: \.isOfReceipt) ?? finding.claims.first
    guard let claim else { return nil }
    let folder = claim.source.removingLastComponent()
    var path = finding.path
    guard path.removePrefix(folder) else { return nil }
    let listed = finding.claims.lazy.compactMap { claim -> Digest? in if case .digest(let digest) = claim.content { digest } else { nil } }.first
    guard case .receipt(let receipt) = claim.content else { return (folder, File(path: path, receipt: nil, listed: listed, good: RangeSet())) }
    var good = RangeSet<Int>()
    // What can't be told apart is damaged as a whole.
    if finding.status == .mismatch, let damaged, receipt.content == nil {
      good.insert(contentsOf: 0..<receipt.bytes)
      for damage in damaged { good.remove(contentsOf: damage.offset..<min(receipt.bytes, max(damage.offset, damage.offset + damage.bytes))) }
    }
    return (folder, File(path: path, receipt: receipt, listed: listed, good: good))
  }
}

extension RepairPlan.Model {
  /// What to fetch from a release, by the link's own checklists, which are fetched afresh.
  /// - Throws: `ArrivalError.otherVersion` where the server's list says another digest than the receipt: then nothing here may be changed.
  public func request(_ release: Release, _ link: SignedLink, _ request: TransferRequest) throws -> TransferRequest {
    let session = try RemoteSession(to: link, authorities: request.authorities, retry: request.retry)
    var digests: [String: Digest] = [:]
    for list in release.files where list.path.hasSuffix(".chk") {
      let file = try RemoteFile(link, list.remote, as: list.path, session: session)
      guard file.count <= Checklist.mostBytes else { continue }
      digests.merge(try ListedDigests.read(try file.bytes(in: 0..<file.count), list.path)) { _, last in last }
    }
    let prefix = release.folder.isEmpty ? "" : release.folder + "/"
    return try self.request(request) { path in
      guard let file = release.files.first(where: { $0.path == prefix + path }) else { throw ArrivalError.noSuchFile(path, of: release.id) }
      return (file.remote, digests[file.path].map { .hash($0) })
    }
  }

  /// What to fetch from a repository of the hub.
  public func request(_ repository: HubRepository, _ request: TransferRequest) throws -> TransferRequest {
    try self.request(request) { path in
      guard let file = repository.files.first(where: { $0.path == path }) else { throw ArrivalError.noSuchFile(path, of: repository.name.description) }
      return (repository.remote(path), file.digest)
    }
  }

  private func request(_ request: TransferRequest, _ source: (String) throws -> (remote: String, digest: PublishedDigest?)) throws -> TransferRequest {
    var request = request
    request.folder = cached?.path ?? (folder.isEmpty ? "." : folder)
    request.files = try files.map { file in
      let (remote, published) = try source(file.path.string)
      if case .hash(let digest)? = published, let before = file.known(digest.algorithm), before != digest { throw ArrivalError.otherVersion(file.path.string, says: digest, was: before) }
      if let stored = file.stored, stored != published { throw ArrivalError.otherContent(file.path.string) }
      let digest = published ?? file.strongest.map { .hash($0) }
      return .init(path: file.path.string, place: file.place, remote: remote, digest: digest, repair: FileRepair(length: file.receipt?.bytes ?? 0, good: file.good))
    }
    return request
  }
}

extension Verification.Claim {
  fileprivate var isOfReceipt: Bool { if case .receipt = content { true } else { false } }
  fileprivate var isOfStore: Bool { if case .stored = content { true } else { false } }
}

extension RepairPlan.File {
  /// What the lists here say.
  fileprivate func known(_ algorithm: HashAlgorithm) -> Digest? {
    [receipt?.md5?.digest, receipt?.sha256?.digest, listed].compactMap(\.self).first { $0.algorithm == algorithm }
  }

  fileprivate var strongest: Digest? { known(.sha256) ?? known(.md5) }
}
