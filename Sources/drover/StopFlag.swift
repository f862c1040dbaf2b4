import Synchronization

/// Raised on one thread, seen on others.
final class StopFlag: Sendable {
  private let value = Atomic(false)
  func raise() { value.store(true, ordering: .relaxed) }
  var isRaised: Bool { value.load(ordering: .relaxed) }
}
