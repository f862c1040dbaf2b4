import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// Standard output and standard error, whole lines at a time.
public enum Console {
  /// Held while a line or a frame of bars is written, so that neither cuts into the other.
  static let lock = Mutex<ProgressDisplay?>(nil)

  /// Writes `text` to standard output as it is. For results.
  public static func output(_ text: String) { write(text, to: STDOUT_FILENO) }

  /// Writes a line to standard output. For results.
  public static func outputLine(_ text: String = "") { output(text + "\n") }

  /// Writes a line to standard error, above any bars. For what a person may want to know.
  public static func note(_ text: String) {
    lock.withLock { display in
      guard let display else { return write(text + "\n", to: STDERR_FILENO) }
      display.interrupt { write(text + "\n", to: STDERR_FILENO) }
    }
  }

  /// Writes the beginning of a line to standard error, for an answer to follow.
  public static func prompt(_ text: String) { write(text, to: STDERR_FILENO) }

  /// Writes an error to standard error, above any bars.
  public static func error(_ text: String) {
    note(Style.standardError("drover: ", .red) + text)
  }

  /// Whether file descriptor `descriptor` is a terminal.
  public static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }

  /// Columns of the terminal on standard error; 80 when there is none.
  public static var width: Int {
    var size = winsize()
    guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
    return Int(size.ws_col)
  }

  /// Asks on the terminal for a line that isn't shown while it is typed.
  /// - Returns: nil when there is no terminal to ask on, or input ended.
  public static func askSecret(_ prompt: String) -> String? { exclusively { readSecret(prompt) } }

  /// Asks on the terminal for a yes, which an empty line is too.
  /// - Returns: nil when there is no terminal to ask on.
  public static func confirm(_ question: String) -> Bool? {
    exclusively {
      let terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)
      guard terminal >= 0 else { return nil }
      defer { close(terminal) }
      write(question + " [Y/n] ", to: terminal)
      var line: [UInt8] = []
      var byte: UInt8 = 0
      while read(terminal, &byte, 1) == 1, byte != UInt8(ascii: "\n") { line.append(byte | 0x20) }
      // The end of input is not a yes.
      guard byte == UInt8(ascii: "\n") else { return false }
      return line.isEmpty || line == Array("y".utf8) || line == Array("yes".utf8)
    }
  }

  /// Keeps bars and notes off the screen while `body` talks to the terminal.
  private static func exclusively<R: Sendable>(_ body: () -> R) -> R {
    lock.withLock { display in
      guard let display else { return body() }
      var result: R?
      display.interrupt { result = body() }
      return result ?? body()
    }
  }

  private static func readSecret(_ prompt: String) -> String? {
    let terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)
    guard terminal >= 0 else { return nil }
    defer { close(terminal) }
    var saved = termios()
    guard tcgetattr(terminal, &saved) == 0 else { return nil }
    var silent = saved
    // Canonical mode would cut the line at 4,095 bytes, and a policy is longer than one thinks.
    silent.c_lflag &= ~tcflag_t(ECHO | ICANON)
    guard tcsetattr(terminal, TCSAFLUSH, &silent) == 0 else { return nil }
    defer {
      tcsetattr(terminal, TCSAFLUSH, &saved)
      write("\n", to: terminal)
    }
    write(prompt, to: terminal)
    var line: [UInt8] = []
    var byte: UInt8 = 0
    while read(terminal, &byte, 1) == 1 {
      switch byte {
      case UInt8(ascii: "\n"), UInt8(ascii: "\r"): return String(decoding: line, as: UTF8.self)
      case 4 where line.isEmpty: return nil
      case 8, 127: _ = line.popLast()
      default: line.append(byte)
      }
    }
    return line.isEmpty ? nil : String(decoding: line, as: UTF8.self)
  }

  static func write(_ text: String, to descriptor: Int32) {
    var text = text
    text.withUTF8 { bytes in
      var rest = UnsafeRawBufferPointer(bytes)
      while !rest.isEmpty {
        let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
        if count < 0 {
          if errno == EINTR { continue }
          return
        }
        rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
      }
    }
  }
}
