#if canImport(Glibc)
  import Glibc
#endif

/// A value that several threads change one at a time, and whose changes they can wait for: a mutex and a condition variable.
package final class Monitor<State>: @unchecked Sendable {
  // Unchecked: `state` and `waiting` are only touched with the lock held; the lock and the condition are made for sharing.
  private var state: State
  /// Threads that wait for a change.
  private var waiting = 0
  private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let change = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

  package init(_ state: sending State) {
    self.state = state
    pthread_mutex_init(lock, nil)
    // The clock of `steadySeconds`, for waits that end by themselves.
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    pthread_cond_init(change, &attributes)
    pthread_condattr_destroy(&attributes)
  }

  deinit {
    pthread_cond_destroy(change)
    pthread_mutex_destroy(lock)
    change.deallocate()
    lock.deallocate()
  }

  /// Changes the value, and wakes all threads that wait, or one of them where the change is of use to only one.
  package func update<R>(wakingOne: Bool = false, _ body: (inout State) -> R) -> R {
    pthread_mutex_lock(lock)
    defer { pthread_mutex_unlock(lock) }
    let result = body(&state)
    if waiting > 0 { _ = wakingOne ? pthread_cond_signal(change) : pthread_cond_broadcast(change) }
    return result
  }

  /// Reads the value, or changes it in a way that nobody waits for.
  package func peek<R>(_ body: (inout State) -> R) -> R {
    pthread_mutex_lock(lock)
    defer { pthread_mutex_unlock(lock) }
    return body(&state)
  }

  /// Waits until `body` returns something else than nil; it is asked at once, and again after every update.
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

  /// The same, for at most `seconds`.
  /// - Returns: nil when `body` returned nothing else in that time.
  package func wait<R>(atMost seconds: Double, _ body: (inout State) -> R?) -> R? {
    var until = timespec(seconds: steadySeconds() + max(0, seconds))
    pthread_mutex_lock(lock)
    defer { pthread_mutex_unlock(lock) }
    while true {
      if let result = body(&state) { return result }
      waiting += 1
      let status = pthread_cond_timedwait(change, lock, &until)
      waiting -= 1
      if status == ETIMEDOUT { return body(&state) }
    }
  }

  /// Waits until `body` returns something else than nil; it is asked at once, after every update, and when the time has come that it asks for.
  /// - Parameter body: sets its second argument, which is nil before, to a time on the clock of `steadySeconds`.
  package func wait<R>(_ body: (inout State, inout Double?) -> R?) -> R {
    pthread_mutex_lock(lock)
    defer { pthread_mutex_unlock(lock) }
    while true {
      var time: Double?
      if let result = body(&state, &time) { return result }
      waiting += 1
      if let time {
        var until = timespec(seconds: time)
        pthread_cond_timedwait(change, lock, &until)
      } else {
        pthread_cond_wait(change, lock)
      }
      waiting -= 1
    }
  }
}
