import CCurl
import Glibc
import Integrity
import Platform
import Synchronization
import SystemPackage

/// The download's state machine: everything in it happens with its lock held, most of it on the thread that runs it.
///
/// This file takes a download from its start to its end. `Engine+Phases`: what is fetched first and what then. `Engine+Files`: what becomes of a file.
/// `Engine+Requests` and `Engine+Endings`: requests, from their answer to their end. `Engine+Unvouched`: answers for a file that no checksum is
/// known of. `Engine+Loops`: the threads that receive. `Engine+Link`: whether the link is dead, or one file refused. `Engine+Time`: what is due every few moments. `Schedule` says who
/// fetches what. Nothing here blocks on a disk or a hash: the workers of `Landing` write and hash, the thread of `JournalKeeper` syncs and names.
final class Engine: @unchecked Sendable {
  // Unchecked: what changes is touched with `lock` held.
  let lock = Lock()
  let download: Download
  let request: TransferRequest
  let mailbox: Mailbox<EngineMessage>
  let files: [FileTask]
  /// Those that are taken as they come, and stored nowhere.
  let passing: [FileTask]
  let pool: BlockPool
  let landing: Landing
  let keeper: JournalKeeper
  /// Looks at what is here already.
  let preparing: JobQueue
  /// The first is the engine's own thread's.
  var loops: [NetworkLoop] = []
  /// Threads of the other loops.
  let receiving = Monitor(0)
  var idleHandles: [UnsafeMutableRawPointer] = []
  var connections: [Connection] = []
  var link: SignedLink
  var limiter: RateLimiter?
  var tuner: ConnectionTuner
  var phase = Phase.checklists
  /// Ends the download once what is under way has ended.
  var fatal: TransferError?
  var failures: [TransferError] = []
  /// The link was refused; nothing new is asked for with it.
  var refusal: TransferError?
  var isAsking = false
  /// What the link has opened in this run; the latest last.
  var opened: [FileTask] = []
  /// When it last did.
  var lastOpened = -Double.infinity
  /// Finds out whether the link still opens anything. Nothing else is asked for meanwhile.
  var check: LinkCheck?
  /// When bytes came last that are new; nil as long as none did.
  var lastNewByte: Double?
  let authorities: Authorities
  /// No request before this time: the server asked for patience.
  var quietUntil = 0.0
  var random = SystemRandomNumberGenerator()
  let started = steadySeconds()
  var lastLook = 0.0
  /// All files before this one were asked for, or needn't be.
  var firstUnasked = 0
  /// All files before this one have ended.
  private var firstOpen = 0
  var warnedOfExpiry = false
  private var folderLock: FileDescriptor?
  private var keptDirectories: Set<Int> = []

  enum Phase { case checklists, survey, bulk }

  /// Blocks in memory that the files' chains haven't come to, at most.
  private static let mostAhead = 64

  init(_ download: Download) throws(TransferError) {
    self.download = download
    request = download.request
    mailbox = download.mailbox
    link = download.link
    limiter = request.bytesPerSecond.map { RateLimiter(bytesPerSecond: $0) }
    tuner = ConnectionTuner(given: request.connections, isLimited: request.bytesPerSecond != nil)
    for file in request.files {
      for path in [file.path, file.place ?? file.path, file.remote] where !Self.isSafe(path) { throw .unsafePath(path) }
    }
    authorities = try Authorities(request.authorities)
    files = zip(request.files, download.parts).enumerated().map {
      FileTask(index: $0, request: $1.0, part: $1.1, follower: download.followers[$1.0.path])
    }
    passing = files.filter { $0.partial == nil }
    var loops: [NetworkLoop] = []
    // The limiter lets one thread pause.
    for _ in 0..<(request.bytesPerSecond == nil ? max(1, request.networkThreads ?? NetworkLoop.suitable) : 1) {
      guard let loop = NetworkLoop() else { throw .library("it could not be started") }
      loops.append(loop)
    }
    self.loops = loops

    let (parts, mailbox) = (download.parts, download.mailbox)
    let threads = max(2, min(8, Workers.available))
    // What passes by stays in memory until somebody is done with it, whatever else waits for a hash.
    let windows = parts.compactMap { ($0 as? PassingFile)?.window }
    let blocks = windows.reduce(Self.blocksBesidePassing(request)) { $0 + ($1 + BlockPool.blockBytes - 1) / BlockPool.blockBytes }
    pool = BlockPool(capacity: windows.isEmpty ? Self.mostAhead + BlockPool.reserve + (request.connections ?? 0) : blocks) { mailbox.post(.memory) }
    keeper = JournalKeeper()
    let landing = Landing(parts, threads: threads, pool: pool, keeper: keeper, mailbox: mailbox)
    self.landing = landing
    preparing = JobQueue(threads: threads)
    keeper.start { file in landing.snapshot(of: file).map { parts[file].keep($0, isClosed: false) } ?? true } named: { files in
      for file in files {
        if let kept = file.kept { download.observe(.note("\(parts[file.file].name): another file had this name; it was kept as \(kept)")) }
      }
      mailbox.post(.named(files))
    }
  }

  /// What may be in memory besides the windows of files that pass by: of each request a block that is being filled and the next, and what isn't hashed yet.
  static func blocksBesidePassing(_ request: TransferRequest) -> Int { BlockPool.reserve + 2 * (request.connections ?? ConnectionTuner.mostConnections) }

  private static func isSafe(_ path: String) -> Bool {
    !path.isEmpty && !path.hasPrefix("/") && !path.utf8.contains(0)
      && path.split(separator: "/", omittingEmptySubsequences: false).allSatisfy { !$0.isEmpty && $0 != "." && $0 != ".." }
  }

  /// - Returns: what came, and the gravest of what went wrong.
  func run() -> (TransferReport, TransferError?) {
    defer { close() }
    return lock.hold { () -> (TransferReport, TransferError?) in
      do throws(TransferError) { try transfer() } catch { return (report(), error) }
      return (report(), nil)
    }
  }

  private func transfer() throws(TransferError) {
    guard landing.isAlive, preparing.isAlive, keeper.isAlive else { throw .library("no thread could be started; the limit of processes (ulimit -u) may be too low") }
    try makeFolders()
    mailbox.attach(loops[0].multi)
    startReceiving()
    for file in files where file.isChecklist { begin(file) }
    if !files.contains(where: \.isChecklist) { checklistsAreHere([:]) }
    while !isOver {
      for message in mailbox.takeAll() { handle(message) }
      if download.isCancelled.load(ordering: .acquiring) { throw .interrupted }
      advance()
      schedule()
      if connections.isEmpty { keeper.hurry() }
      considerLink()
      throttle()
      turn(loops[0])
      lookAround()
      if isOver { break }
      wait(loops[0])
    }
    if let error = fatal ?? refusal ?? gravest { throw error }
  }

  private var isOver: Bool {
    while firstOpen < files.count, files[firstOpen].stage.isOver { firstOpen += 1 }
    let files = files[firstOpen...]
    if files.contains(where: { $0.stage == .closing || $0.stage == .clearing }) { return false }
    // What is here to its last byte gets its name, whatever became of the others.
    if fatal != nil { return download.isCancelled.load(ordering: .relaxed) || !files.contains { $0.stage == .verifying } }
    // What is under way when a link ends may go on: servers check it only when they are asked.
    if refusal != nil, !isAsking { return connections.isEmpty && !files.contains { $0.stage == .verifying } }
    return files.allSatisfy { $0.stage.isOver }
  }

  /// Damage weighs more than absence.
  private var gravest: TransferError? {
    failures.first { if case .mismatch = $0 { true } else { false } } ?? failures.first
  }

  private func report() -> TransferReport {
    var entries: [TransferReport.File] = []
    for file in files {
      guard case .finished(let status) = file.stage, let result = file.result else { continue }
      entries.append(
        .init(
          path: file.request.path, bytes: result.hash.position, digest: result.hash.digest, blob: file.blob, fetched: max(0, status == .present ? 0 : result.hash.position - file.before), status: status,
          isVerified: file.isVouchedFor, isFollowed: result.isFollowed))
    }
    return TransferReport(files: entries, bytes: entries.reduce(0) { $0 + $1.bytes }, seconds: steadySeconds() - started)
  }

  private func handle(_ message: EngineMessage) {
    switch message {
    case .wake: break
    case .prepared(let index, let preparation): prepared(files[index], preparation)
    case .landed(let index): settle(files[index])
    case .failed(let index, let error): fail(files[index], error, isFatal: true)
    case .memory:
      for loop in loops {
        loop.mayResume = true
        if loop !== loops[0] { loop.wake() }
      }
    case .cleared(let index, let error): cleared(files[index], error)
    case .discarded(let index, let error): fail(files[index], error)
    case .committed(let index, let wasThere, let error):
      let file = files[index]
      if let error { fail(file, error, isFatal: true) } else { finish(file, wasThere ? .present : file.isCopied ? .copied : file.before > 0 ? .resumed : .downloaded) }
    case .named(let named):
      for one in named { if let failure = one.failure { fail(files[one.file], failure, isFatal: true) } else { finish(files[one.file], files[one.file].isCopied ? .copied : .downloaded) } }
    case .otherBlob(let index, let actual): isOtherBlob(files[index], actual)
    case .newLink(let new): answered(new)
    }
  }

  // MARK: Folders

  private func makeFolders() throws(TransferError) {
    for path in [request.folder] + Set(files.compactMap { $0.partial?.folder }) {
      do throws(Errno) { try path.makeFolders() } catch { throw .disk(path: path.string, errno: error.rawValue) }
    }
    do {
      let folder = try FileDescriptor.open(request.folder, .readOnly, options: [.directory, .closeOnExec])
      folderLock = folder
      guard request.folder.allows(W_OK | X_OK) else { throw Errno(rawValue: errno) }
      // A network file system may lock no folders; the partial files' own locks remain.
      if flock(folder.rawValue, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK { throw TransferError.busyFolder(request.folder.string) }
    } catch let error as TransferError { throw error } catch { throw .disk(path: request.folder.string, errno: (error as? Errno ?? .ioError).rawValue) }
  }

  static func folder(of path: String) -> String { path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "." }

  /// Whether a file's end, which comes first, may wait in memory until the rest is here. Of many files it is read again.
  func keepsDirectory(of file: FileTask) -> Bool {
    if keptDirectories.count < BlockPool.reserve { keptDirectories.insert(file.index) }
    return keptDirectories.contains(file.index)
  }

  // MARK: Ending

  private func close() {
    mailbox.attach(nil)
    stopReceiving()
    endCheck()
    for connection in connections {
      connection.end(isComplete: false)
      curl_multi_remove_handle(connection.loop.multi, connection.handle)
      curl_easy_cleanup(connection.handle)
    }
    connections = []
    for handle in idleHandles { curl_easy_cleanup(handle) }
    loops = []
    // What is in memory is hashed and written now, so that the next run reads nothing again.
    landing.drain(seconds: 5)
    download.isEnding.store(true, ordering: .releasing)
    preparing.stop()
    landing.stop()
    keeper.stop()
    for file in files where file.stage != .clearing && (!file.stage.isOver || file.stage == .failed) {
      if let snapshot = landing.snapshot(of: file.index), !file.part.keep(snapshot, isClosed: true) {
        tell("\(file.request.path): what arrived last couldn't be noted in its journal; the next run fetches it again")
      }
    }
    for file in files {
      file.part.close()
    }
    try? folderLock?.close()
  }
}
