#if canImport(Glibc)
  import Glibc
#endif

/// Seconds on a clock that is never set back or forward (CLOCK_MONOTONIC): for measuring, rates and pauses. Only differences mean something.
package func steadySeconds() -> Double {
  var now = timespec()
  clock_gettime(CLOCK_MONOTONIC, &now)
  return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
}

/// Seconds since 1970, by this machine's clock.
public func secondsSinceEpoch() -> Int { time(nil) }

/// Lets this thread sleep for `seconds`; a signal doesn't shorten that.
package func pause(seconds: Double) {
  var left = timespec(seconds: max(0, seconds))
  var asked = left
  while nanosleep(&asked, &left) != 0, errno == EINTR { asked = left }
}

extension timespec {
  init(seconds: Double) {
    // A thousand years; more would overflow.
    let seconds = min(seconds, 3e10)
    self.init(tv_sec: Int(seconds), tv_nsec: Int((seconds - seconds.rounded(.down)) * 1e9))
  }
}
