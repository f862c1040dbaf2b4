import CCurl
import Glibc
import Platform
import SystemPackage

/// How requests end, and what is done then.
extension Engine {
  /// Takes a loop's requests that have ended out of libcurl.
  func collect(_ loop: NetworkLoop) {
    var left: Int32 = 0
    while let message = curl_multi_info_read(loop.multi, &left) {
      guard message.pointee.msg == CURLMSG_DONE, let handle = message.pointee.easy_handle else { continue }
      let code = ccurl_message_result(message)
      if let connection = connections.first(where: { $0.handle == handle }) { ended(connection, code) } else if check?.handle == handle { checkEnded() }
    }
  }

  func ended(_ connection: Connection, _ code: CURLcode) {
    if code == CURLE_OK { connection.judge() }
    connection.end(isComplete: code == CURLE_OK || connection.ending == .reachedLimit)
    let file = connection.file
    let failure = code == CURLE_OK ? nil : RequestFailure(code, connection.handle, connection.head, origin: link.origin)
    let wasReused = RequestFailure.usedAnOldConnection(connection.handle)
    // It may have become superfluous before its thread began it; its handle goes to another request now.
    connection.loop.starting.removeAll { $0 === connection }
    curl_multi_remove_handle(connection.loop.multi, connection.handle)
    idleHandles.append(connection.handle)
    connections.removeAll { $0 === connection }
    file.connections.removeAll { $0 === connection }
    tuner.ended(connection.meanRate(steadySeconds()))
    giveBack(connection)
    guard !file.stage.isOver, file.stage != .clearing else { return }
    notice(file)

    switch connection.ending {
    case .stalled:
      if connection.received == 0 { file.patience = max(file.patience ?? 0, connection.longerPatience(atMost: request.retry.mostPatience)) }
      retry(file, "next to nothing came for \(Int(request.stallSeconds)) seconds", .network)
    case .superseded, .overtaken, .reachedLimit: settle(file)
    case .judged(let judgement): act(on: judgement, connection)
    case nil:
      if let failure { return failed(connection, failure, wasReused: wasReused) }
      if connection.limit == .max { learn(file, length: connection.position) }
      if connection.position >= connection.limit || connection.limit == .max { settle(file) } else { retry(file, "the answer ended early", .network) }
    }
  }

  /// Takes account of new bytes, which show that the network is alive.
  func notice(_ file: FileTask) {
    let now = steadySeconds()
    if file.notice(now) { lastNewByte = now }
  }

  /// Sees to it that others bring what a request didn't.
  private func giveBack(_ connection: Connection) {
    let file = connection.file
    guard connection.limit != .max, connection.published < connection.limit else {
      for other in file.connections where other.slow === connection { other.ending = other.ending ?? .superseded }
      return
    }
    // Two connections fetch the same piece: then the other one goes on.
    if let slow = connection.slow { return slow.isDoubled = false }
    if let other = file.connections.first(where: { $0.slow === connection && $0.ending == nil }) { return other.goOnAlone() }
    file.giveBack(connection.published..<connection.limit)
  }

  /// Who answered, or should have: the link's host, or the one that it redirects to.
  private func origin(of connection: Connection) -> String { connection.head.asked ?? link.origin }

  private func act(on judgement: Judgement, _ connection: Connection) {
    let file = connection.file
    let path = file.request.path
    let status = connection.head.status
    switch judgement {
    case .part, .whole: break
    case .dropped: settle(file)
    case .complete(let total): complete(connection, total)
    case .changed: startAfresh(file, "the file changed on the server")
    case .otherLength(let length): otherLength(file, length)
    case .refused where status == 401 && link.origin.hasPrefix("http:") && Proxy.named(for: link.origin) != nil: proxyRefused(file, Proxy.refusal(401, origin: link.origin))
    case .refused: refused(connection, from: origin(of: connection))
    case .proxyRefused: proxyRefused(file, Proxy.refusal(status, origin: link.origin))
    case .missing:
      if file.request.isOptional { return skip(file) }
      fail(file, .missing(path: path, status: status))
    case .busy:
      tuner.halve()
      let wait = connection.head.retryAfter
      if let wait, wait > request.retry.longestRetryAfter {
        return fail(file, .unavailable(path: path, origin: origin(of: connection), why: "the server asks to come back in \(Moment.ago(Int(min(wait, 1e9))))"))
      }
      retry(file, "HTTP status \(status)", .network, after: wait)
    case .failed(let why): retry(file, why, .network)
    case .wrong(let why): retry(file, why, .answer)
    case .rangesBroken(let why):
      if file.counted < min(2, request.retry.tries) { return retry(file, why, .answer) }
      (file.takesRanges, file.counted, file.failures) = (false, 0, 0)
      if file.partial != nil { tell("\(path): the server can't give parts of it (\(why)); it is fetched in one piece") }
      settle(file)
    case .encoded:
      (file.takesRanges, file.decodes) = (false, true)
      settle(file)
    case .html where file.request.isOptional && !opened.isEmpty:
      tell("\(path): \(link.origin) answered with a page of HTML in place of it; it isn't needed")
      skip(file)
    case .html: hold(file, .html(path: path, origin: origin(of: connection)))
    case .notTheFile(let what): hold(file, .notTheFile(path: path, origin: origin(of: connection), what: what))
    }
  }

  /// The file ends where the question began.
  private func complete(_ connection: Connection, _ total: Int) {
    let file = connection.file
    learn(file, connection.head, total)
    guard let beginning = file.beginning else { return settle(file) }
    guard file.expected == nil else {
      tell("\(file.request.path): the file that is here \(file.request.digest == nil ? "doesn't agree with its checklist" : "is another version"); it is fetched afresh")
      return forgetBeginning(of: file)
    }
    (file.beginning, file.result, file.stage) = (nil, .init(beginning), .closing)
    let (part, index, mailbox) = (file.part, file.index, mailbox)
    keeper.submit {
      _ = part.discard(keeping: false)
      mailbox.post(.committed(file: index, wasThere: true, nil))
    }
  }

  /// The server says that a file has another length than it said before. Where a checksum will tell, what is here isn't thrown away for that: one
  /// mirror of many may have it wrong.
  private func otherLength(_ file: FileTask, _ length: Int) {
    guard file.expected != nil else { return startAfresh(file, "the file changed on the server") }
    let count = file.otherLength.map { $0.length == length ? $0.count + 1 : 1 } ?? 1
    file.otherLength = (length, count)
    // Who takes what passes waits for as many bytes as it was told of, and lets no others come.
    if count >= 3, (file.part as? PassingFile)?.length != nil {
      return fail(file, .changed(path: file.request.path, why: "it has \(length) bytes on the server now, where it had \(file.length ?? 0) before"))
    }
    if count >= 3, length >= file.arrived.ranges.last?.upperBound ?? 0 {
      tell("\(file.request.path): the server says again and again that it has \(length) bytes, and not \(file.length ?? 0); what is here stays, its checksum will tell")
      (file.otherLength, file.isAboveDoubt, file.isMet) = (nil, false, true)
      learn(file, length: length)
      return settle(file)
    }
    retry(file, "it says that the file has \(length) bytes, where it said \(file.length ?? 0) before", .answer)
  }

  private func proxyRefused(_ file: FileTask, _ why: String) { fail(file, .unavailable(path: file.request.path, origin: link.origin, why: why), isFatal: true) }

  private func failed(_ connection: Connection, _ failure: RequestFailure, wasReused: Bool) {
    let file = connection.file
    switch failure {
    case .authorities: fail(file, .authorities(authorities.file ?? "the system's certificates", variable: nil), isFatal: true)
    case .proxy(let why): proxyRefused(file, why)
    case .final(let why):
      // What a redirect leads to may hold for one file only.
      let error = TransferError.unavailable(path: file.request.path, origin: origin(of: connection), why: why)
      if 300...399 ~= connection.head.status { hold(file, error) } else { fail(file, error, isFatal: true) }
    // Left over from an earlier answer on the same connection, which is closed now: it says nothing about this file.
    case .junk where wasReused && connection.head.status == 0: settle(file)
    case .junk: retry(file, RequestFailure.notHTTP, .answer)
    case .encoding:
      file.takesRanges = false
      retry(file, RequestFailure.badEncoding, .answer)
    case .network(let why):
      // A server that cuts a connection while it serves another has enough of them.
      if connection.head.status == 0, connections.contains(where: { $0.head.status != 0 && $0.ending == nil }) {
        tuner.lower(to: connections.count, now: steadySeconds())
        file.notBefore = max(file.notBefore, steadySeconds() + request.retry.delay(after: 1, random: jitter()))
        return settle(file)
      }
      let host = origin(of: connection)
      retry(file, host == link.origin ? why : "redirected to \(host): \(why)", .network)
    }
  }

  /// What a failure speaks of.
  enum Blame {
    /// The way to the server, or the server's state: it may pass.
    case network
    /// What the server answers for this file.
    case answer
  }

  func retry(_ file: FileTask, _ why: String, _ blame: Blame, after: Double? = nil) {
    let now = steadySeconds()
    // Several requests that fail together count once.
    if file.notBefore > now, after == nil { return settle(file) }
    // As long as nothing comes for anyone, that is no failure of a file that hasn't begun.
    let isOutage = blame == .network && file.lastNewByte == nil && file.counted > 0 && (lastNewByte.map { $0 <= file.failedAt } ?? false)
    let silence = blame == .answer ? nil : (file.lastNewByte ?? (isOutage ? lastNewByte : nil)).map { now - $0 }
    file.failures += 1
    file.failedAt = now
    if !isOutage || request.retry.limit != nil { file.counted += 1 }
    if let end = request.retry.end(failures: file.counted, silence: silence) {
      if file.request.isOptional { return skip(file) }
      return fail(file, .unavailable(path: file.request.path, origin: link.origin, why: why + end))
    }
    let delay = request.retry.delay(after: file.failures, asked: after, random: jitter())
    file.notBefore = now + delay
    if after != nil { quietUntil = max(quietUntil, now + delay) }
    settle(file)
  }
}
