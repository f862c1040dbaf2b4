/// Whether a request brings enough to go on with it.
extension Connection {
  /// Bytes a second below which another request is worth a try in any run.
  private static let leastRate = 1000.0

  /// Whether it brings nothing any more, or next to nothing of something that can be asked for again.
  /// - Parameters:
  ///   - usualRate: of this run's connections, where it is known.
  ///   - isLimited: whether it isn't let bring more.
  func isStalled(_ now: Double, usualRate: Double?, isLimited: Bool) -> Bool {
    if now - lastByte > (received == 0 ? patience.first : patience.next) { return true }
    guard received > 0, now - watched.start > patience.next else { return false }
    defer { watched = (now, received) }
    let least = max(Self.leastRate, (usualRate ?? 0) / 16)
    return !isLimited && file.takesRanges && Double(received - watched.received) < least * (now - watched.start)
  }

  /// Seconds that are worth waiting for the first byte, when so many have brought none.
  func longerPatience(atMost most: Double) -> Double { max(patience.first, min(patience.first * 2, most)) }

  /// Looks every second how much came.
  func measure(_ now: Double) {
    guard now - measured.start >= 1 else { return }
    if !isPaused { rate = Double(received - measured.received) / (now - measured.start) }
    measured = (now, received)
  }

  /// Bytes a second over its whole life; nil when it was too short to tell.
  func meanRate(_ now: Double) -> Double? { received >= 1 << 18 ? Double(received) / max(1e-6, now - startedAt) : nil }
}
