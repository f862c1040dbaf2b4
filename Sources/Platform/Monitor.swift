#if canImport(Glibc)
  import Glibc
#endif

/// A value that several threads change one at a time, and whose changes they can wait for.
package final class Monitor<State>: @unchecked Sendable {
  // Unchecked: `state` is only touched with the lock held.
  private var state: State
  private var waiting = 0
  private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let change = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

  package init(_ state: sending State) {
    self.state = state
    pthread_mutex_init(lock, nil)
    pthread_cond_init(change, nil)
  }

  deinit {
    pthread_cond_destroy(change)
    pthread_mutex_destroy(lock)
    change.deallocate()
    lock.deallocate()
  }

  /// Changes the value, and wakes those who wait, or one of them where the change is of use to only one.
  package func update<R>(wakingOne: Bool = false, _ body: (inout State) -> R) -> R {
    pthread_mutex_lock(lock)
    defer { pthread_mutex_unlock(lock) }
    let result = body(&state)
    if waiting > 0 { _ = wakingOne ? pthread_cond_signal(change) : pthread_cond_broadcast(change) }
    return result
  }

  /// Waits until `body` returns something else than nil; it is asked again after every change.
  package func wait<R>(_ body: (inout State) -> R?) -> R {
    pthread_mutex_lock(lock)
    defer { pthread_mutex_unlock(lock) }
    while true {
      if let result = body(&state) { return result }
      waiting += 1
      pthread_cond_wait(change, lock)
      waiting -= 1
    }
  }
}
