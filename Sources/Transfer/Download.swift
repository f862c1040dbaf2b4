import Integrity
import Platform
import Synchronization
import SystemPackage

/// What to download, and how.
public struct TransferRequest: Sendable {
  public struct File: Sendable, Hashable {
    /// Where it lands, relative to the folder. A name that ends in `.chk` is a checklist of files relative to its own folder.
    public var path: String
    /// Where it lies instead, relative to the folder, in a store that calls its files by their content: then `path` is what messages call it.
    public var place: String?
    /// What stands for the link's `*`.
    public var remote: String
    /// Whether the rest is of use without it.
    public var isOptional: Bool
    /// Its length, where its publisher says that beforehand.
    public var bytes: Int?
    /// Bytes of its end that are fetched before the rest, for whoever reads it while it arrives: a zip's directory is there.
    public var directoryBytes: Int
    /// What its publisher says of it beforehand; a checklist that is fetched first may say more.
    public var digest: PublishedDigest?
    /// SHA-256 of what an earlier download has put there, which needn't be kept when this is another version.
    public var replaceable: Digest?
    /// What is right of it, where it is here and damaged: then it is replaced.
    public var repair: FileRepair?
    /// Where a store on this machine may have it.
    public var stored: StoredCopy?

    public init(
      path: String, place: String? = nil, remote: String, isOptional: Bool = false, bytes: Int? = nil, directoryBytes: Int = 0, digest: PublishedDigest? = nil, replaceable: Digest? = nil,
      repair: FileRepair? = nil, stored: StoredCopy? = nil
    ) {
      self.path = path
      self.place = place
      self.remote = remote
      self.isOptional = isOptional
      self.bytes = bytes
      self.directoryBytes = directoryBytes
      self.digest = digest
      self.replaceable = replaceable
      self.repair = repair
      self.stored = stored
    }
  }

  public var files: [File]
  /// Made if it isn't there.
  public var folder: FilePath
  /// Connections at a time; nil to find out how many help.
  public var connections: Int?
  /// Threads that receive; nil for what suits this machine. With a limit of the rate there is one.
  public var networkThreads: Int?
  /// Most bytes a second over all connections.
  public var bytesPerSecond: Int?
  /// A PEM file of certificate authorities to trust in place of the system's.
  public var authorities: FilePath?
  public var retry: RetryPolicy
  /// Seconds without a byte after which a connection is given up; the first byte of an answer is waited for longer each time.
  public var stallSeconds: Double
  /// Whether a file whose checksum differs is kept under another name.
  public var keepsCorrupt: Bool

  public init(
    files: [File], folder: FilePath, connections: Int? = nil, networkThreads: Int? = nil, bytesPerSecond: Int? = nil, authorities: FilePath? = nil, retry: RetryPolicy = RetryPolicy(),
    stallSeconds: Double = 30, keepsCorrupt: Bool = false
  ) {
    self.files = files
    self.folder = folder
    self.connections = connections
    self.networkThreads = networkThreads
    self.bytesPerSecond = bytesPerSecond
    self.authorities = authorities
    self.retry = retry
    self.stallSeconds = stallSeconds
    self.keepsCorrupt = keepsCorrupt
  }
}

/// What came of a download.
public struct TransferReport: Sendable {
  public enum Status: String, Sendable, Codable {
    case downloaded, resumed, present
    /// Out of a store on this machine that had it.
    case copied
  }

  public struct File: Sendable {
    public var path: String
    public var bytes: Int
    /// Of the kind that the checklist has; SHA-256 where nothing vouches for the file, or only git's name for it.
    public var digest: ChainedDigest
    /// git's name for it, where that was held against it.
    public var blob: GitBlobID?
    /// Bytes that came in this run.
    public var fetched: Int
    public var status: Status
    /// Whether a checklist names it, or its publisher.
    public var isVerified: Bool
    /// Whether its follower has seen every byte; false for a file without one.
    public var isFollowed: Bool

    /// A file that was here, and was read without a download.
    public init(present path: String, bytes: Int, digest: ChainedDigest, blob: GitBlobID?) {
      self.init(path: path, bytes: bytes, digest: digest, blob: blob, fetched: 0, status: .present, isVerified: true, isFollowed: false)
    }

    init(path: String, bytes: Int, digest: ChainedDigest, blob: GitBlobID?, fetched: Int, status: Status, isVerified: Bool, isFollowed: Bool) {
      (self.path, self.bytes, self.digest, self.blob) = (path, bytes, digest, blob)
      (self.fetched, self.status, self.isVerified, self.isFollowed) = (fetched, status, isVerified, isFollowed)
    }
  }

  public var files: [File]
  /// Bytes of all files together.
  public var bytes: Int
  public var seconds: Double

  public init(files: [File] = [], bytes: Int = 0, seconds: Double = 0) { (self.files, self.bytes, self.seconds) = (files, bytes, seconds) }
}

/// What happens during a download, for whoever shows it. Indices are those of the request's files.
public enum TransferEvent: Sendable {
  /// `before` of the `done` bytes were there before this run.
  case progress(file: Int, done: Int, total: Int?, before: Int)
  case finished(file: Int, TransferReport.Status, isVerified: Bool)
  case failed(file: Int, TransferError)
  /// An optional file that the server doesn't have.
  case skipped(file: Int)
  /// A file that wasn't asked for, since the list that should vouch for it couldn't be had or lacks weights. That was told as a failure.
  case withheld(file: Int, list: String)
  /// Something that a person may want to know.
  case note(String)
}

/// What a download is about to do.
public struct TransferSurvey: Sendable {
  public var files: Int
  /// Bytes still to fetch.
  public var bytes: Int
  /// Bytes that are here already.
  public var bytesPresent: Int
  /// Bytes free in the folder; nil where its file system doesn't say.
  public var free: Int?
  /// When the link ends, in seconds since 1970.
  public var expiry: Int?
}

/// A download of several files over one signed link: parallel, resumable at any instant, verified while it arrives.
///
/// Checklists come first. Each other file is fetched into `NAME.part` with a journal beside it, hashed on the way, and gets its name when it is
/// whole, agrees with its checklist and is synced. The network has threads of its own; hashing, writing and syncing have others.
public final class Download: Sendable {
  public let request: TransferRequest
  let link: SignedLink
  let observe: @Sendable (TransferEvent) -> Void
  let confirm: (@Sendable (TransferSurvey) -> Bool)?
  let newLink: (@Sendable (TransferError) throws -> SignedLink?)?
  let mailbox = Mailbox<EngineMessage>()
  let isCancelled = Atomic(false)
  /// Nothing that is still being looked at will be waited for.
  let isEnding = Atomic(false)
  /// Whether nothing will come any more.
  let hasEnded = Atomic(false)
  /// One for each of the request's files.
  let parts: [any LandingPlace]
  /// Who follows a file's bytes, by the file's path.
  let followers: [String: any ContentFollower]

  /// - Parameters:
  ///   - followers: given a file's bytes while they arrive, by the path in the request.
  ///   - passing: takes a file's bytes, which then go to no file in the folder, by the path in the request.
  ///   - observe: told what happens, on several threads.
  ///   - confirm: asked once, when sizes are known, whether to go on.
  ///   - newLink: asked for another link when this one is refused; nil ends the download, and what it throws cancels it.
  public init(
    _ request: TransferRequest, link: SignedLink, followers: [String: any ContentFollower] = [:], passing: [String: any PassingContent] = [:], observe: @escaping @Sendable (TransferEvent) -> Void = { _ in },
    confirm: (@Sendable (TransferSurvey) -> Bool)? = nil, newLink: (@Sendable (TransferError) throws -> SignedLink?)? = nil
  ) {
    self.request = request
    self.link = link
    self.followers = followers
    self.observe = observe
    self.confirm = confirm
    self.newLink = newLink
    parts = request.files.map { file in
      if let content = passing[file.path] { return PassingFile(name: file.path, content: content) }
      return PartialFile(path: request.folder.appending(file.place ?? file.path), name: file.path, remote: file.remote, replaceable: file.replaceable, isRepaired: file.repair != nil)
    }
  }

  /// Bytes of memory that a download of files that only pass by takes at most, beside their windows.
  public static func memoryBesidePassing(_ request: TransferRequest) -> Int { Engine.blocksBesidePassing(request) * BlockPool.blockBytes + (32 << 20) }

  /// Stops the download: what is there is synced, and `run` throws `.interrupted`. May be called from any thread, at any time.
  public func cancel() {
    isCancelled.store(true, ordering: .releasing)
    mailbox.post(.wake)
  }

  /// Downloads, on the caller's thread.
  /// - Throws: the gravest of what went wrong; the observer was told of each.
  public func run() throws(TransferError) -> TransferReport {
    let (report, failure) = runToEnd()
    if let failure { throw failure }
    return report
  }

  /// Downloads, on the caller's thread, for whoever can use what came though something else didn't.
  /// - Returns: the files that came, and the gravest of what went wrong, if anything did; the observer was told of each.
  public func runToEnd() -> (report: TransferReport, failure: TransferError?) {
    defer { hasEnded.store(true, ordering: .releasing) }
    do throws(TransferError) { return try Engine(self).run() } catch { return (TransferReport(), error) }
  }

  /// The same on a thread of its own.
  public func run() async throws(TransferError) -> TransferReport {
    let result = await withCheckedContinuation { (done: CheckedContinuation<Result<TransferReport, TransferError>, Never>) in
      let isStarted = Workers.detach { done.resume(returning: Result { () throws(TransferError) in try self.run() }) }
      if !isStarted { done.resume(returning: .failure(.library("no thread could be started"))) }
    }
    return try result.get()
  }
}
