import Synchronization

/// Counts the bytes of a file that were written, in any order.
final class FileProgress: Sendable {
  private struct State {
    var bytes = 0
    /// What was written since the disk was last told to begin.
    var unsynced: Range<Int>?
    var unsyncedBytes = 0
  }

  /// Bytes that go to the disk together.
  private static let syncBytes = 16 << 20

  private let state = Mutex(State())
  private let report: @Sendable (_ bytes: Int) -> Void

  /// - Parameter report: called on any thread with the bytes that are done.
  init(_ report: @escaping @Sendable (_ bytes: Int) -> Void) { self.report = report }

  /// - Returns: a stretch of the file whose way to the disk should begin now.
  func add(_ count: Int, at offset: Int) -> Range<Int>? {
    let (bytes, stretch) = state.withLock { state -> (Int, Range<Int>?) in
      state.bytes += count
      let range = offset..<offset + count
      let sum = state.unsynced.map { min($0.lowerBound, range.lowerBound)..<max($0.upperBound, range.upperBound) } ?? range
      state.unsyncedBytes += count
      guard state.unsyncedBytes >= Self.syncBytes else {
        state.unsynced = sum
        return (state.bytes, nil)
      }
      (state.unsynced, state.unsyncedBytes) = (nil, 0)
      return (state.bytes, sum)
    }
    report(bytes)
    return stretch
  }
}
