import Platform
import Synchronization
import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// The signals that ask the program to end (SIGINT of Ctrl-C, SIGTERM, SIGHUP), for work that has something to save first.
public enum Interruption {
  /// A pipe. The signal handler writes a byte to it, which nobody reads: so from the first signal on `poll` finds it readable, for everyone who waits.
  private static let ends = try? FileDescriptor.pipe(options: .closeOnExec)
  private static let writeEnd = Atomic<Int32>(-1)

  /// Catches SIGINT, SIGTERM and SIGHUP, where they aren't ignored: what `nohup` or a script's `&` asked for stays. A second signal ends the process
  /// at once.
  static let isCaught: Bool = {
    guard let ends else { return false }
    writeEnd.store(ends.writeEnd.rawValue, ordering: .releasing)
    for signal in [SIGINT, SIGTERM, SIGHUP] {
      var action = sigaction()
      guard sigaction(signal, nil, &action) == 0, unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) != 1 else { continue }
      // Only what a signal handler may do: write to the pipe.
      action.__sigaction_handler.sa_handler = { _ in
        var byte: UInt8 = 1
        let saved = errno
        _ = write(Interruption.writeEnd.load(ordering: .acquiring), &byte, 1)
        errno = saved
      }
      action.sa_flags = Int32(bitPattern: UInt32(SA_RESETHAND))
      sigaction(signal, &action, nil)
    }
    return true
  }()

  /// Calls `body` once, on a thread of its own, when SIGINT, SIGTERM or SIGHUP comes, or at once if one has come since a question was asked. A second
  /// signal ends the process at once.
  public static func onSignal(_ body: @escaping @Sendable () -> Void) {
    guard isCaught else { return }
    // Where the system has no thread to give, the first signal changes nothing and the second one ends the process.
    _ = Workers.detach {
      _ = waitToRead(nil)
      body()
    }
  }

  /// Waits until `descriptor` can be read, or has come to its end; without one, for a signal.
  /// - Returns: false when a signal came first.
  static func waitToRead(_ descriptor: FileDescriptor?) -> Bool {
    // `poll` passes over negative descriptors.
    var polled = [ends?.readEnd, descriptor].map { pollfd(fd: $0?.rawValue ?? -1, events: Int16(POLLIN), revents: 0) }
    while poll(&polled, 2, -1) < 0, errno == EINTR {}
    return polled[0].revents == 0
  }
}
