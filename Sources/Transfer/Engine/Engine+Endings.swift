import CCurl
import Glibc
import Platform
import SystemPackage

/// How requests end, and what is done then.
extension Engine {
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
    tuner.ended(connection.meanRate(steadySeconds()))
    giveBack(connection)
    guard !file.stage.isOver, file.stage != .clearing else { return }
    if connection.gained > 0 { file.failures = 0 }

    switch connection.ending {
    case .stalled: retry(file, "next to nothing came for \(Int(request.stallSeconds)) seconds", progressed: connection.gained > 0)
    case .superseded, .overtaken, .reachedLimit: settle(file)
    case .judged(let judgement): act(on: judgement, connection)
    case nil where code == CURLE_OK:
      if connection.limit == .max { learn(file, length: connection.position) }
      if connection.position >= connection.limit || connection.limit == .max { settle(file) } else { retry(file, "the answer ended early", progressed: connection.gained > 0) }
    case nil where 300...499 ~= proxyStatus: proxyRefused(file, status: proxyStatus)
    case nil: failed(connection, code, certificate)
    }
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

  private func act(on judgement: Judgement, _ connection: Connection) {
    let file = connection.file
    let status = connection.head.status
    switch judgement {
    case .part, .whole: break
    case .complete(let total):
      learn(file, connection.head, total)
      guard let beginning = file.beginning else { return settle(file) }
      guard file.expected == nil else {
        tell("\(file.request.path): the file that is here doesn't agree with its checklist; it is fetched afresh")
        return forgetBeginning(of: file)
      }
      (file.beginning, file.result) = (nil, .init(beginning))
      _ = file.part.discard(keeping: false)
      finish(file, .present)
    case .changed: startAfresh(file, "the file changed on the server")
    case .refused:
      if file.request.isOptional, linkIsProven { return skip(file) }
      linkRefused(.refused(path: file.request.path, status: status, why: refusalReason()))
    case .proxyRefused: proxyRefused(file, status: status)
    case .missing:
      if file.request.isOptional { return skip(file) }
      fail(file, .missing(path: file.request.path, status: status))
    case .busy:
      tuner.halve()
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
    // Without a status line: bytes that nobody asked for, behind an earlier answer on the same connection.
    case CURLE_UNSUPPORTED_PROTOCOL where connection.head.status == 0: retry(file, "the answer isn't HTTP", progressed: false)
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
