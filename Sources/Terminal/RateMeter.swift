/// Bytes a second over the last few seconds.
package struct RateMeter {
  private static let window = 5.0
  private var samples: [(time: Double, bytes: Int)] = []

  package init() {}

  /// - Parameter bytes: of this run so far. Fewer than before: it began again.
  package mutating func record(_ bytes: Int, at time: Double) {
    if let last = samples.last {
      if bytes < last.bytes { samples = [] } else if time - last.time < 0.1 { return }
    }
    samples.append((time, bytes))
    while samples.count > 2, time - samples[1].time > Self.window { samples.removeFirst() }
  }

  /// 0 when nothing came for as long as it looks back.
  package func bytesPerSecond(at now: Double) -> Double {
    guard let first = samples.last(where: { now - $0.time > Self.window }) ?? samples.first, let last = samples.last, now > first.time else { return 0 }
    return Double(last.bytes - first.bytes) / (now - first.time)
  }
}
