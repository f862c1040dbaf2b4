import CCurl
import Glibc
import Platform
import Synchronization

/// Making requests, and what comes of them.
extension Engine {
  // MARK: Starting

  func schedule() {
    guard fatal == nil, refusal == nil else { return }
    let now = steadySeconds()
    guard now >= quietUntil else { return }
    while connections.count < segmentation.connections, let work = segmentation.next(files, phase: phase, now: now) {
      if let victim = work.victim { victim.limit = work.range?.lowerBound ?? victim.limit }
      guard start(work) else { return }
    }
  }

  private func start(_ work: Segmentation.Work) -> Bool {
    let file = work.file
    if phase == .bulk, !file.isAllocated, let length = file.length {
      file.isAllocated = true
      do throws(TransferError) { try file.part.allocate(length) } catch {
        fail(file, error, isFatal: true)
        return false
      }
    }
    guard let handle = idleHandles.popLast() ?? makeHandle() else {
      fatal = .library("no more handles")
      return false
    }
    let connection = Connection(self, handle: handle, file: file, asked: work.range, isProbe: work.isProbe)
    connection.configure(address: link.address(of: file.request.remote))
    guard curl_multi_add_handle(multi, handle) == CURLM_OK else {
      fatal = .library("a request could not be made")
      return false
    }
    connections.append(connection)
    file.connections.append(connection)
    return true
  }

  private func makeHandle() -> UnsafeMutableRawPointer? {
    guard let handle = EasyHandle.make(origin: link.origin, authorities: request.authorities, stallSeconds: request.stallSeconds) else { return nil }
    ccurl_easy_setopt_long(handle, CURLOPT_BUFFERSIZE, segmentation.bufferSize(limit: request.bytesPerSecond))
    return handle
  }

  // MARK: Judging

  /// Says what an answer means, and learns from it what the file is.
  func judge(_ connection: Connection) -> Judgement {
    let file = connection.file
    let head = connection.head
    let isAnswer = head.status == 200 || head.status == 206
    // Of a file that a checklist vouches for, every mirror has the same: its checksum tells in the end.
    let isVouchedFor = file.expected != nil
    if isAnswer, !file.isMet, !isVouchedFor, file.validators.contradictAcrossRuns(head.validators) { return .changed }
    let known = file.isMet ? file.validators : Validators()
    let judgement = Judgement(
      head, asked: connection.asked, length: file.length, validators: known, isVouchedFor: isVouchedFor, allowsHTML: file.request.isOptional)
    switch judgement {
    case .part(let total, _):
      guard let total else { return .rangesBroken("a part of a file without saying how long it is") }
      learn(file, head, total)
    case .whole(let total):
      if let total { learn(file, head, total) } else { file.isAboveDoubt = false }
      file.takesRanges = false
      file.isMet = true
      linkIsProven = true
      for other in file.connections where other !== connection { other.ending = .superseded }
    default: break
    }
    return takeOver(file, judgement)
  }

  private func learn(_ file: FileTask, _ head: ResponseHead, _ total: Int) {
    linkIsProven = true
    file.isMet = true
    file.part.state.withLock { state in
      state.length = total
      state.validators = head.validators
    }
  }

  /// Decides whether what another program left under the final name is a beginning of this file.
  private func takeOver(_ file: FileTask, _ judgement: Judgement) -> Judgement {
    guard let beginning = file.beginning else { return judgement }
    switch judgement {
    case .part(let total?, _) where total > beginning.size:
      file.beginning = nil
      // Nothing would tell whether it is one.
      guard file.expected != nil else { return .failed("") }
      do throws(TransferError) { try file.part.adopt(size: beginning.size, hash: beginning.hash) } catch {
        fail(file, error, isFatal: true)
        return .failed("")
      }
      file.before = beginning.size
      file.isAboveDoubt = false
      tell("\(file.request.path): \(beginning.size) bytes of another program's download are here, and are gone on from")
      // The descriptor is another one now, and the place to go on from too.
      return .failed("")
    case .changed:
      // Longer than the file: not its beginning.
      file.beginning = nil
      return .failed("")
    case .whole:
      file.beginning = nil
      return judgement
    default: return judgement
    }
  }

  // MARK: Ending

  /// Takes the requests that have ended out of libcurl.
  func collect() {
    var left: Int32 = 0
    while let message = curl_multi_info_read(multi, &left) {
      guard message.pointee.msg == CURLMSG_DONE, let handle = message.pointee.easy_handle else { continue }
      let code = ccurl_message_result(message)
      if let connection = connections.first(where: { $0.handle == handle }) { ended(connection, code) }
    }
  }

  func ended(_ connection: Connection, _ code: CURLcode) {
    if code == CURLE_OK { connection.judge() }
    connection.end()
    let file = connection.file
    let certificate = code == CURLE_PEER_FAILED_VERIFICATION ? EasyHandle.verification(connection.handle) : ""
    var proxyStatus = 0
    ccurl_easy_getinfo_long(connection.handle, CURLINFO_HTTP_CONNECTCODE, &proxyStatus)
    curl_multi_remove_handle(multi, connection.handle)
    idleHandles.append(connection.handle)
    connections.removeAll { $0 === connection }
    file.connections.removeAll { $0 === connection }
    segmentation.received += connection.received
    guard !file.stage.isOver else { return }
    if connection.gained > 0 { file.failures = 0 }

    switch connection.ending {
    case .disk(let code): fail(file, .disk(path: file.request.path, errno: code), isFatal: true)
    case .stalled: retry(file, "next to nothing came for \(Int(request.stallSeconds)) seconds", progressed: connection.gained > 0)
    case .superseded, .reachedLimit: settle(file)
    case .judged(let judgement): act(on: judgement, connection)
    case nil where code == CURLE_OK:
      if connection.limit == .max { file.part.state.withLock { $0.length = connection.position } }
      if connection.position >= connection.limit || connection.limit == .max { settle(file) } else { retry(file, "the answer ended early", progressed: connection.gained > 0) }
    case nil where 300...499 ~= proxyStatus: proxyRefused(file, status: proxyStatus)
    case nil: failed(connection, code, certificate)
    }
  }

  private func act(on judgement: Judgement, _ connection: Connection) {
    let file = connection.file
    let status = connection.head.status
    switch judgement {
    case .part, .whole: break
    case .complete(let total):
      learn(file, connection.head, total)
      if let beginning = file.beginning {
        file.beginning = nil
        guard file.expected == nil else { return tell("\(file.request.path): the file that is here doesn't agree with its checklist; it is fetched afresh") }
        file.digest = beginning.hash.digest
        _ = file.part.discard(keeping: false)
        finish(file, .present)
      } else { settle(file) }
    case .changed: startAfresh(file, "the file changed on the server")
    case .refused:
      if file.request.isOptional, linkIsProven { return skip(file) }
      linkRefused(.refused(path: file.request.path, status: status, why: refusalReason()))
    case .proxyRefused: proxyRefused(file, status: status)
    case .missing:
      if file.request.isOptional { return skip(file) }
      fail(file, .missing(path: file.request.path, status: status))
    case .busy:
      segmentation.halve()
      let wait = connection.head.retryAfter
      if let wait, wait > request.retry.longestRetryAfter {
        return fail(file, .unavailable(path: file.request.path, origin: link.origin, why: "the server asks to come back in \(Moment.ago(Int(min(wait, 1e9))))"))
      }
      retry(file, "HTTP status \(status)", progressed: false, after: wait)
    case .failed(let why):
      if why.isEmpty { return }
      retry(file, why, progressed: false)
    case .rangesBroken(let why):
      if file.failures < min(2, request.retry.limit) { return retry(file, why, progressed: false) }
      (file.takesRanges, file.failures) = (false, 0)
      tell("\(file.request.path): the server can't give parts of it (\(why)); it is fetched in one piece")
      settle(file)
    case .html where file.request.isOptional && linkIsProven:
      tell("\(file.request.path): \(link.origin) answered with a page of HTML in place of it; it isn't needed")
      skip(file)
    case .html: fail(file, .html(path: file.request.path, origin: link.origin), isFatal: true)
    }
  }

  private func refusalReason() -> String { link.refusalReason(next: "ask for a new link and run the same command: what is here stays") }

  private func proxyRefused(_ file: FileTask, status: Int) {
    fail(file, .unavailable(path: file.request.path, origin: link.origin, why: Proxy.refusal(status, origin: link.origin)), isFatal: true)
  }

  private func failed(_ connection: Connection, _ code: CURLcode, _ certificate: String) {
    let file = connection.file
    func end(_ why: String) { fail(file, .unavailable(path: file.request.path, origin: link.origin, why: why), isFatal: true) }
    switch code {
    case CURLE_PEER_FAILED_VERIFICATION: end("its certificate can't be trusted (\(certificate)); --cacert names other authorities")
    case CURLE_SSL_CACERT_BADFILE: fail(file, .authorities(request.authorities ?? "the system's certificates"), isFatal: true)
    case CURLE_TOO_MANY_REDIRECTS: end("it redirects in a circle")
    case CURLE_UNSUPPORTED_PROTOCOL: end("it redirects to an address that is neither http nor https, or from https down to http, which is refused")
    case CURLE_URL_MALFORMAT: end("the link is malformed")
    case CURLE_PARTIAL_FILE, CURLE_GOT_NOTHING: retry(file, "the connection ended before the file did", progressed: connection.gained > 0)
    case CURLE_BAD_CONTENT_ENCODING:
      file.takesRanges = false
      retry(file, "the answer was compressed, and damaged", progressed: false)
    case CURLE_COULDNT_CONNECT, CURLE_COULDNT_RESOLVE_PROXY:
      let proxy = Proxy.named(for: link.origin).map { "the proxy \($0)" }
      retry(file, "couldn't connect to \(proxy ?? "the server")", progressed: false)
    default: retry(file, EasyHandle.words(for: code), progressed: connection.gained > 0)
    }
  }

  private func retry(_ file: FileTask, _ why: String, progressed: Bool, after: Double? = nil) {
    let now = steadySeconds()
    if progressed { file.failures = 0 }
    // Several requests that fail together count once.
    if !progressed, file.notBefore > now, after == nil { return settle(file) }
    file.failures += 1
    guard file.failures <= request.retry.limit else {
      if file.request.isOptional { return skip(file) }
      return fail(file, .unavailable(path: file.request.path, origin: link.origin, why: why + request.retry.told))
    }
    let delay = request.retry.delay(after: file.failures, asked: after, random: jitter())
    file.notBefore = now + delay
    if after != nil { quietUntil = max(quietUntil, now + delay) }
    settle(file)
  }
}
