import Platform

/// What a server says with a 401 or 403, as far as it is an answer that is known. Nothing of its text is repeated: servers quote the address in it.
struct Refusal: Equatable {
  enum Cause: Equatable {
    /// CloudFront's geographic restriction.
    case country
    /// A firewall for web applications, as CloudFront has one.
    case firewall
    /// A page that isn't CloudFront's: a filter's, a login's.
    case page
    /// The time is over, as the server says.
    case expired
    /// The signature doesn't fit what was asked for, or a part of it is missing.
    case signature
  }

  let cause: Cause?
  /// Seconds that this machine's clock is ahead of the server's; nil when they agree to a few minutes.
  let clockAhead: Int?

  /// What the answers of CloudFront, S3, Google and Azure hold, in lower case.
  private static let known: [(Cause, [String])] = [
    (.country, ["block access from your country"]),
    (.expired, ["request has expired", "<code>expiredtoken</code>", "<code>requesttimetooskewed</code>", "not valid in the specified time frame"]),
    (.signature, ["<code>signaturedoesnotmatch</code>", "<code>missingkey</code>", "<code>invalidkey</code>", "<code>malformedpolicy</code>", "<code>malformedsignature</code>", "<code>authenticationfailed</code>"]),
    (.firewall, ["request blocked"]),
  ]

  init(_ head: ResponseHead, excerpt: [UInt8], now: Int = secondsSinceEpoch()) {
    let text = String(decoding: excerpt, as: UTF8.self).lowercased()
    let isPage = head.contentType.hasPrefix("text/html") || text.contains("<html") || text.contains("<!doctype html")
    cause = Self.known.first { $0.1.contains { text.contains($0) } }?.0 ?? (isPage && !text.contains("cloudfront") ? .page : nil)
    clockAhead = head.date.flatMap { date in (abs(now - date) > 300) ? now - date : nil }
  }

  /// Why, and what to do.
  /// - Parameters:
  ///   - host: who refused.
  ///   - next: what to do about a link that has ended.
  func words(_ link: SignedLink, host: String, next: String, now: Int = secondsSinceEpoch()) -> String {
    let why = switch cause {
    case .expired: "its time is over, says \(host); \(next)"
    case .signature: "its signature doesn't fit, says \(host): it was changed or cut off on the way; copy it again up to its end, and put it in single quotes"
    case .country, .firewall, .page, nil: ofTheWay(host) ?? link.refusalReason(next: next, now: now - (clockAhead ?? 0))
    }
    return why + ofTheClock
  }

  /// The same of one file, behind a link that opens others.
  func words(host: String) -> String { (ofTheWay(host) ?? "it is for other files, or \(host) lacks this one; all else is fetched") + ofTheClock }

  /// What stands between this machine and the file, whatever the link.
  private func ofTheWay(_ host: String) -> String? {
    switch cause {
    case .country: "\(host) says that it is blocked in the country that the request came from; ask from a network elsewhere"
    case .firewall: "a firewall before \(host) blocked the request; wait a while, and ask for less at a time with --connections 1"
    case .page: "a page of HTML came with it, such as filters and login pages of networks send; see whether the network lets \(host) through"
    case .expired, .signature, nil: nil
    }
  }

  private var ofTheClock: String {
    clockAhead.map { " (this machine's clock is \(Moment.ago(abs($0))) \($0 > 0 ? "ahead of" : "behind") the server's)" } ?? ""
  }

  /// Whether the link's time is over, by the server's clock.
  func isOver(_ link: SignedLink, now: Int = secondsSinceEpoch()) -> Bool {
    cause == .expired || link.expiry.map { $0 <= now - (clockAhead ?? 0) } ?? false
  }
}
