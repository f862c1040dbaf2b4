import Foundation
import Glibc
import Synchronization

/// A program on a terminal of its own: what it writes is on the screen, what a person types goes to it, and Ctrl-C is a signal.
public final class PseudoTerminal: Sendable {
  private let master: Int32
  public let process: pid_t
  private let seen = Mutex([UInt8]())
  private let status = Mutex<Int32?>(nil)

  /// Starts `executable` as the leader of a session whose terminal this is.
  public init(_ executable: String, _ arguments: [String], environment: [String: String] = [:], columns: Int = 80, rows: Int = 24) throws {
    // What posix_openpt, unlockpt and ptsname do: ioctl_tty(2). Glibc's module doesn't have them.
    let master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
    var (unlocked, number) = (Int32(0), Int32(0))
    guard master >= 0, ioctl(master, 0x4004_5431, &unlocked) == 0, ioctl(master, 0x8004_5430, &number) == 0 else {
      throw Nginx.Failed(description: "no pseudo-terminal: errno \(errno)")
    }
    self.master = master
    var size = winsize(ws_row: UInt16(rows), ws_col: UInt16(columns), ws_xpixel: 0, ws_ypixel: 0)
    _ = ioctl(master, UInt(TIOCSWINSZ), &size)

    let all = ProcessInfo.processInfo.environment.merging(["TERM": "xterm-256color"]) { $1 }.merging(environment) { $1 }.filter { !$0.value.isEmpty }
    let newSession: Int16 = 0x80
    do {
      process = try Child.spawn(executable, arguments, environment: all, flags: newSession) { actions in
        // The first terminal that the leader of a session opens is its controlling one.
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/pts/\(number)", O_RDWR, 0)
        posix_spawn_file_actions_adddup2(&actions, 0, 1)
        posix_spawn_file_actions_adddup2(&actions, 0, 2)
      }
    } catch {
      close(master)
      throw error
    }
    let child = process
    Thread.detachNewThread { [self] in
      var chunk = [UInt8](repeating: 0, count: 65536)
      while true {
        let count = read(master, &chunk, chunk.count)
        if count > 0 { seen.withLock { $0 += chunk[..<count] } } else if count == 0 || errno != EINTR { break }
      }
      var raw: Int32 = 0
      while waitpid(child, &raw, 0) < 0, errno == EINTR {}
      status.withLock { $0 = exitCode(raw) }
    }
  }

  /// Everything that has been written so far, escape codes and all.
  public var screen: String { String(decoding: seen.withLock { $0 }, as: UTF8.self) }

  /// Bytes written so far.
  public var count: Int { seen.withLock { $0.count } }

  /// Types `text`; `\u{3}` is Ctrl-C, `\u{4}` Ctrl-D.
  public func type(_ text: String) {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { write(master, $0.baseAddress, $0.count) }
      guard count > 0 else { return }
      rest = rest.dropFirst(count)
    }
  }

  /// Waits, at most a minute, until `text` has been written `times`.
  public func wait(for text: String, times: Int = 1) -> Bool {
    wait { self.screen.components(separatedBy: text).count > times }
  }

  public func wait(until isTrue: () -> Bool) -> Bool {
    for _ in 0..<6000 {
      if isTrue() { return true }
      if status.withLock({ $0 != nil }) { return isTrue() }
      usleep(10_000)
    }
    return false
  }

  /// Gives the terminal another width, which tells the program so with SIGWINCH.
  public func resize(columns: Int, rows: Int = 24) {
    var size = winsize(ws_row: UInt16(rows), ws_col: UInt16(columns), ws_xpixel: 0, ws_ypixel: 0)
    _ = ioctl(master, UInt(TIOCSWINSZ), &size)
  }

  /// Whether what is typed is shown.
  public var echoes: Bool {
    var settings = termios()
    return tcgetattr(master, &settings) == 0 && settings.c_lflag & tcflag_t(ECHO) != 0
  }

  public func signal(_ number: Int32) { kill(process, number) }

  public var isRunning: Bool { status.withLock { $0 == nil } }

  /// The exit code, or 128 plus the signal that ended it; nil, and the end of it, when it takes more than a minute.
  public func finish() -> Int32? {
    if !wait(until: { !isRunning }) { kill(process, SIGKILL) }
    return status.withLock { $0 }
  }

  deinit {
    if status.withLock({ $0 == nil }) { kill(process, SIGKILL) }
    close(master)
  }
}
