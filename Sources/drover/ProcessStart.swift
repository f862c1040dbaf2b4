import Glibc

/// Prepares the process, before anything else is done.
enum ProcessStart {
  static func prepare() {
    endOnFirstSignals()
    endQuietlyOnCrashes()
    unblockSignals()
    // Beyond `ulimit -f` a write then fails, which is said and cleaned up after; the signal would end the program.
    signal(SIGXFSZ, SIG_IGN)
    // What libcurl and OpenSSL would write there opens the recorded traffic, and with it the link.
    unsetenv("SSLKEYLOGFILE")
    standInForClosedDescriptors()
  }

  /// Whoever starts drover from a thread that blocks signals, as those of libdispatch do, hands that on: Ctrl-C and SIGTERM would never come.
  private static func unblockSignals() {
    var none = sigset_t()
    sigemptyset(&none)
    sigprocmask(SIG_SETMASK, &none, nil)
  }

  /// Until a command waits for them (`Interruption`), SIGINT, SIGTERM and SIGHUP end the program as they do later, with the exit code for it.
  private static func endOnFirstSignals() {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
      var action = sigaction()
      // Ignored, as nohup asks for: that stays.
      guard sigaction(signal, nil, &action) == 0, unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 0 else { continue }
      action.__sigaction_handler.sa_handler = { _ in _exit(DroverExit.interrupted.rawValue) }
      sigaction(signal, &action, nil)
    }
  }

  /// Swift's own handler of crashes prints registers and what they point to, which may be the link, and takes Ctrl-\\ for a crash.
  private static func endQuietlyOnCrashes() {
    for signal in [SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGFPE, SIGBUS, SIGSEGV] {
      var action = sigaction()
      guard sigaction(signal, nil, &action) == 0, unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) != 1 else { continue }
      action = sigaction()
      sigaction(signal, &action, nil)
    }
  }

  /// A download's threads need address space, far more than memory, and end the program where they get none in their midst.
  static func checkAddressSpace() throws(CommandError) {
    // On two cores it is 780 MB; with more there are more threads.
    let least: rlim_t = 1 << 30
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0, limit.rlim_cur < least else { return }
    throw CommandError(.failure, "ulimit -v leaves \(limit.rlim_cur >> 10) kB of address space, and a download needs \(least >> 10); raise it, or limit memory in another way (a cgroup)")
  }

  /// A process may be started with standard input, output or error closed; the next files that it opens would get their numbers, and messages would be
  /// written into them. `/dev/null` is opened in their place, the wrong way round, so that reading and writing still fail.
  private static func standInForClosedDescriptors() {
    for (descriptor, flags) in [(STDIN_FILENO, O_WRONLY), (STDOUT_FILENO, O_RDONLY), (STDERR_FILENO, O_RDONLY)]
    where fcntl(descriptor, F_GETFD) < 0 { _ = open("/dev/null", flags) }
  }
}
