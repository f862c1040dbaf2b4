/// How often and how soon a failed request is made again.
public struct RetryPolicy: Sendable {
  /// Failures in a row, without a byte between them, before a file is given up.
  public var limit: Int
  /// Seconds before the first retry; doubled for each further one.
  public var base: Double
  /// Most seconds between two retries.
  public var cap: Double
  /// Longest `Retry-After` that is waited for; a server that wants more is told of instead.
  public var longestRetryAfter: Double

  public init(limit: Int = 10, base: Double = 0.5, cap: Double = 30, longestRetryAfter: Double = 600) {
    self.limit = limit
    self.base = base
    self.cap = cap
    self.longestRetryAfter = longestRetryAfter
  }

  /// What an error says of it.
  var told: String { limit == 0 ? "" : ", after \(limit == 1 ? "one retry" : "\(limit) retries")" }

  /// Seconds to wait after `failures` failures in a row: exponential, and spread over the upper half so that clients don't come back together.
  /// - Parameter asked: what the server asks for, which goes before. One that is busy and asks for no patience needs some.
  package func delay(after failures: Int, asked: Double? = nil, random: Double) -> Double {
    if let asked, asked > 0 { return asked }
    var delay = base
    for _ in 1..<max(1, min(failures, 32)) { delay = min(delay * 2, cap) }
    return min(delay, cap) * (0.5 + random / 2)
  }
}
