import Platform

/// A bucket of bytes that fills with time.
struct RateLimiter {
  private let bytesPerSecond: Double
  private var allowance: Double
  private var filled: Double

  init(bytesPerSecond: Int, now: Double = steadySeconds()) {
    self.bytesPerSecond = Double(max(1, bytesPerSecond))
    allowance = self.bytesPerSecond / 10
    filled = now
  }

  mutating func take(_ bytes: Int) { allowance -= Double(bytes) }

  /// Seconds to wait before the next read.
  mutating func delay(now: Double = steadySeconds()) -> Double {
    // What wasn't used in a tenth of a second is lost: no bursts.
    allowance = min(bytesPerSecond / 10, allowance + (now - filled) * bytesPerSecond)
    filled = now
    return max(0, -allowance / bytesPerSecond)
  }
}
