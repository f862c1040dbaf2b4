import CCurl
import Glibc
import Integrity
import Platform
import Synchronization
import SystemPackage

/// What other threads tell the network's thread.
enum EngineMessage: Sendable {
  case wake
  case prepared(file: Int, Preparation)
  /// The hashes have met the bytes at the end, or are close enough for a connection that waits.
  case hashed(file: Int)
  /// `wasThere`: the same content had its final name before.
  case committed(file: Int, wasThere: Bool, TransferError?)
  case newLink(SignedLink?)
}

/// The download's state machine: everything in it happens on the network's thread.
///
/// Its parts: this file takes a download from its start to its end; `Engine+Requests` makes requests and judges answers; `Segmentation` decides who
/// fetches what.
final class Engine {
  let download: Download
  let request: TransferRequest
  let mailbox: Mailbox<EngineMessage>
  let files: [FileTask]
  let hashing: Crew
  let keeping: Crew
  let multi: UnsafeMutableRawPointer
  var idleHandles: [UnsafeMutableRawPointer] = []
  var connections: [Connection] = []
  var link: SignedLink
  var limiter: RateLimiter?
  var segmentation: Segmentation
  private(set) var phase = Phase.checklists
  /// Ends the download once what is under way has ended.
  var fatal: TransferError?
  private var failures: [TransferError] = []
  /// The link was refused; nothing new is asked for with it.
  var refusal: TransferError?
  private var isAsking = false
  /// Whether the link has opened anything in this run.
  var linkIsProven = false
  /// No request before this time: the server asked for patience.
  var quietUntil = 0.0
  private var random = SystemRandomNumberGenerator()
  private let started = steadySeconds()
  private var lastReport = 0.0
  private var warnedOfExpiry = false
  private var folderLock: Int32 = -1
  private var reported: [Int: Int] = [:]

  enum Phase { case checklists, survey, bulk }

  init(_ download: Download) throws(TransferError) {
    self.download = download
    request = download.request
    mailbox = download.mailbox
    link = download.link
    limiter = request.bytesPerSecond.map { RateLimiter(bytesPerSecond: $0) }
    segmentation = Segmentation(given: request.connections, isLimited: request.bytesPerSecond != nil)
    for file in request.files {
      for path in [file.path, file.remote] where !Self.isSafe(path) { throw .unsafePath(path) }
    }
    if let authorities = request.authorities, access(authorities, R_OK) != 0 { throw .authorities(authorities) }
    let files = zip(request.files, download.parts).enumerated().map { FileTask(index: $0, request: $1.0, part: $1.1) }
    self.files = files
    guard EasyHandle.isInitialized, let multi = curl_multi_init() else { throw .library("it could not be started") }
    self.multi = multi
    // A stream each on one connection would share its speed.
    ccurl_multi_setopt_long(multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING)
    ccurl_multi_setopt_long(multi, CURLMOPT_MAXCONNECTS, 64)

    let parts = files.map(\.part)
    let mailbox = download.mailbox
    let threads = max(2, min(8, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))))
    let gangs = PrefixHasher.Gangs(threads: threads)
    hashing = Crew(threads: threads, pause: 0.005) {
      let hasher = PrefixHasher(parts, mailbox, gangs)
      return { hasher.work() }
    }
    keeping = Crew(threads: 1, pause: 0.1) {
      {
        let now = steadySeconds()
        for part in parts where part.state.withLock({ $0.isDirty && now - $0.journaled >= $0.journalPause }) { part.keep(closing: false) }
        return false
      }
    }
  }

  private static func isSafe(_ path: String) -> Bool {
    !path.isEmpty && !path.hasPrefix("/") && !path.utf8.contains(0)
      && path.split(separator: "/", omittingEmptySubsequences: false).allSatisfy { !$0.isEmpty && $0 != "." && $0 != ".." }
  }

  // MARK: From start to end

  func run() throws(TransferError) -> TransferReport {
    defer { close() }
    guard hashing.isAlive, keeping.isAlive else { throw .library("no thread could be started") }
    try makeFolders()
    mailbox.attach(multi)
    for file in files where file.isChecklist { begin(file) }
    if !files.contains(where: \.isChecklist) { checklistsAreHere([:]) }
    while !isOver {
      for message in mailbox.takeAll() { handle(message) }
      if download.isCancelled.load(ordering: .acquiring) { throw .interrupted }
      advance()
      schedule()
      throttle()
      var running: Int32 = 0
      curl_multi_perform(multi, &running)
      collect()
      keepHouse()
      if isOver { break }
      curl_multi_poll(multi, nil, 0, 100, nil)
    }
    if let error = fatal ?? refusal ?? gravest { throw error }
    return report()
  }

  private var isOver: Bool {
    if files.contains(where: { $0.stage == .committing }) { return false }
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
      guard case .finished(let status) = file.stage else { continue }
      entries.append(.init(path: file.request.path, bytes: file.length ?? 0, md5: file.digest?.hex ?? "", sha256: file.sha256?.hex, status: status, isVerified: file.expected != nil))
    }
    return TransferReport(files: entries, bytes: entries.reduce(0) { $0 + $1.bytes }, seconds: steadySeconds() - started)
  }

  private func close() {
    mailbox.attach(nil)
    for connection in connections {
      connection.end()
      curl_multi_remove_handle(multi, connection.handle)
      curl_easy_cleanup(connection.handle)
    }
    connections = []
    for handle in idleHandles { curl_easy_cleanup(handle) }
    curl_multi_cleanup(multi)
    letHashesCatchUp()
    download.isEnding.store(true, ordering: .releasing)
    hashing.stop()
    keeping.stop()
    for file in files where !file.stage.isOver || file.stage == .failed { file.part.keep(closing: true) }
    for file in files {
      file.part.removeIfEmpty()
      file.part.closeDescriptor()
    }
    if folderLock >= 0 { Glibc.close(folderLock) }
  }

  /// What is hashed now isn't read again by the next run. It is never much, unless that run has just begun.
  private func letHashesCatchUp() {
    let until = steadySeconds() + 0.5
    while steadySeconds() < until, files.contains(where: { $0.stage == .fetching && $0.part.isBehind }) { usleep(2000) }
  }

  private func makeFolders() throws(TransferError) {
    for path in Set([request.folder] + files.map { Self.folder(of: $0.part.path) }).sorted() {
      var made = path.hasPrefix("/") ? "" : "."
      for component in path.split(separator: "/") {
        made += "/" + component
        if mkdir(made, 0o777) != 0, errno != EEXIST, errno != EISDIR { throw .disk(path: path, errno: errno) }
      }
    }
    folderLock = Glibc.open(request.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard folderLock >= 0 else { throw .disk(path: request.folder, errno: errno) }
    guard access(request.folder, W_OK | X_OK) == 0 else { throw .disk(path: request.folder, errno: errno) }
    // A network file system may lock no folders; the partial files' own locks remain.
    if flock(folderLock, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK { throw .busyFolder(request.folder) }
  }

  private static func folder(of path: String) -> String { path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "." }

  // MARK: Phases

  private func advance() {
    switch phase {
    case .checklists:
      let lists = files.filter(\.isChecklist)
      guard fatal == nil, refusal == nil, lists.allSatisfy(\.stage.isOver) else { return }
      do throws(TransferError) { checklistsAreHere(try readChecklists(lists)) } catch { fatal = error }
    case .survey:
      guard fatal == nil, refusal == nil else { return }
      let open = files.filter { !$0.stage.isOver }
      guard open.allSatisfy({ $0.stage != .preparing && $0.length != nil && ($0.isMet || !$0.mustBeMet) || $0.isMet && !$0.takesRanges }) else { return }
      do throws(TransferError) { try survey(open) } catch {
        // A length out of a journal may be of a file that has changed since; only the server's counts.
        let unmet = open.filter { !$0.isMet && $0.stage == .fetching }
        if case .noRoom = error, !unmet.isEmpty {
          for file in unmet { file.mustBeMet = true }
          return
        }
        fatal = error
      }
      phase = .bulk
    case .bulk: break
    }
  }

  private func readChecklists(_ lists: [FileTask]) throws(TransferError) -> [String: Digest] {
    var digests: [String: Digest] = [:]
    for list in lists {
      if list.stage == .failed || list.stage == .skipped { continue }
      let entries = try Self.entries(of: list, at: list.part.path)
      let folder = list.request.path.lastIndex(of: "/").map { list.request.path[...$0] } ?? ""
      for entry in entries where entry.digest.algorithm == .md5 { digests[folder + entry.path.string] = entry.digest }
    }
    // A folder's checklist has to vouch for all of its weights.
    let listed = Set(lists.map { Self.folder(of: $0.request.path) })
    for file in files where !file.isChecklist && file.request.path.hasSuffix(".pth") && listed.contains(Self.folder(of: file.request.path)) {
      if digests[file.request.path] == nil {
        throw .checklist(path: Self.folder(of: file.request.path) + "/checklist.chk", why: "it has no line for \(file.request.path)")
      }
    }
    return digests
  }

  private static func entries(of list: FileTask, at path: String) throws(TransferError) -> [Checklist.Entry] {
    guard let bytes = AtomicFile.read(path, limit: 16 << 20) else { throw .checklist(path: list.request.path, why: "it can't be read") }
    do { return try Checklist(parsing: bytes, path: FilePath(list.request.path)).entries } catch {
      throw .checklist(path: list.request.path, why: reason(error))
    }
  }

  private static func reason(_ error: ChecklistError) -> String {
    let text = error.description
    // The error begins with the path, as ours does.
    return text.hasPrefix(error.path.string) ? String(text.dropFirst(error.path.string.count).drop { ":, ".contains($0) }) : text
  }

  private func checklistsAreHere(_ digests: [String: Digest]) {
    phase = .survey
    for file in files where !file.isChecklist && file.stage == .waiting {
      file.expected = digests[file.request.path]
      begin(file)
    }
  }

  private func begin(_ file: FileTask) {
    file.stage = .preparing
    let (part, expected, index, download) = (file.part, file.expected, file.index, download)
    // A licence that is here is as good as a new one; a checklist is not.
    let trusting = file.request.isOptional
    if file.isChecklist {
      let preparation: Preparation
      do throws(TransferError) {
        try part.open()
        try part.startAfresh()
        preparation = .partial(note: nil)
      } catch { preparation = .failed(error) }
      return prepared(file, preparation)
    }
    hashing.submit {
      let preparation = part.prepare(expected: expected, trusting: trusting) { download.isCancelled.load(ordering: .relaxed) || download.isEnding.load(ordering: .relaxed) }
      download.mailbox.post(.prepared(file: index, preparation))
    }
  }

  private func survey(_ open: [FileTask]) throws(TransferError) {
    var space = statvfs()
    guard statvfs(request.folder, &space) == 0 else { throw .disk(path: request.folder, errno: errno) }
    let (free, overflow) = Int(clamping: space.f_bavail).multipliedReportingOverflow(by: Int(clamping: space.f_frsize))
    var needed = 0
    var missing = 0
    for file in open {
      let length = file.length ?? 0
      let (sum, tooLarge) = needed.addingReportingOverflow(max(0, length - file.part.bytesOnDisk))
      if tooLarge { throw .noRoom(needed: .max, free: free, folder: request.folder) }
      needed = sum
      missing += length - file.written.total
    }
    if !overflow, needed > free { throw .noRoom(needed: needed, free: free, folder: request.folder) }
    let present = files.reduce(0) { $0 + ($1.stage.isOver ? $1.length ?? 0 : $1.written.total) }
    let survey = TransferSurvey(files: open.count, bytes: missing, bytesPresent: present, free: overflow ? .max : free, expiry: link.expiry)
    if let confirm = download.confirm, !open.isEmpty, !confirm(survey) { throw .declined }
  }

  // MARK: Messages

  private func handle(_ message: EngineMessage) {
    switch message {
    case .wake: break
    case .prepared(let index, let preparation): prepared(files[index], preparation)
    case .hashed(let index):
      let file = files[index]
      if file.part.hasCaughtUp { for connection in file.connections { connection.resume() } }
      settle(file)
    case .committed(let index, let wasThere, let error):
      let file = files[index]
      if let error { fail(file, error, isFatal: true) } else { finish(file, wasThere ? .present : file.before > 0 ? .resumed : .downloaded) }
    case .newLink(let new):
      isAsking = false
      guard let new else { return }
      link = new
      refusal = nil
      linkIsProven = false
      for file in files {
        file.notBefore = 0
        file.failures = 0
      }
    }
  }

  private func prepared(_ file: FileTask, _ preparation: Preparation) {
    guard file.stage == .preparing else { return }
    switch preparation {
    case .failed(let error): fail(file, error, isFatal: true)
    case .present(let bytes, let md5):
      file.part.state.withLock { ($0.length, $0.origin) = (bytes, .finished) }
      file.digest = md5
      finish(file, .present)
    case .beginning(let size, let hash, let note):
      if let note { tell(note) }
      file.beginning = (size, hash)
      file.stage = .fetching
    case .partial(let note):
      if let note { tell(note) }
      file.before = file.written.total
      if file.before > 0 { file.isAboveDoubt = false }
      file.stage = .fetching
      settle(file)
    }
  }

  /// Looks whether the file is whole, and if so whether it is right.
  func settle(_ file: FileTask) {
    guard file.stage == .fetching || file.stage == .verifying, file.isFullyWritten else { return }
    file.stage = .verifying
    guard file.part.isWhole else { return }
    let (digest, sha256) = file.part.state.withLock { ($0.md5.hash.digest, $0.sha256.hash.finalize()) }
    (file.digest, file.sha256) = (digest, sha256)
    if let expected = file.expected, expected != digest { return mismatched(file, expected, digest) }
    if file.isChecklist {
      // What is not a checklist must not get the name of one, least of all in place of one that is.
      do throws(TransferError) { _ = try Self.entries(of: file, at: file.part.partPath) } catch {
        _ = file.part.discard(keeping: false)
        return fail(file, error)
      }
    }
    file.stage = .committing
    let (part, index, mailbox, isChecklist) = (file.part, file.index, mailbox, file.isChecklist)
    keeping.submit {
      var failure: TransferError?
      let wasThere = isChecklist && part.isSameAsFinished
      if wasThere { _ = part.discard(keeping: false) } else { do throws(TransferError) { try part.commit() } catch { failure = error } }
      mailbox.post(.committed(file: index, wasThere: wasThere, failure))
    }
  }

  private func mismatched(_ file: FileTask, _ expected: Digest, _ actual: Digest) {
    // What came from an earlier run, or from an answer that promised no length, may be at fault; one fresh start tells.
    if !file.isAboveDoubt, file.freshStarts == 0 {
      return startAfresh(file, "what was here before doesn't fit the checklist")
    }
    let kept = file.part.discard(keeping: request.keepsCorrupt)
    fail(file, .mismatch(path: file.request.path, expected: expected, actual: actual, kept: kept))
  }

  /// Throws away what is here of a file, and begins again.
  func startAfresh(_ file: FileTask, _ why: String) {
    for connection in file.connections { connection.ending = .superseded }
    file.freshStarts += 1
    guard file.freshStarts <= 3 else {
      return fail(file, .unavailable(path: file.request.path, origin: link.origin, why: "the file changes on the server again and again"))
    }
    tell("\(file.request.path): \(why); it is fetched afresh")
    do throws(TransferError) { try file.part.startAfresh() } catch { return fail(file, error, isFatal: true) }
    file.part.state.withLock { $0.expected = file.expected }
    (file.isMet, file.isAllocated, file.isAboveDoubt, file.before, file.beginning, file.stage) = (false, false, true, 0, nil, .fetching)
  }

  func tell(_ note: String) { download.observe(.note(note)) }

  func fail(_ file: FileTask, _ error: TransferError, isFatal: Bool = false) {
    guard !file.stage.isOver else { return }
    for connection in file.connections { connection.ending = .superseded }
    file.stage = .failed
    failures.append(error)
    if isFatal || file.isChecklist { fatal = fatal ?? error }
    download.observe(.failed(file: file.index, error))
  }

  func skip(_ file: FileTask) {
    file.stage = .skipped
    download.observe(.skipped(file: file.index))
  }

  func finish(_ file: FileTask, _ status: TransferReport.Status) {
    guard !file.stage.isOver else { return }
    let total = file.length ?? 0
    file.stage = .finished(status)
    download.observe(.progress(file: file.index, done: total, total: total, before: status == .present ? total : file.before))
    download.observe(.finished(file: file.index, status, isVerified: file.expected != nil))
  }

  /// The link opens nothing any more: what is under way may end, and a new one is asked for.
  func linkRefused(_ error: TransferError) {
    guard refusal == nil else { return }
    refusal = error
    guard let ask = download.newLink else { return }
    isAsking = Workers.detach { [download] in
      do { download.mailbox.post(.newLink(try ask(error))) } catch { download.cancel() }
    }
  }

  // MARK: Time

  private func throttle() {
    while let wait = limiter?.delay(), wait > 0, !download.isCancelled.load(ordering: .relaxed) {
      let slice = min(wait, 0.1)
      usleep(UInt32(slice * 1e6))
      // Nobody stalls while nobody listens.
      for connection in connections { connection.lastByte += slice }
      keepHouse()
    }
  }

  private func keepHouse() {
    let now = steadySeconds()
    guard now - lastReport >= 0.1 else { return }
    lastReport = now
    for connection in connections where connection.ending == nil && !connection.isPaused && connection.isStalled(now, after: request.stallSeconds, isLimited: limiter != nil) { connection.ending = .stalled }
    // What waits for long is lost for longer.
    for connection in connections where connection.ending == nil { connection.flush() }
    for connection in connections {
      switch connection.ending {
      case .stalled, .superseded, .disk: ended(connection, CURLE_OK)
      case .reachedLimit, .judged, nil: break
      }
    }
    for file in files where file.stage == .fetching || file.stage == .verifying {
      let (written, length, failure) = file.part.state.withLock { ($0.written.total, $0.length, $0.failure) }
      if failure != 0 { fail(file, .disk(path: file.request.path, errno: failure), isFatal: true) }
      guard reported.updateValue(written, forKey: file.index) != written else { continue }
      download.observe(.progress(file: file.index, done: written, total: length, before: file.before))
    }
    let received = segmentation.received
    segmentation.adapt(now: now, active: connections.count)
    warnOfExpiry(rate: segmentation.rate, since: now - started, received: received)
  }

  private func warnOfExpiry(rate: Double, since: Double, received: Int) {
    guard !warnedOfExpiry, let expiry = link.expiry, since > 3, rate > 0, phase == .bulk else { return }
    let missing = files.reduce(0) { $0 + ($1.stage.isOver ? 0 : ($1.length ?? 0) - $1.written.total) }
    let needed = Double(missing) / rate
    let left = Double(expiry - secondsSinceEpoch())
    guard needed > left else { return }
    warnedOfExpiry = true
    tell("the link ends in \(Moment.ago(max(0, Int(left)))), and at this speed \(Moment.ago(Int(min(needed, 1e9)))) are needed; have a new one ready: the download goes on with it where this one ends")
  }

  func jitter() -> Double { Double.random(in: 0..<1, using: &random) }
}
