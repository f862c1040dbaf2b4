#if canImport(Glibc)
  import Glibc
#endif

/// A mutex whose holder can let others in for a while, around calls that take long or that come back on their own.
package final class Lock: @unchecked Sendable {
  // Unchecked: a mutex is made for sharing.
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>

  package init() {
    mutex = .allocate(capacity: 1)
    pthread_mutex_init(mutex, nil)
  }

  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  /// Does `body` alone. Whoever holds the lock already must not call this.
  package func hold<R, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return try body()
  }

  /// Does `body` without the lock, which the caller holds and gets back.
  package func open<R>(_ body: () -> R) -> R {
    pthread_mutex_unlock(mutex)
    defer { pthread_mutex_lock(mutex) }
    return body()
  }
}
