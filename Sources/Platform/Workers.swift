import CKernels

#if canImport(Glibc)
  import Glibc
#endif

/// Threads that block on disks and count in tight loops, which Swift's own pool is not for.
package enum Workers {
  /// Processors that this process may run on.
  package static var available: Int { Int(drover_cpu_count()) }

  /// Calls `body` on `count` threads, one of them the caller's, and returns when all have.
  package static func run(_ count: Int, _ body: @escaping @Sendable () -> Void) {
    // With fewer threads the work takes longer, nothing else.
    let threads = (1..<max(1, count)).compactMap { _ in start(body) }
    body()
    for thread in threads { pthread_join(thread, nil) }
  }

  /// Calls `body` on a thread that nobody waits for.
  /// - Returns: whether the system had one to give.
  package static func detach(_ body: @escaping @Sendable () -> Void) -> Bool {
    guard let thread = start(body) else { return false }
    pthread_detach(thread)
    return true
  }

  private static func start(_ body: @escaping @Sendable () -> Void) -> pthread_t? {
    let box = Unmanaged.passRetained(Box(body))
    var thread = pthread_t()
    let status = pthread_create(&thread, nil, { raw in
      if let raw { Unmanaged<Box>.fromOpaque(raw).takeRetainedValue().body() }
      return nil
    }, box.toOpaque())
    if status == 0 { return thread }
    box.release()
    return nil
  }

  private final class Box: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
}
