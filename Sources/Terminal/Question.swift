import Synchronization
import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// A signal (Ctrl-C) ended what was under way, such as a question.
public struct Interrupted: Error, CustomStringConvertible {
  public let description: String
  public init(_ description: String = "interrupted") { self.description = description }
}

/// Questions, on the terminal itself, wherever standard input and output lead.
extension Console {
  /// Asks for a line that isn't shown while it is typed.
  /// - Returns: nil when there is no terminal to ask on, or input ended.
  public static func askSecret(_ prompt: TerminalText) throws(Interrupted) -> String? {
    try ask(prompt) { terminal throws(Interrupted) in try readSecret(terminal) } ?? nil
  }

  /// Asks for a yes, which an empty line is too.
  /// - Returns: nil when there is no terminal to ask on.
  public static func confirm(_ question: TerminalText) throws(Interrupted) -> Bool? {
    try ask(question + " [Y/n] ") { terminal throws(Interrupted) in
      var line: [UInt8] = []
      while let byte = try readByte(terminal) {
        guard byte == UInt8(ascii: "\n") else {
          line.append(byte | 0x20)
          continue
        }
        return line.isEmpty || line == Array("y".utf8) || line == Array("yes".utf8)
      }
      // The end of input is taken for a no.
      write("\n", to: terminal)
      return false
    }
  }

  /// Keeps bars and notes off the screen while `body` talks to the terminal.
  private static func ask<R>(_ prompt: TerminalText, _ body: (FileDescriptor) throws(Interrupted) -> R) throws(Interrupted) -> R? {
    guard let terminal = try? FileDescriptor.open("/dev/tty", .readWrite, options: .closeOnExec) else { return nil }
    // In the background the shell reads what is typed, and nobody would answer.
    guard tcgetpgrp(terminal.rawValue) == getpgrp() else {
      try? terminal.close()
      return nil
    }
    // A signal must end the question first, so that the terminal's echo is on again when the program ends.
    guard Interruption.isCaught else { return nil }
    lock.withLock { screen in
      screen.display?.clear()
      screen.isAsking = true
    }
    defer {
      try? terminal.close()
      lock.withLock { screen in
        for note in screen.waiting { write(note + "\n", to: .standardError) }
        (screen.isAsking, screen.waiting) = (false, [])
      }
    }
    write(prompt.code, to: terminal)
    do { return try body(terminal) } catch {
      write("\n", to: terminal)
      throw error
    }
  }

  private static func readSecret(_ terminal: FileDescriptor) throws(Interrupted) -> String? {
    var saved = termios()
    guard tcgetattr(terminal.rawValue, &saved) == 0 else { return nil }
    var silent = saved
    // Canonical mode would cut the line at 4,095 bytes, and a signed link may be longer.
    silent.c_lflag &= ~tcflag_t(ECHO | ICANON)
    guard tcsetattr(terminal.rawValue, TCSAFLUSH, &silent) == 0 else { return nil }
    defer { tcsetattr(terminal.rawValue, TCSAFLUSH, &saved) }
    var line: [UInt8] = []
    while let byte = try readByte(terminal) {
      switch byte {
      case UInt8(ascii: "\n"), UInt8(ascii: "\r"):
        write("\n", to: terminal)
        return String(decoding: line, as: UTF8.self)
      case 4 where line.isEmpty:
        write("\n", to: terminal)
        return nil
      case 8, 127: _ = line.popLast()
      // Ctrl-U, as terminals have it.
      case 21: line = []
      default: line.append(byte)
      }
    }
    return line.isEmpty ? nil : String(decoding: line, as: UTF8.self)
  }

  /// - Returns: nil at the end of input.
  private static func readByte(_ terminal: FileDescriptor) throws(Interrupted) -> UInt8? {
    guard Interruption.waitToRead(terminal) else { throw Interrupted() }
    var byte: UInt8 = 0
    let count = try? withUnsafeMutableBytes(of: &byte) { try terminal.read(into: $0) }
    return count == 1 ? byte : nil
  }
}
