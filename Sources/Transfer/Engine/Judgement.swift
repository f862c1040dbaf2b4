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
  /// 401 or 403: the link opens nothing (any more).
  case refused
  /// 407: a proxy lets nobody through without a password.
  case proxyRefused
  /// 404 or 410.
  case missing
  /// The server wants to be left alone for a while.
  case busy
  /// The server failed in a way that may pass.
  case failed(String)
  /// The server can't do ranges of this file properly; ask for the whole.
  case rangesBroken(String)
  /// A page in place of a file.
  case html

  /// - Parameters:
  ///   - asked: the range that was asked for; nil when the whole file was.
  ///   - length: the file's length, as far as known.
  ///   - validators: what the server said before.
  ///   - isVouchedFor: whether a checksum will tell in the end.
  package init(_ head: ResponseHead, asked: Range<Int>?, length: Int?, validators: Validators, isVouchedFor: Bool = false, allowsHTML: Bool) {
    switch head.status {
    case 200, 206:
      if head.contentType.hasPrefix("text/html"), !allowsHTML { self = .html; return }
      if isVouchedFor ? validators.contradictAcrossRuns(head.validators) : validators.contradict(head.validators) { self = .changed; return }
      self = head.status == 200 ? Self.whole(head, length: length) : Self.part(head, asked: asked, length: length)
    case 401, 403: self = .refused
    case 404, 410: self = .missing
    case 407: self = .proxyRefused
    case 416: self = Self.unsatisfiable(head, asked: asked, length: length)
    case 429, 503: self = .busy
    case 408, 500...: self = .failed("HTTP status \(head.status)")
    default: self = .failed("an unexpected HTTP status \(head.status)")
    }
  }

  private static func whole(_ head: ResponseHead, length: Int?) -> Judgement {
    // The length of a compressed body is not the file's.
    let total = head.isEncoded ? nil : head.contentLength
    if let total, let length, total != length { return .changed }
    return .whole(total: total)
  }

  private static func part(_ head: ResponseHead, asked: Range<Int>?, length: Int?) -> Judgement {
    guard let asked else { return .failed("a part of the file where the whole was asked for") }
    if head.isEncoded { return .rangesBroken("a compressed part") }
    guard let range = head.contentRange else { return .rangesBroken("a part without saying which") }
    if let total = head.totalLength, let length, total != length { return .changed }
    guard range.lowerBound == asked.lowerBound else { return .rangesBroken("another part than the one asked for") }
    // A server may give less than was asked for; the rest is asked for again.
    return .part(total: head.totalLength, end: min(asked.upperBound, range.upperBound + 1))
  }

  private static func unsatisfiable(_ head: ResponseHead, asked: Range<Int>?, length: Int?) -> Judgement {
    guard let asked else { return .failed("HTTP status 416 to a request for the whole") }
    guard let total = head.totalLength else { return .rangesBroken("HTTP status 416") }
    if let length, total != length { return .changed }
    if asked.lowerBound == total { return .complete(total: total) }
    // Past the end: what is here is longer than the file. Before the end: the server can't do it.
    return asked.lowerBound > total ? .changed : .rangesBroken("HTTP status 416 to a part that it has")
  }
}
