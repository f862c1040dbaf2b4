/// How often, how long and how soon what failed is asked for again.
///
/// What has delivered is tried again by time: a router that restarts and a server that is mended bring the rest. What has never delivered is tried a few
/// times only, and so is what is answered wrongly: that doesn't pass by waiting.
public struct RetryPolicy: Sendable {
  /// Tries without a new byte before a file is given up; nil for `usualLimit` where time doesn't count.
  public var limit: Int?
  /// Seconds since the last new byte before a file is given up; nil for `usualTime`, or for any time where there is a limit.
  public var time: Double?
  /// Seconds before the first retry; doubled for each further one.
  public var base: Double
  /// Most seconds between two retries.
  public var cap: Double
  /// Longest `Retry-After` that is waited for; a server that wants more is told of instead.
  public var longestRetryAfter: Double
  /// Most seconds that the first byte of an answer is waited for, where shorter waits have brought none.
  public var mostPatience: Double

  public static let usualLimit = 10
  public static let usualTime = 1800.0
  /// Refusals and pages in place of one file, behind a link that opens others.
  private static let mostRefusals = 3

  public init(limit: Int? = nil, time: Double? = nil, base: Double = 0.5, cap: Double = 30, longestRetryAfter: Double = 600, mostPatience: Double = 600) {
    self.limit = limit
    self.time = time
    self.base = base
    self.cap = cap
    self.longestRetryAfter = longestRetryAfter
    self.mostPatience = mostPatience
  }

  /// Tries where time doesn't count.
  package var tries: Int { limit ?? Self.usualLimit }
  /// Tries of what is refused.
  var refusals: Int { min(Self.mostRefusals, tries) }

  /// Whether to give up.
  /// - Parameters:
  ///   - failures: in a row, without a new byte between them.
  ///   - silence: seconds since the last new byte; nil where time doesn't count.
  /// - Returns: words to end the reason with, or nil to go on.
  package func end(failures: Int, silence: Double?) -> String? {
    if failures > limit ?? (silence == nil ? Self.usualLimit : .max) { return Self.told(tries) }
    guard let silence, let most = time ?? (limit == nil ? Self.usualTime : nil), silence > most else { return nil }
    return ", after \(Moment.ago(Int(min(silence, 1e9)))) without a new byte"
  }

  /// What an error says of `retries` that brought nothing.
  static func told(_ retries: Int) -> String { retries == 0 ? "" : ", after \(retries == 1 ? "one retry" : "\(retries) retries")" }

  /// Seconds to wait after `failures` failures in a row: exponential, and spread over the upper half so that clients don't come back together.
  /// - Parameter asked: what the server asks for, which goes before. One that is busy and asks for no patience needs some.
  package func delay(after failures: Int, asked: Double? = nil, random: Double) -> Double {
    if let asked, asked > 0 { return asked }
    var delay = base
    for _ in 1..<max(1, min(failures, 32)) { delay = min(delay * 2, cap) }
    return min(delay, cap) * (0.5 + random / 2)
  }
}
