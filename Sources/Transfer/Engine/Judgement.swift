/// What an answer means for the file that was asked for.
package enum Judgement: Equatable {
  /// The bytes asked for follow; `total` is the file's length where the server told it.
  case part(total: Int?, end: Int)
  /// The whole file follows, though perhaps a part was asked for.
  case whole(total: Int?)
  /// Nothing follows: the file ends where the question began.
  case complete(total: Int)
  /// The server has another content than before.
  case changed
  /// The server says that the file has so many bytes, which isn't what it said before.
  case otherLength(Int)
  /// 401 or 403: the link doesn't open this (any more).
  case refused
  /// 407: a proxy lets nobody through without a password.
  case proxyRefused
  /// 404 or 410.
  case missing
  /// The server wants to be left alone for a while.
  case busy
  /// The server failed in a way that may pass.
  case failed(String)
  /// An answer that no good server gives.
  case wrong(String)
  /// The server can't do ranges of this file properly; ask for the whole.
  case rangesBroken(String)
  /// The body is compressed; ask for the whole, to be undone on the way.
  case encoded
  /// A page in place of a file.
  case html
  /// Something else in place of a file, in words that stand after "answered with".
  case notTheFile(String)
  /// Nothing of the answer is wanted, and what there is to do was done.
  case dropped

  /// - Parameters:
  ///   - asked: the range that was asked for; nil when the whole file was.
  ///   - length: the file's length, as far as known.
  ///   - validators: what the server said before.
  ///   - isVouchedFor: whether a checksum will tell in the end.
  ///   - isDecoding: whether compression is undone.
  package init(
    _ head: ResponseHead, asked: Range<Int>?, length: Int?, validators: Validators, isVouchedFor: Bool = false, isDecoding: Bool = false, allowsHTML: Bool
  ) {
    switch head.status {
    case 200, 206:
      if head.contentType.hasPrefix("text/html"), !allowsHTML { self = .html; return }
      if let encoding = head.encoding, !isDecoding {
        self = ResponseHead.known.contains(encoding) ? .encoded : .wrong("an answer in an encoding that isn't known")
        return
      }
      if isVouchedFor ? validators.contradictAcrossRuns(head.validators) : validators.contradict(head.validators) { self = .changed; return }
      self = head.status == 200 ? Self.whole(head, length: length) : Self.part(head, asked: asked, length: length)
    case 401, 403: self = .refused
    case 404, 410: self = .missing
    case 407: self = .proxyRefused
    case 416: self = Self.unsatisfiable(head, asked: asked, length: length)
    case 429, 503: self = .busy
    case 408, 500...: self = .failed("HTTP status \(head.status)")
    default: self = .wrong("an unexpected HTTP status \(head.status)")
    }
  }

  private static func whole(_ head: ResponseHead, length: Int?) -> Judgement {
    if head.isMultipart { return .wrong("parts of a file where the whole was due") }
    // The length of a compressed body is not the file's, and chunks go before a stated length: RFC 9112, section 6.3.
    let total = head.encoding != nil || head.isChunked ? nil : head.contentLength
    if let total, let length, total != length { return .otherLength(total) }
    return .whole(total: total)
  }

  private static func part(_ head: ResponseHead, asked: Range<Int>?, length: Int?) -> Judgement {
    guard let asked else { return .wrong("a part of the file where the whole was asked for") }
    if head.encoding != nil { return .rangesBroken("a compressed part") }
    // The parts stand in its body, each behind a head of its own: RFC 9110, section 14.6.
    if head.isMultipart { return .rangesBroken("several parts where one was asked for") }
    guard let range = head.contentRange else { return .rangesBroken("a part without saying which") }
    if let total = head.totalLength, let length, total != length { return .otherLength(total) }
    guard range.lowerBound == asked.lowerBound else { return .rangesBroken("another part than the one asked for") }
    // A server may give less than was asked for; the rest is asked for again.
    return .part(total: head.totalLength, end: min(asked.upperBound, range.upperBound + 1))
  }

  private static func unsatisfiable(_ head: ResponseHead, asked: Range<Int>?, length: Int?) -> Judgement {
    guard let asked else { return .wrong("HTTP status 416 to a request for the whole") }
    guard let total = head.totalLength else { return .rangesBroken("HTTP status 416") }
    if let length, total != length { return .otherLength(total) }
    if asked.lowerBound == total { return .complete(total: total) }
    // Past the end: what is here is longer than the file. Before the end: the server can't do it.
    return asked.lowerBound > total ? .changed : .rangesBroken("HTTP status 416 to a part that it has")
  }
}
