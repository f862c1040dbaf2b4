import Checkpoint
import FoundationEssentials
import Integrity
import Platform
import Synchronization
import SystemPackage
import Transfer

/// A model that is converted while it arrives: a download whose weights go nowhere but through a plan, into an output that appears when every file's digest
/// has agreed with its publisher's.
///
/// What describes the model comes first, as a download of its own into the pull's folder. Then the weights' headers are read, and the plan is made: all
/// that can be refused is refused before a weight is fetched.
public struct Pull: Sendable {
  /// What a pull is told.
  public struct Settings: Sendable {
    public var plan: ReshardPlan.Options
    public var opening: Checkpoint.OpenOptions
    /// Keys of the model's description that are passed over.
    public var ignoredKeys: [String]
    /// Whether files are taken that no publisher's digest vouches for.
    public var takesUnverified: Bool

    public init(plan: ReshardPlan.Options, opening: Checkpoint.OpenOptions = .init(), ignoredKeys: [String] = [], takesUnverified: Bool = false) {
      (self.plan, self.opening, self.ignoredKeys, self.takesUnverified) = (plan, opening, ignoredKeys, takesUnverified)
    }
  }

  /// What came of it.
  public struct Outcome: Sendable {
    public let written: [ReshardPlan.WrittenFile]
    /// What came over the network, companions first.
    public let sources: [TransferReport.File]
  }

  public let source: PullSource
  public let plan: ReshardPlan
  /// The download of the weights.
  public let request: TransferRequest
  /// Bytes of headers that were fetched, and requests that it took.
  public let headerBytes: Int
  public let headerRequests: Int
  private let companions: TransferReport
  /// Bytes of weights that may be in memory.
  private let windows: Int

  /// The download of what describes the model.
  public static func companions(of source: PullSource, in folder: PullFolder, _ request: TransferRequest) -> TransferRequest {
    var request = request
    (request.folder, request.files) = (folder.source, source.companions)
    return request
  }

  /// Reads the headers, and makes the plan.
  ///
  /// - Parameters:
  ///   - companions: what came of the download of those.
  ///   - link: opens the weights.
  ///   - request: how to download.
  ///   - tool: the program and its version.
  ///   - isCancelled: asked now and then.
  /// - Throws: `ArrivalError.unvouched` for a file without a publisher's digest; `TransferError.unreadable` from a server that gives no parts of files;
  ///   `CheckpointError` for what can't be.
  public init(
    _ source: PullSource, in folder: PullFolder, _ companions: TransferReport, _ link: SignedLink, _ request: TransferRequest, _ settings: Settings, tool: String,
    isCancelled: () -> Bool
  ) throws {
    guard !source.weights.isEmpty else { throw ArrivalError.noWeights(of: source.name) }
    let model = source.folder.isEmpty ? folder.source : folder.source.appending(source.folder.components)
    try Self.makeReadable(model, source, companions, tool: tool)
    let digests = try Self.digests(source, in: folder, companions)
    var files: [TransferRequest.File] = []
    for var file in source.weights.values.sorted(by: { $0.path < $1.path }) {
      if file.digest == nil { file.digest = digests[file.path].map { .hash($0) } }
      guard file.digest != nil || settings.takesUnverified else { throw ArrivalError.unvouched(file.path) }
      files.append(file)
    }
    let session = try RemoteSession(to: link, authorities: request.authorities, retry: request.retry, stallSeconds: request.stallSeconds)
    var arriving: [String: any ByteSource] = [:]
    for (name, file) in source.weights.sorted(by: { $0.key < $1.key }) {
      if isCancelled() { throw TransferError.interrupted }
      let remote: RemoteFile
      do { remote = try RemoteFile(link, file.remote, as: file.path, session: session) } catch { throw Self.judged(error, source, link, session) }
      // What is so small is no file of weights, which its reader says.
      guard remote.comesInParts || remote.count <= StandIn.headBytes else {
        throw TransferError.unreadable(path: file.path, origin: link.origin, why: "it gives files only as a whole, and a pull needs parts of them; `drover download` doesn't")
      }
      arriving[name] = try ArrivingFile(remote, path: FilePath(file.path))
    }
    var opening = settings.opening
    opening.keyValueHeads = opening.keyValueHeads ?? source.keyValueHeads
    do throws(CheckpointError) {
      plan = try ReshardPlan(Checkpoint.open(at: model, arriving: arriving, opening).ignoring(settings.ignoredKeys), settings.plan)
    } catch { throw Self.judged(error.cause ?? error, source, link, session) }
    windows = try ArrivingFiles.windows(plan, ReadingSchedule(plan)).values.reduce(0, +)
    var weights = request
    // Others aren't this model's.
    let paths = Set(plan.source.files.filter(\.isArriving).map(\.path.string))
    (weights.folder, weights.files) = (folder.source, files.filter { paths.contains($0.path) })
    self.request = weights
    (self.source, self.companions) = (source, companions)
    (headerBytes, headerRequests) = (session.fetchedBytes, session.requests)
  }

  /// What it means that a file's headers can't be had. A link that refuses it may open others, as one request tells.
  private static func judged(_ error: any Error, _ source: PullSource, _ link: SignedLink, _ session: RemoteSession) -> any Error {
    guard case TransferError.refused(let path, let status, _) = error,
      let other = (source.companions.filter { !$0.isOptional } + source.weights.values).first(where: { $0.path != path }),
      (try? RemoteFile(link, other.remote, as: other.path, session: session)) != nil
    else { return error }
    return TransferError.denied(path: path, status: status, why: "the link opens others, such as \(other.path); it is for other files, or \(link.origin) lacks this one")
  }

  /// Has the model's folder say what it would say after a download.
  private static func makeReadable(_ folder: FilePath, _ source: PullSource, _ companions: TransferReport, tool: String) throws {
    do throws(Errno) { try folder.makeFolders() } catch { throw TransferError.disk(path: folder.string, errno: error.rawValue) }
    let files = companions.files.compactMap { file -> Receipt.File? in
      var path = FilePath(file.path)
      return path.removePrefix(source.folder) ? Receipt.File(path: path, file) : nil
    }
    if !files.isEmpty { try Receipt(tool: tool, operation: "download", origin: source.origin, files: files).write(into: folder) }
  }

  private static func digests(_ source: PullSource, in folder: PullFolder, _ companions: TransferReport) throws -> [String: Digest] {
    var digests: [String: Digest] = [:]
    for list in companions.files.map(\.path) where list.hasSuffix(".chk") {
      let bytes: [UInt8]
      do throws(Errno) { bytes = try SmallFile.read(folder.source.appending(list), atMost: Checklist.mostBytes) } catch { throw TransferError.disk(path: list, errno: error.rawValue) }
      digests.merge(try ListedDigests.read(bytes, list)) { _, last in last }
    }
    return digests
  }

  /// Bytes of memory that it takes at most beside the program itself.
  public func peakMemory(_ options: ReshardPlan.WriteOptions) -> Int { plan.peakMemory(options) + windows + Download.memoryBesidePassing(request) }

  /// Carries it out, or goes on with what an earlier run has left.
  ///
  /// - Parameters:
  ///   - folder: has what an earlier run has left, and keeps what this one leaves.
  ///   - options: how the output is written.
  ///   - given: what another run must be given too to go on.
  ///   - download: downloads the request on the caller's thread, with these takers of what passes; calls its last argument once it can be cancelled.
  ///   - note: told, in sentences, what a person should know. Called on any thread.
  ///   - isCancelled: asked now and then; the download is cancelled besides by whoever asked for that.
  /// - Throws: what the download throws, or the plan. Then what was made stays hidden for the same call in another run, if there is any.
  public func run(
    to destination: FilePath, in folder: PullFolder, _ options: ReshardPlan.WriteOptions, given: [String: String],
    download: (TransferRequest, [String: any PassingContent], @escaping @Sendable (MirroredDownload) -> Void) -> (TransferReport, TransferError?),
    note: @escaping @Sendable (String) -> Void = { _ in },
    isCancelled: @escaping @Sendable () -> Bool = { false }
  ) throws -> Outcome {
    try folder.write(given)
    let (output, arriving) = try begin(to: destination, in: folder, options, note, isCancelled)
    let files = plan.arriving.map { (index: $0, file: $1, expected: expected[$1.path.string], headers: $1.headerDigest) }
    let journal = PullJournalWriter(folder, output) { [plan] progress in
      let starts = progress.map { ReadingSchedule(plan, after: $0).starts }
      return files.map { index, file, expected, headers in
        let (point, kept) = file.passed(to: starts?[index])
        return PullJournal.Source(path: file.path.string, expected: expected, headers: headers, kept: Data(kept), point: point)
      }
    }
    let provenance = ReshardPlan.Provenance(operation: "pull", origin: source.origin) { [companions] in
      (companions.files + arriving.report.files).map { Receipt.File(path: FilePath($0.path), $0) }
    }
    let result = Mutex<Result<[ReshardPlan.WrittenFile], CheckpointError>?>(nil)
    let writer = WorkerThread.start {
      let written = Result { () throws(CheckpointError) in
        try output.write(arriving, provenance, wrote: { journal.wrote($0) }, note: note, isCancelled: isCancelled)
      }
      result.withLock { $0 = written }
      arriving.planEnded()
    }
    var failure: TransferError?
    if let thread = writer {
      if arriving.waitUntilWanted() {
        var passing: [String: any PassingContent] = [:]
        for file in plan.arriving.values { passing[file.path.string] = file }
        let report: TransferReport
        (report, failure) = download(request, passing) { arriving.begin($0) }
        arriving.end(report, failure)
      }
      thread.join()
    }
    if case .success(let written)? = result.withLock({ $0 }) {
      journal.forget()
      return Outcome(written: written, sources: companions.files + arriving.report.files)
    }
    let bad = Set(arriving.bad(failure).map { plan.source.files[$0].path.string })
    let isKept = journal.close(without: bad)
    guard case .failure(var error)? = result.withLock({ $0 }) else { throw TransferError.library("no thread could be started") }
    if !isKept {
      folder.forgetJournal()
      error = output.discard(because: error)
    }
    if let change = arriving.change { throw ArrivalError.changed(change) }
    // What the plan makes of an end of the download is no news, and what the download makes of an end of the plan isn't either.
    guard let failure else { throw error }
    if case .interrupted = failure, error.reason != .cancelled, error.cause == nil { throw error }
    throw failure
  }

  /// What publishers say of the files of weights, by path.
  private var expected: [String: Digest] {
    Dictionary(request.files.compactMap { file in if case .hash(let digest)? = file.digest { (file.path, digest) } else { nil } }) { first, _ in first }
  }

  /// Opens the output, with what an earlier run has done of it that is still right, and has the files go on from where that one had come to.
  private func begin(
    to destination: FilePath, in folder: PullFolder, _ options: ReshardPlan.WriteOptions, _ note: (String) -> Void, _ isCancelled: @escaping @Sendable () -> Bool
  ) throws -> (KeptOutput, ArrivingFiles) {
    let found = folder.journal
    if folder.isKept, found == nil { note("the journal of what was made so far was damaged; everything is fetched afresh") }
    var progress: PlanProgress?
    var sources: [Int: PullJournal.Source] = [:]
    if let (journal, _) = found {
      if journal.plan == plan.digest {
        (progress, sources) = usable(journal, note)
      } else {
        note("the model isn't what it was when this pull was begun; everything is fetched afresh")
      }
    }
    if progress == nil { folder.forgetJournal() }
    let output = try KeptOutput(
      plan, at: destination, options, after: progress,
      isInDoubt: { now, then, length in
        found.map { journal, own in now.isInDoubt(since: then, isClosed: journal.isClosed, length: length, journal: own) } ?? true
      }, note: note, isCancelled: isCancelled)
    do throws(CheckpointError) { return (output, try ArrivingFiles(plan, output.schedule, after: sources)) } catch {
      throw progress == nil ? output.discard(because: error) : error
    }
  }

  /// What of a journal can be gone on with: not what came of files that are others now.
  private func usable(_ journal: PullJournal, _ note: (String) -> Void) -> (PlanProgress, [Int: PullJournal.Source]) {
    var progress = journal.progress
    var sources: [Int: PullJournal.Source] = [:]
    let before = Dictionary(journal.sources.map { ($0.path, $0) }) { first, _ in first }
    for (index, file) in plan.arriving {
      let path = file.path.string
      guard let source = before[path] else {
        progress.forget(index, of: plan)
        continue
      }
      let isSame = source.headers == file.headerDigest && source.expected == expected[path] && source.point?.length ?? file.count == file.count
      // What nobody vouches for is put together only behind a tag that tells whether the parts belong together.
      guard isSame, source.expected != nil || source.point?.isStrong ?? true else {
        let why = isSame ? "nothing vouches for it, and the server gave no strong ETag" : "it isn't what it was when this pull was begun"
        note("\(path): \(why); what came of it is thrown away")
        progress.forget(index, of: plan)
        continue
      }
      sources[index] = source
    }
    return (progress, sources)
  }

  /// Whether another try may bring what this one didn't: what came wasn't what its publisher says, or has changed meanwhile.
  public static func isWorthAnother(_ error: any Error) -> Bool {
    switch error {
    case TransferError.mismatch, TransferError.changed, ArrivalError.changed: true
    default: false
    }
  }
}
