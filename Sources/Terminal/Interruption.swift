import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// Ctrl-C and its kin, for work that has something to save first.
public enum Interruption {
  private static let pipeEnd = Atomic<Int32>(-1)

  /// Calls `body` once, on a thread of its own, when SIGINT, SIGTERM or SIGHUP comes. A second signal ends the process at once.
  public static func onSignal(_ body: @escaping @Sendable () -> Void) {
    var ends: [Int32] = [-1, -1]
    guard pipe2(&ends) else { return }
    pipeEnd.store(ends[1], ordering: .releasing)
    let box = Unmanaged.passRetained(Box(descriptor: ends[0], body: body))
    var thread = pthread_t()
    let failed = pthread_create(&thread, nil, { raw in
      guard let raw else { return nil }
      let box = Unmanaged<Box>.fromOpaque(raw).takeRetainedValue()
      var byte: UInt8 = 0
      while read(box.descriptor, &byte, 1) < 0, errno == EINTR {}
      box.body()
      return nil
    }, box.toOpaque())
    guard failed == 0 else { return box.release() }
    pthread_detach(thread)
    for signal in [SIGINT, SIGTERM, SIGHUP] {
      var action = sigaction()
      // Only what a signal handler may do: write to the pipe.
      action.__sigaction_handler.sa_handler = { _ in
        var byte: UInt8 = 1
        let saved = errno
        _ = write(Interruption.pipeEnd.load(ordering: .acquiring), &byte, 1)
        errno = saved
      }
      action.sa_flags = Int32(bitPattern: UInt32(SA_RESETHAND))
      sigaction(signal, &action, nil)
    }
  }

  private static func pipe2(_ ends: inout [Int32]) -> Bool {
    guard pipe(&ends) == 0 else { return false }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return true
  }

  private final class Box: Sendable {
    let descriptor: Int32
    let body: @Sendable () -> Void
    init(descriptor: Int32, body: @escaping @Sendable () -> Void) {
      self.descriptor = descriptor
      self.body = body
    }
  }
}
