import Checkpoint
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
  private let schedule: ReadingSchedule
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
    let session = try RemoteSession(to: link, authorities: request.authorities, retry: request.retry)
    var arriving: [String: any ByteSource] = [:]
    for (name, file) in source.weights.sorted(by: { $0.key < $1.key }) {
      if isCancelled() { throw TransferError.interrupted }
      let remote = try RemoteFile(link, file.remote, as: file.path, session: session)
      guard remote.comesInParts else {
        throw TransferError.unreadable(path: file.path, origin: link.origin, why: "it gives files only as a whole, and a pull needs parts of them; `drover download` doesn't")
      }
      arriving[name] = try ArrivingFile(remote, path: FilePath(file.path))
    }
    var opening = settings.opening
    opening.keyValueHeads = opening.keyValueHeads ?? source.keyValueHeads
    do throws(CheckpointError) {
      plan = try ReshardPlan(Checkpoint.open(at: model, arriving: arriving, opening).ignoring(settings.ignoredKeys), settings.plan)
    } catch { throw error.cause ?? error }
    schedule = ReadingSchedule(plan)
    windows = try ArrivingFiles.windows(plan, schedule).values.reduce(0, +)
    var weights = request
    // Others aren't this model's.
    let paths = Set(plan.source.files.filter(\.isArriving).map(\.path.string))
    (weights.folder, weights.files) = (folder.source, files.filter { paths.contains($0.path) })
    self.request = weights
    (self.source, self.companions) = (source, companions)
    (headerBytes, headerRequests) = (session.fetchedBytes, session.requests)
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

  /// Carries it out.
  ///
  /// - Parameters:
  ///   - options: how the output is written.
  ///   - download: downloads the request on the caller's thread, with these takers of what passes; calls its last argument once it can be cancelled.
  ///   - progress: called on any thread with the index of an output's file and how many of its bytes are done.
  ///   - note: told, in sentences, what a person should know. Called on any thread.
  ///   - isCancelled: asked now and then; the download is cancelled besides by whoever asked for that.
  /// - Throws: what the download throws, or the plan. Nothing is left behind of the output then.
  public func run(
    to destination: FilePath, _ options: ReshardPlan.WriteOptions,
    download: (TransferRequest, [String: any PassingContent], @escaping @Sendable (MirroredDownload) -> Void) -> (TransferReport, TransferError?),
    progress: @escaping @Sendable (_ file: Int, _ bytes: Int) -> Void = { _, _ in }, note: @escaping @Sendable (String) -> Void = { _ in },
    isCancelled: @escaping @Sendable () -> Bool = { false }
  ) throws -> Outcome {
    let arriving = try ArrivingFiles(plan, schedule)
    var options = options
    options.arriving = arriving
    let companions = companions
    options.provenance = .init(operation: "pull", origin: source.origin) { (companions.files + arriving.report.files).map { Receipt.File(path: FilePath($0.path), $0) } }
    let result = Mutex<Result<[ReshardPlan.WrittenFile], CheckpointError>?>(nil)
    let writer = WorkerThread.start { [plan, options] in
      let written = Result { () throws(CheckpointError) in try plan.write(to: destination, options, progress: progress, note: note, isCancelled: isCancelled) }
      result.withLock { $0 = written }
      arriving.planEnded()
    }
    guard let thread = writer else { throw TransferError.library("no thread could be started") }
    var failure: TransferError?
    // The plan has room for its output before anything comes.
    if arriving.waitUntilWanted() {
      var passing: [String: any PassingContent] = [:]
      for case let file as ArrivingFile in plan.source.files { passing[file.path.string] = file }
      let report: TransferReport
      (report, failure) = download(request, passing) { arriving.begin($0) }
      arriving.end(report, failure)
    }
    thread.join()
    let written = result.withLock { $0 }
    switch written {
    case .success(let written)?: return Outcome(written: written, sources: companions.files + arriving.report.files)
    case .failure(let error)?:
      if let change = arriving.change { throw ArrivalError.changed(change) }
      // What the plan makes of an end of the download is no news, and what the download makes of an end of the plan isn't either.
      guard let failure else { throw error }
      if case .interrupted = failure, error.reason != .cancelled, error.cause == nil { throw error }
      throw failure
    case nil: throw TransferError.library("the output was never begun")
    }
  }

  /// Whether another try may bring what this one didn't: what came wasn't what its publisher says, or has changed meanwhile.
  public static func isWorthAnother(_ error: any Error) -> Bool {
    switch error {
    case TransferError.mismatch, TransferError.changed, ArrivalError.changed: true
    default: false
    }
  }
}
