#if canImport(Glibc)
  import Glibc
#endif

/// Seconds on a clock that never steps: for pauses and rates.
package func steadySeconds() -> Double {
  var now = timespec()
  clock_gettime(CLOCK_MONOTONIC, &now)
  return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
}
