import Glibc

/// What has to be in order before anything else is done.
enum ProcessStart {
  static func prepare() {
    explainLostPages()
    standInForClosedDescriptors()
  }

  /// Files are mapped: the system answers with SIGBUS for pages that are gone when they are touched.
  private static func explainLostPages() {
    var action = sigaction()
    // Only what a signal handler may do.
    action.__sigaction_handler.sa_handler = { _ in
      let message: StaticString = "drover: a file became shorter, or its disk failed, while it was read; run verify on it\n"
      _ = write(STDERR_FILENO, message.utf8Start, message.utf8CodeUnitCount)
      _exit(DroverExit.failure.rawValue)
    }
    sigaction(SIGBUS, &action, nil)
  }

  /// Whoever started us without standard input, output or error would otherwise find there the first files that are opened. What is written to the
  /// stand-ins fails, as it would have.
  private static func standInForClosedDescriptors() {
    for (descriptor, flags) in [(STDIN_FILENO, O_WRONLY), (STDOUT_FILENO, O_RDONLY), (STDERR_FILENO, O_RDONLY)]
    where fcntl(descriptor, F_GETFD) < 0 { _ = open("/dev/null", flags) }
  }
}
