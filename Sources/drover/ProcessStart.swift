import Glibc
import Terminal

/// Prepares the process, before anything else is done.
enum ProcessStart {
  static func prepare() {
    unblockSignals()
    explainLostPages()
    // Beyond `ulimit -f` a write then fails, which is said and cleaned up after; the signal would end the program.
    signal(SIGXFSZ, SIG_IGN)
    standInForClosedDescriptors()
  }

  /// Whoever starts drover from a thread that blocks signals, as those of libdispatch do, hands that on: Ctrl-C and SIGTERM would never come.
  private static func unblockSignals() {
    var none = sigset_t()
    sigemptyset(&none)
    sigprocmask(SIG_SETMASK, &none, nil)
  }

  /// The engine reads weights from mapped files. Where a file was cut short or its disk fails, touching its pages raises SIGBUS: this says so.
  private static func explainLostPages() {
    var action = sigaction()
    // Only what a signal handler may do.
    action.__sigaction_handler.sa_handler = { _ in
      let message: StaticString =
        Console.isSpeakingJSON
        ? "{\"event\":\"error\",\"text\":\"a file became shorter, or its disk failed, while it was read; run verify on it\"}\n"
        : "drover: a file became shorter, or its disk failed, while it was read; run verify on it\n"
      _ = write(STDERR_FILENO, message.utf8Start, message.utf8CodeUnitCount)
      _exit(DroverExit.failure.rawValue)
    }
    sigaction(SIGBUS, &action, nil)
  }

  /// A process may be started with standard input, output or error closed; the next files that it opens would get their numbers, and messages would be
  /// written into them. `/dev/null` is opened in their place, the wrong way round, so that reading and writing still fail.
  private static func standInForClosedDescriptors() {
    for (descriptor, flags) in [(STDIN_FILENO, O_WRONLY), (STDOUT_FILENO, O_RDONLY), (STDERR_FILENO, O_RDONLY)]
    where fcntl(descriptor, F_GETFD) < 0 { _ = open("/dev/null", flags) }
  }
}
