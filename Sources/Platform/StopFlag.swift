import Synchronization

/// Raised by one thread, such as one that waits for Ctrl-C, and asked by those who work.
package final class StopFlag: Sendable {
  private let value = Atomic(false)

  package init() {}

  package func raise() { value.store(true, ordering: .relaxed) }

  package var isRaised: Bool { value.load(ordering: .relaxed) }
}
