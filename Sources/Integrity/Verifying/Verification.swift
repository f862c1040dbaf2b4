import SystemPackage

/// Files held against what their checklists and receipts say.
///
/// Made in two steps: `init(of:)` finds the lists and what they claim; `run` reads the files, each once.
public struct Verification: Sendable {
  /// What one checklist or receipt says of one file.
  public struct Claim: Sendable, Equatable {
    public enum Content: Sendable, Equatable {
      case digest(Digest)
      case receipt(Receipt.File)
      /// A file of a store is called by its content; ollama's manifests say how long it is too.
      case stored(PublishedDigest, bytes: Int?)
    }

    /// As the caller would open it.
    public let path: FilePath
    /// Who says so.
    public let source: FilePath
    public let content: Content

    /// Bytes of the file, where a receipt or a manifest says so.
    public var bytes: Int? {
      switch content {
      case .digest: nil
      case .receipt(let file): file.bytes
      case .stored(_, let bytes): bytes
      }
    }
  }

  public enum Status: Sendable, Equatable {
    case ok
    case mismatch
    case missing
    /// It is there but can't be read, or isn't a regular file; `.resourceBusy` when it changed while it was read, `.notSupported` when its size isn't
    /// known before it is read, `.canceled` when it wasn't read to its end.
    case unreadable(Errno)
  }

  /// A stretch of a file that is not as it should be.
  public struct Damage: Sendable, Hashable {
    public let offset: Int
    public let bytes: Int
    /// The weight in it, by Meta's name; nil for what isn't told by weights.
    public let tensor: String?

    init(_ range: Range<Int>, tensor: String? = nil) { (offset, bytes, self.tensor) = (range.lowerBound, range.count, tensor) }
  }

  /// What one of several lists says that don't agree.
  public struct Dispute: Sendable, Equatable {
    public let source: FilePath
    public let digest: Digest
  }

  /// What came of one file, whichever lists speak of it.
  public struct Finding: Sendable, Equatable {
    public let path: FilePath
    public let claims: [Claim]
    public let algorithm: HashAlgorithm
    /// nil where weights tell.
    public let expected: Digest?
    /// nil where pieces or weights told, or the file wasn't read.
    public let actual: Digest?
    /// Bytes read.
    public let bytes: Int
    public let status: Status
    /// nil where nothing is damaged, or nothing can be told apart.
    public let damaged: [Damage]?
    /// What the lists say, where they don't agree about a digest.
    public let disputes: [Dispute]
    /// The name that git gives the file, where that is what it is called by: what it should be, and what it is if it was read.
    public let blob: (expected: GitBlobID, actual: GitBlobID?)?

    public static func == (a: Finding, b: Finding) -> Bool {
      (a.path, a.algorithm, a.expected, a.actual, a.bytes, a.status) == (b.path, b.algorithm, b.expected, b.actual, b.bytes, b.status) && a.claims == b.claims
        && a.damaged == b.damaged && a.disputes == b.disputes && a.blob?.expected == b.blob?.expected && a.blob?.actual == b.blob?.actual
    }
  }

  /// What there is to find out: by file, in the order of the lists and their lines.
  public let claims: [[Claim]]
  /// Files in and under the given folders that no list speaks of, other than the lists themselves and hidden files.
  public let unlisted: [FilePath]
  /// What can't be looked at: paths, folders, lists.
  public let problems: [VerificationError]

  /// Finds what there is to verify.
  /// - Parameter paths: checklists, receipts, and folders with some in or under them.
  public init(of paths: [FilePath]) {
    let found = ListFinder(paths)
    var places: [FilePath: Int] = [:]
    var claims: [[Claim]] = []
    for claim in found.claims {
      if let place = places[claim.path] {
        claims[place].append(claim)
      } else {
        places[claim.path] = claims.count
        claims.append([claim])
      }
    }
    self.claims = claims
    problems = found.problems
    let known = Set(places.keys).union(found.lists)
    var seen: Set<FilePath> = []
    unlisted = found.present.filter { !known.contains($0) && seen.insert($0).inserted }
  }

  /// The same for claims that are known.
  package init(_ claims: [[Claim]]) { (self.claims, unlisted, problems) = (claims, [], []) }

  /// Receipts that files show to be damaged though the files are right, and the files that show it.
  public typealias WrongReceipts = [FilePath: [FilePath]]

  /// Reads the files, side by side on all cores.
  /// - Parameters:
  ///   - threads: nil for one a processor.
  ///   - observer: called on any thread as files are read.
  ///   - isCancelled: asked now and then.
  /// - Returns: a finding for each file, in the order of `claims`.
  public func run(
    threads: Int? = nil, observer: any VerificationObserver = NoObserver(), isCancelled: @escaping @Sendable () -> Bool = { false }
  ) -> (findings: [Finding], wrongReceipts: WrongReceipts) {
    var checks = claims.map { FileCheck($0[0].path, $0) }
    observer.willRead(checks.map { ($0.path, $0.size) })
    let files = checks.map { ($0.path, $0.size ?? 0) }
    func read(_ stretches: [Stretch], _ progress: @escaping @Sendable (Int, Int) -> Void) -> [Result<Stretch.Outcome, Errno>] {
      HashPipeline(files, stretches, threads: threads ?? FileHasher().threads, progress: progress, isCancelled: isCancelled).run()
    }
    var counts: [Int] = []
    var stretches: [Stretch] = []
    for index in checks.indices {
      let more = checks[index].stretches(file: index)
      counts.append(more.count)
      stretches += more
    }
    let outcomes = read(stretches) { observer.didRead(file: $0, bytes: $1) }
    var start = 0
    for (index, count) in counts.enumerated() {
      checks[index].take(Array(outcomes[start..<start + count]))
      start += count
    }
    // git calls by its own names what is small: each is read whole.
    let named = checks.indices.filter { checks[$0].hasBlobs }
    for (index, outcome) in zip(named, GitBlobID.ofFiles(at: named.map { checks[$0].path }, threads: threads ?? FileHasher().threads, isCancelled: isCancelled)) { checks[index].take(outcome) }
    // Where neighbouring pieces aren't right, the file or the receipt is damaged, or both are. Each round settles one piece of a run at least; a long run
    // is a file of other content, where the pieces needn't be told apart.
    for limit in [Int.max, 8, 8, 8] {
      let doubtful = checks.indices.flatMap { index in checks[index].doubtful(file: index, limit: limit).map { (index, $0.run, $0.stretch) } }
      if doubtful.isEmpty { break }
      for ((index, run, _), outcome) in zip(doubtful, read(doubtful.map(\.2)) { _, _ in }) { checks[index].take(outcome, through: run) }
    }
    var wrong: WrongReceipts = [:]
    for check in checks { for receipt in check.wrongReceipts { wrong[receipt, default: []].append(check.path) } }
    let findings = checks.map(\.finding)
    // Threads may have reported in another order than they read.
    for (index, finding) in findings.enumerated() where finding.bytes > 0 { observer.didRead(file: index, bytes: finding.bytes) }
    return (findings, wrong)
  }
}

/// Is told how a verification gets on.
public protocol VerificationObserver: Sendable {
  /// The files that are about to be read, each once, and their sizes in bytes where they are there.
  func willRead(_ files: [(path: FilePath, bytes: Int?)])
  /// Of file number `file` of those, `bytes` have been read.
  func didRead(file: Int, bytes: Int)
}

public struct NoObserver: VerificationObserver {
  public init() {}
  public func willRead(_ files: [(path: FilePath, bytes: Int?)]) {}
  public func didRead(file: Int, bytes: Int) {}
}
