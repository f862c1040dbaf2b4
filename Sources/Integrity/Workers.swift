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
    var threads: [pthread_t] = []
    for _ in 1..<max(1, count) {
      let box = Unmanaged.passRetained(Box(body))
      var thread = pthread_t()
      let status = pthread_create(&thread, nil, { raw in
        if let raw { Unmanaged<Box>.fromOpaque(raw).takeRetainedValue().body() }
        return nil
      }, box.toOpaque())
      // With fewer threads the work takes longer, nothing else.
      if status == 0 { threads.append(thread) } else { box.release() }
    }
    body()
    for thread in threads { pthread_join(thread, nil) }
  }

  private final class Box: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
}
