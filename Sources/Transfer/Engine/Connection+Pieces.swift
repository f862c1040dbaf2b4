/// How requests share the pieces of a file: one ends where another has begun, or two fetch the same.
extension Connection {
  /// How many of the next bytes are here already, or come over another connection.
  func skip(_ count: Int) -> Int {
    if let slow {
      if position + count <= slow.position { return count }
      // From here on this connection is ahead.
      skipUntil = max(skipUntil, slow.position)
      slow.isOvertaken(by: self)
      self.slow = nil
    }
    return max(0, min(skipUntil - position, count))
  }

  private func isOvertaken(by other: Connection) {
    if other.limit < limit { file.giveBack(other.limit..<limit) }
    limit = position
    ending = .overtaken
  }

  /// Whether another connection may fetch what it has been asked for too.
  var isDoublable: Bool { ending == nil && limit != .max && slow == nil && !isDoubled }

  /// Whether someone else may fetch a part of what it has been asked for.
  var isCuttable: Bool { isDoublable && !isProbe && !isDirectory }

  /// The other connection that fetched this one's piece has ended.
  func goOnAlone() {
    skipUntil = max(skipUntil, slow?.published ?? 0)
    slow = nil
  }

  /// Ends it `count` bytes from here; the rest is for others.
  func cut(after count: Int) {
    let end = limit
    limit = min(limit, position + count)
    file.giveBack(limit..<end)
  }
}
