import CCurl
import Glibc
import Integrity
import Platform
import Synchronization

/// Making requests, and what comes of them.
extension Engine {
  // MARK: Starting

  func schedule() {
    // A whole answer would stand before a full window, and hold up those that the file's taker waits for.
    for file in passing where !file.takesRanges && file.stage == .fetching && file.connections.isEmpty && !file.isFullyArrived {
      fail(file, .unavailable(path: file.request.path, origin: link.origin, why: "it doesn't give parts of the file as they are needed here; `drover download` takes it as a whole"))
    }
    guard fatal == nil, refusal == nil, check == nil else { return }
    let now = steadySeconds()
    guard now >= quietUntil, !keeper.hasBacklog else { return }
    while connections.count < tuner.connections {
      if let work = firstRequest() {
        guard start(work) else { return }
        continue
      }
      let schedule = Schedule(connections: tuner.connections, rate: tuner.rate, usualRate: tuner.usualRate(connections.compactMap { $0.meanRate(now) }))
      guard let work = schedule.next(files, phase: phase, now: now), start(work) else { return }
    }
  }

  /// The first request for a file of which nothing is known: of thousands of files it is found at once.
  private func firstRequest() -> Schedule.Work? {
    moveFirstUnasked()
    // Some may still be looked at; what is far ahead of them waits.
    for file in files[firstUnasked...].prefix(64) where file.stage == .fetching && !file.isAsked && file.takesRanges && file.length == nil && file.held == nil && file.beginning == nil {
      return Schedule.Work(file: file, range: 0..<Schedule.probeBytes, isProbe: true)
    }
    return nil
  }

  /// Passes over files that were asked for, or needn't be.
  func moveFirstUnasked() {
    while firstUnasked < files.count {
      let file = files[firstUnasked]
      guard file.isAsked || file.stage.isOver || file.stage == .fetching && file.length != nil else { return }
      firstUnasked += 1
    }
  }

  private func start(_ work: Schedule.Work) -> Bool {
    let file = work.file
    file.isAsked = true
    if phase == .bulk, !file.isAllocated, let length = file.length, length > WholeFile.mostBytes {
      file.isAllocated = true
      allocate(file, length)
    }
    guard let handle = idleHandles.popLast() ?? makeHandle() else {
      fatal = .library("no more handles")
      return false
    }
    let connection = Connection(self, idlestLoop, handle: handle, work)
    connection.configure(address: link.address(of: file.request.remote))
    connection.loop.starting.append(connection)
    if connection.loop !== loops[0] { connection.loop.wake() }
    connections.append(connection)
    file.connections.append(connection)
    if let range = work.range { file.ask(range) }
    return true
  }

  /// Has the disk promise room for all of a file, while its first bytes come.
  private func allocate(_ file: FileTask, _ length: Int) {
    let (part, index, mailbox) = (file.part, file.index, mailbox)
    preparing.submit {
      do throws(TransferError) { try part.allocate(length) } catch { mailbox.post(.failed(file: index, error)) }
    }
  }

  private func makeHandle() -> UnsafeMutableRawPointer? {
    guard let handle = EasyHandle.make(to: link, authorities: authorities, stallSeconds: request.stallSeconds) else { return nil }
    ccurl_easy_setopt_long(handle, CURLOPT_BUFFERSIZE, Self.bufferBytes(limit: request.bytesPerSecond))
    return handle
  }

  /// Bytes that one call of libcurl may bring; small enough for a rate limit to be smooth, and for a core's second-level cache.
  private static func bufferBytes(limit: Int?) -> Int { max(1024, min(256 << 10, (limit ?? .max) / 16)) }

  // MARK: Judging

  /// An answer of no more is in memory before anybody waits for it.
  private static let smallBytes = 64 << 10

  /// Says what an answer means, and learns from it what the file is.
  func judge(_ connection: Connection) -> Judgement {
    let file = connection.file
    let head = connection.head
    // Of a file that a checklist vouches for, every mirror has the same: its checksum tells in the end.
    let isVouchedFor = file.isVouchedFor
    let known = file.isMet ? file.validators : Validators()
    var judgement = Judgement(
      head, asked: connection.asked, length: file.length, validators: known, isVouchedFor: isVouchedFor, isDecoding: connection.isDecoding,
      allowsHTML: file.request.isOptional)
    if judgement == .whole(total: 0) || judgement == .complete(total: 0), !mayBeEmpty(file) { judgement = .notTheFile("nothing") }
    if !isVouchedFor { judgement = withoutAnyonesWord(judgement, connection) }
    // What is small may be something else in the file's place, and passes at once if it is the file.
    if case .whole(let total) = judgement, file.partial == nil, total ?? .max > Self.smallBytes || !file.arrived.isEmpty {
      judgement = .rangesBroken("the whole file where a part was asked for")
    }
    switch judgement {
    case .part(let total, _):
      guard let total else { return .rangesBroken("a part of a file without saying how long it is") }
      learn(file, head, total)
    case .whole(let total):
      if let total { learn(file, head, total) } else { file.isAboveDoubt = false }
      // Of what passes by, only what is small comes as a whole; if it was something else, the file is asked for in parts again.
      if file.partial != nil { file.takesRanges = false }
      file.isMet = true
      linkOpens(file)
      for other in file.connections where other !== connection { other.ending = .superseded }
    default: break
    }
    return takeOver(file, judgement)
  }

  /// An empty answer is a checklist or a licence at most, or what a checklist says to be empty.
  private func mayBeEmpty(_ file: FileTask) -> Bool {
    file.request.isOptional || file.isChecklist || file.expected == file.newChain.hash.digest.digest || file.blob == GitBlobID(of: [])
  }

  func learn(_ file: FileTask, _ head: ResponseHead, _ total: Int) {
    linkOpens(file)
    (file.isMet, file.otherLength) = (true, nil)
    learn(file, length: total)
    file.part.state.update { $0.validators = head.validators }
  }

  func learn(_ file: FileTask, length: Int) {
    file.learn(length: length)
    landing.learn(file.index, length: length)
    file.part.state.update { $0.length = length }
  }

  /// Decides whether what another program left under the final name is a beginning of this file.
  private func takeOver(_ file: FileTask, _ judgement: Judgement) -> Judgement {
    guard let beginning = file.beginning else { return judgement }
    switch judgement {
    case .part(let total?, _) where total > beginning.position:
      // Nothing would tell whether it is one.
      guard file.expected != nil else {
        forgetBeginning(of: file)
        return .dropped
      }
      (file.beginning, file.stage) = (nil, .preparing)
      guard let part = file.partial else { return judgement }
      let (index, download, name) = (file.index, download, file.request.path)
      preparing.submit {
        do throws(TransferError) {
          try part.copyBeginning(beginning.position) { download.isCancelled.load(ordering: .relaxed) || download.isEnding.load(ordering: .relaxed) }
          _ = part.keep(.init(hash: beginning.hash, followerState: beginning.followerState), isClosed: false)
          let note = "\(name): \(beginning.position) bytes of another program's download are here, and are gone on from"
          download.mailbox.post(.prepared(file: index, .partial(beginning, note: note)))
        } catch { download.mailbox.post(.prepared(file: index, .failed(error))) }
      }
      // The place to go on from is another one now.
      return .dropped
    case .changed:
      // Longer than the file: not its beginning.
      forgetBeginning(of: file)
      return .dropped
    case .whole:
      forgetBeginning(of: file)
      return judgement
    default: return judgement
    }
  }
}
