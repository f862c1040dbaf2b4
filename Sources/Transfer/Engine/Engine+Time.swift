import CCurl
import Glibc
import Platform
import Synchronization

/// What is due every few moments.
extension Engine {
  /// Seconds between two looks; a third of what the first journal may take.
  static let lookInterval = 0.03

  /// Keeps to the limit of the rate.
  func throttle() {
    while let wait = limiter?.delay(), wait > 0, !download.isCancelled.load(ordering: .relaxed) {
      let slice = min(wait, 0.1)
      pause(seconds: slice)
      // Bytes that weren't read don't count as bytes that didn't come.
      for connection in connections { connection.lastByte += slice }
      lookAround()
    }
  }

  func lookAround() {
    let now = steadySeconds()
    guard now - lastLook >= Self.lookInterval else { return }
    lastLook = now
    let usualRate = tuner.usualRate(connections.compactMap { $0.meanRate(now) })
    for connection in connections where connection.ending == nil {
      if !connection.isPaused, connection.isStalled(now, usualRate: usualRate, isLimited: limiter != nil) { connection.ending = .stalled }
      connection.measure(now)
      // Bytes of a slow connection become safe before a block is full.
      connection.publish()
    }
    for file in files where file.stage == .fetching || file.stage == .verifying {
      if let failure = file.part.state.peek({ $0.failure }) { fail(file, file.part.failure(failure), isFatal: true) }
      let arrived = file.arrived.total
      notice(file)
      guard file.reported != arrived else { continue }
      file.reported = arrived
      download.observe(.progress(file: file.index, done: arrived, total: file.length, before: file.before))
    }
    // Of files that pass by a few at a time have requests, and all have bytes coming.
    let waiting = passing.count { $0.stage == .fetching && $0.connections.isEmpty && !$0.isFullyArrived }
    landing.expect(files: min(Set(connections.map(\.file.index)).count + waiting, max(1, tuner.connections)))
    tuner.adapt(now: now, active: connections.count)
    warnOfExpiry(since: now - started)
  }

  private func warnOfExpiry(since: Double) {
    guard !warnedOfExpiry, let expiry = link.expiry, since > 3, tuner.rate > 0, phase == .bulk else { return }
    let missing = files.reduce(0) { $0 + ($1.stage.isOver ? 0 : ($1.length ?? 0) - $1.arrived.total) }
    let needed = Double(missing) / tuner.rate
    let left = Double(expiry - secondsSinceEpoch())
    // One that is over by this machine's clock was told of before.
    guard left > 0, needed > left else { return }
    warnedOfExpiry = true
    tell("the link ends in \(Moment.ago(max(0, Int(left)))), and at this speed \(Moment.ago(Int(min(needed, 1e9)))) are needed; have a new one ready: the download goes on with it where this one ends")
  }

  func jitter() -> Double { Double.random(in: 0..<1, using: &random) }
}
