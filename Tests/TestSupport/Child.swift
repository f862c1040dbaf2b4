import CLinux
import Foundation
import Glibc
import Synchronization

/// A program that runs beside the test.
///
/// Foundation's `Process` learns of a program's end from a socket that each program closes by ending, which programs that other tests start at the same
/// moment may inherit; then the end isn't seen before theirs. This one asks the kernel, and hands down nothing but the three streams.
public final class Child: Sendable {
  /// What a program reads from or writes to.
  public enum Stream {
    case nothing
    case inherited
    /// The file is created where it isn't there, and appended to.
    case file(String)
    /// An open file of ours, which stays open here.
    case descriptor(Int32)
  }

  public struct NotStarted: Error, CustomStringConvertible {
    public let description: String
  }

  public let processIdentifier: pid_t
  private let ending = Mutex<Int32?>(nil)

  /// Starts a program.
  /// - Parameter environment: goes over that of the test.
  public init(
    _ executable: String, _ arguments: [String], environment: [String: String] = [:], in folder: String? = nil, input: Stream = .nothing,
    output: Stream = .nothing, errors: Stream = .nothing
  ) throws {
    processIdentifier = try Self.spawn(executable, arguments, environment: ProcessInfo.processInfo.environment.merging(environment) { $1 }, in: folder) { actions in
      for (number, stream) in zip(Int32(0)..., [input, output, errors]) {
        switch stream {
        case .inherited: break
        case .nothing: posix_spawn_file_actions_addopen(&actions, number, "/dev/null", O_RDWR, 0)
        case .file(let path): posix_spawn_file_actions_addopen(&actions, number, path, number == 0 ? O_RDONLY : O_WRONLY | O_CREAT | O_APPEND, 0o644)
        case .descriptor(let descriptor): posix_spawn_file_actions_adddup2(&actions, descriptor, number)
        }
      }
    }
  }

  /// Starts a program with default signals and no files but those that `streams` arranges.
  static func spawn(
    _ executable: String, _ arguments: [String], environment: [String: String], in folder: String? = nil, flags: Int16 = 0,
    streams: (inout posix_spawn_file_actions_t) -> Void
  ) throws -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    streams(&actions)
    posix_spawn_file_actions_addclosefrom_np(&actions, 3)
    if let folder { posix_spawn_file_actions_addchdir_np(&actions, folder) }
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var signals = sigset_t()
    sigemptyset(&signals)
    posix_spawnattr_setsigmask(&attributes, &signals)
    for signal in [SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGPIPE] { sigaddset(&signals, signal) }
    posix_spawnattr_setsigdefault(&attributes, &signals)
    posix_spawnattr_setflags(&attributes, flags | Int16(POSIX_SPAWN_SETSIGDEF) | Int16(POSIX_SPAWN_SETSIGMASK))
    var argv = ([executable] + arguments).map { strdup($0) } + [nil]
    var envp = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for pointer in argv + envp { free(pointer) } }
    var process = pid_t()
    let failure = posix_spawn(&process, executable, &actions, &attributes, &argv, &envp)
    guard failure == 0 else { throw NotStarted(description: "\(executable): \(String(cString: strerror(failure)))") }
    return process
  }

  public var isRunning: Bool { reap(WNOHANG) == nil }

  public func signal(_ number: Int32) {
    // Under the lock, so that the number can't be another program's by now.
    ending.withLock { if $0 == nil { kill(processIdentifier, number) } }
  }

  /// Waits for its end.
  /// - Returns: the exit code, or 128 plus the signal that ended it.
  @discardableResult public func wait() -> Int32 {
    // It stays to be asked for, so that whoever else asks meanwhile learns of it too.
    var information = siginfo_t()
    while ending.withLock({ $0 == nil }), waitid(P_PID, id_t(processIdentifier), &information, WEXITED | WNOWAIT) < 0, errno == EINTR {}
    return reap(0) ?? -1
  }

  private func reap(_ options: Int32) -> Int32? {
    ending.withLock { ending in
      if let ending { return ending }
      var raw: Int32 = 0
      var reaped = waitpid(processIdentifier, &raw, options)
      while reaped < 0, errno == EINTR { reaped = waitpid(processIdentifier, &raw, options) }
      guard reaped == processIdentifier else { return nil }
      ending = exitCode(raw)
      return ending
    }
  }
}

/// The exit code, or 128 plus the signal, out of what waitpid(2) tells.
func exitCode(_ raw: Int32) -> Int32 { raw & 0x7F == 0 ? raw >> 8 & 0xFF : 128 + raw & 0x7F }

/// A pair of ends, of which the programs that are started inherit only what they are given. What is written to either can be read from the other.
func streamPair() throws -> (Int32, Int32) {
  var ends: [Int32] = [-1, -1]
  guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else { throw Child.NotStarted(description: "no socket pair: errno \(errno)") }
  return (ends[0], ends[1])
}

/// Waits for a line.
/// - Returns: the line without its end; nil when the stream ends before that.
func nextLine(from descriptor: Int32) -> String? {
  var line: [UInt8] = []
  while true {
    var byte: UInt8 = 0
    let count = read(descriptor, &byte, 1)
    if count < 0, errno == EINTR { continue }
    guard count == 1 else { return nil }
    if byte == UInt8(ascii: "\n") { return String(decoding: line, as: UTF8.self) }
    line.append(byte)
  }
}
