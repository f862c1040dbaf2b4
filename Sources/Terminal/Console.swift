import Platform
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
  private static let speaksJSON = Atomic(false)

  /// Makes every line on standard error a JSON object from now on, so that scripts can read them all: `{"event": "note"|"error", "text": …}`.
  public static func speakJSON() { speaksJSON.store(true, ordering: .relaxed) }

  /// Whether that was asked for.
  public static var isSpeakingJSON: Bool { speaksJSON.load(ordering: .relaxed) }

  /// Why something that was written to standard output didn't get there; nil when all did.
  public static var outputFailure: String? {
    let code = lost.load(ordering: .relaxed)
    return code == 0 ? nil : Errno(rawValue: code).description
  }

  // MARK: Standard output

  /// Writes `text` to standard output. For results.
  public static func output(_ text: TerminalText) { result(text.code) }

  /// Writes a line to standard output. For results.
  public static func outputLine(_ text: TerminalText = "") { result(text.code + "\n") }

  /// Writes what a model or a person said to standard output: as it is, but for what would speak to a terminal.
  public static func output(said text: String) { result(isTerminal(.standardOutput) ? TerminalText(speech: text).code : text) }

  /// Writes a document of this program's to standard output as it is: JSON, a help screen, a completion script.
  public static func output(document text: String) { result(text) }

  private static func result(_ text: String) {
    // A broken pipe: the program that read our output (`drover … | head`) has ended, which is no failure of ours.
    if let failure = write(text, to: .standardOutput), failure != .brokenPipe { lost.store(failure.rawValue, ordering: .relaxed) }
  }

  // MARK: Standard error

  /// Writes a line to standard error, above any bars. For what a person may want to know.
  public static func note(_ text: TerminalText) {
    let mark = "note: "
    say(isSpeakingJSON ? object("note", text.code.hasPrefix(mark) ? String(text.code.dropFirst(mark.count)) : text.code) : text.code)
  }

  /// Writes an error to standard error, above any bars.
  public static func error(_ text: String) { say(isSpeakingJSON ? object("error", text) : Style.standardError("drover: ", .red).code + TerminalText(text).code) }

  /// Writes what is wrong with the command line, and how it is used, to standard error.
  public static func usage(_ lines: String) { say(TerminalText(lines: lines).code) }

  private static func object(_ event: String, _ text: String) -> String { "{\"event\":\"\(event)\",\"text\":\(JSONText.harmless(JSONText.quoted(text)))}" }

  private static func say(_ line: String) {
    lock.withLock { screen in
      // Notes come from working threads, which must not wait until a person has answered.
      guard !screen.isAsking else { return screen.waiting.append(line) }
      screen.display?.clear()
      write(line + "\n", to: .standardError)
    }
  }

  /// Writes the beginning of a line to standard error, for an answer to follow.
  public static func prompt(_ text: TerminalText) { write(text.code, to: .standardError) }

  // MARK: The terminal

  /// Lets the program go on where whoever reads its messages ends early (`drover … 2>&1 | head`): for work that has something to finish.
  public static func outliveReaders() { signal(SIGPIPE, SIG_IGN) }

  public static func isTerminal(_ descriptor: FileDescriptor) -> Bool { isatty(descriptor.rawValue) == 1 }

  /// Columns of the terminal that output goes to; nil where it goes elsewhere.
  public static var outputColumns: Int? {
    var size = winsize()
    guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
    return Int(size.ws_col)
  }

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
