import CKernels

#if canImport(Glibc)
  import Glibc
#endif

/// A thread of the system's, for work that blocks on disks or computes for long, which Swift's own pool is not for.
package struct WorkerThread: Sendable {
  private let handle: pthread_t

  /// Calls `body` on a new thread.
  /// - Returns: nil where the system has no thread to give.
  package static func start(_ body: @escaping @Sendable () -> Void) -> WorkerThread? {
    let box = Unmanaged.passRetained(Box(body))
    var thread = pthread_t()
    let status = pthread_create(&thread, nil, { raw in
      if let raw { Unmanaged<Box>.fromOpaque(raw).takeRetainedValue().body() }
      return nil
    }, box.toOpaque())
    guard status == 0 else {
      box.release()
      return nil
    }
    return WorkerThread(handle: thread)
  }

  /// Waits until the thread has ended. To be called once, or else `detach`.
  package func join() { pthread_join(handle, nil) }

  /// Says that nobody will wait for the thread.
  package func detach() { pthread_detach(handle) }

  private final class Box: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
}

/// Threads by the dozen.
package enum Workers {
  /// Processors that this process may run on: those of its affinity mask.
  package static var available: Int { Int(drover_cpu_count()) }

  /// Calls `body` on `count` threads, one of them the caller's, and returns when all have returned.
  package static func run(_ count: Int, _ body: @escaping @Sendable () -> Void) {
    // Where the system has fewer threads to give, the others do their work.
    let threads = (1..<max(1, count)).compactMap { _ in WorkerThread.start(body) }
    body()
    for thread in threads { thread.join() }
  }

  /// Calls `body` on a thread that nobody waits for.
  /// - Returns: whether the system had one to give.
  package static func detach(_ body: @escaping @Sendable () -> Void) -> Bool {
    guard let thread = WorkerThread.start(body) else { return false }
    thread.detach()
    return true
  }
}
