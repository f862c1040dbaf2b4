import Synchronization
import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// Standard output and standard error, whole lines at a time.
public enum Console {
  struct Screen {
    var display: ProgressDisplay?
    /// A question is open: bars stay away, and notes wait.
    var isAsking = false
    var waiting: [String] = []
  }

  /// Held while a line or a frame of bars is written, so that neither cuts into the other.
  static let lock = Mutex(Screen())

  private static let lost = Atomic<Int32>(0)

  /// Why something that was written to standard output didn't get there; nil when all did.
  public static var outputFailure: String? {
    let code = lost.load(ordering: .relaxed)
    return code == 0 ? nil : Errno(rawValue: code).description
  }

  /// Writes `text` to standard output as it is. For results.
  public static func output(_ text: String) {
    // A broken pipe: the program that read our output (`drover … | head`) has ended, which is no failure of ours.
    if let failure = write(text, to: .standardOutput), failure != .brokenPipe { lost.store(failure.rawValue, ordering: .relaxed) }
  }

  /// Writes a line to standard output. For results.
  public static func outputLine(_ text: String = "") { output(text + "\n") }

  /// Writes a line to standard error, above any bars. For what a person may want to know.
  public static func note(_ text: String) {
    lock.withLock { screen in
      // Notes come from working threads, which must not wait until a person has answered.
      guard !screen.isAsking else { return screen.waiting.append(text) }
      screen.display?.clear()
      write(text + "\n", to: .standardError)
    }
  }

  /// Writes the beginning of a line to standard error, for an answer to follow.
  public static func prompt(_ text: String) { write(text, to: .standardError) }

  /// Writes an error to standard error, above any bars.
  public static func error(_ text: String) {
    // Line breaks are the message's own; other control characters come with names from outside.
    note(Style.standardError("drover: ", .red) + text.split(separator: "\n", omittingEmptySubsequences: false).map { Format.name(String($0)) }.joined(separator: "\n"))
  }

  public static func isTerminal(_ descriptor: FileDescriptor) -> Bool { isatty(descriptor.rawValue) == 1 }

  /// Columns of the terminal on standard error; 80 when there is none.
  public static var width: Int { size.columns }

  /// Of the terminal on standard error; 80 by 24 when there is none.
  static var size: (columns: Int, rows: Int) {
    var size = winsize()
    guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else { return (80, 24) }
    return (Int(size.ws_col), Int(size.ws_row))
  }

  /// - Returns: nil, or why not all of it got there.
  @discardableResult static func write(_ text: String, to descriptor: FileDescriptor) -> Errno? {
    var text = text
    return text.withUTF8 { bytes in
      var rest = UnsafeRawBufferPointer(bytes)
      while !rest.isEmpty {
        do {
          rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(try descriptor.write(rest)))
        } catch Errno.wouldBlock {
          // The parent has set the pipe to O_NONBLOCK, and it is full.
          var full = pollfd(fd: descriptor.rawValue, events: Int16(POLLOUT), revents: 0)
          poll(&full, 1, -1)
        } catch {
          return error as? Errno ?? .ioError
        }
      }
      return nil
    }
  }
}
