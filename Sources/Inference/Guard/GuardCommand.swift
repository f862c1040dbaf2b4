import FoundationEssentials
import Glibc
import Platform

/// Any program as a guard: it is given a message as a line of JSON on its standard input, and answers `allow` or `block` on its standard output.
///
/// The line is `{"role": …, "content": …, "messages": […]}`, with the dialog up to and including the message under `messages`. The answer is one of the two words, or JSON:
/// `{"verdict": "allow"|"block"}` with `score`, `categories` and `reason` if it likes. The program is started anew for each message, by `/bin/sh`. What doesn't answer so, in time, or
/// ends with another exit code than 0, blocks.
public struct GuardCommand: Guard {
  private let command: String
  private let seconds: Double

  /// Bytes of an answer.
  private static let longestAnswer = 1 << 20

  /// - Parameter seconds: how long an answer may take.
  public init(_ command: String, seconds: Double) { (self.command, self.seconds) = (command, seconds) }

  private struct Question: Encodable {
    let role: ChatMessage.Role
    let content: String
    let messages: [ChatMessage]
  }

  public func judge(_ dialog: [ChatMessage]) throws -> GuardVerdict {
    guard let last = dialog.last else { throw ChatError.empty }
    let question = try JSONText.encode(Question(role: last.role, content: last.content, messages: dialog), isCompact: true)
    switch GuardProcess.answer(of: command, to: question, seconds: seconds, atMost: Self.longestAnswer) {
    case .failure(let failure): return GuardVerdict(last.role, .block, reason: "the guard command \(failure.description)")
    case .success(let answer): return Self.verdict(answer, on: last.role)
    }
  }

  private static func verdict(_ answer: [UInt8], on role: ChatMessage.Role) -> GuardVerdict {
    let text = String(decoding: answer, as: UTF8.self)
    let words = text.split(whereSeparator: \.isWhitespace)
    guard !words.isEmpty else { return GuardVerdict(role, .block, reason: "the guard command gave no answer") }
    if words.count == 1, let decision = GuardVerdict.Decision(rawValue: String(words[0])) { return GuardVerdict(role, decision) }
    let said = "the guard command answers “\(text.prefix(100).split(whereSeparator: \.isNewline).joined(separator: " "))”"
    let json: JSONValue
    do throws(JSONError) { json = try JSONReader.read(answer) { (reader) throws(JSONError) in try reader.value() } } catch {
      return GuardVerdict(role, .block, reason: "\(said), which is neither allow nor block, and \(error.sentence)")
    }
    guard let decision = json["verdict"]?.text.flatMap({ GuardVerdict.Decision(rawValue: $0) }) else {
      return GuardVerdict(role, .block, reason: "\(said), which has no verdict that is allow or block")
    }
    let categories = json["categories"]?.elements.compactMap(\.text).map { GuardVerdict.Category(code: $0, name: nil) } ?? []
    return GuardVerdict(role, decision, score: json["score"]?.number, categories: categories, reason: json["reason"]?.text)
  }
}

/// A program that is asked one question.
enum GuardProcess {
  struct Failed: Error {
    let description: String
  }

  /// Starts `command`, writes `question` to it and closes, and reads what it answers until it ends.
  static func answer(of command: String, to question: [UInt8], seconds: Double, atMost most: Int) -> Result<[UInt8], Failed> {
    var (input, output) = ([Int32](repeating: -1, count: 2), [Int32](repeating: -1, count: 2))
    guard pipe(&input) == 0 else { return .failure(Failed(description: "can't be started: \(reason(errno))")) }
    guard pipe(&output) == 0 else {
      for end in input { close(end) }
      return .failure(Failed(description: "can't be started: \(reason(errno))"))
    }
    // Our ends are not the program's.
    for end in [input[1], output[0]] { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    let child = start(command, input[0], output[1])
    close(input[0])
    close(output[1])
    defer { close(output[0]) }
    guard let child else {
      close(input[1])
      return .failure(Failed(description: "can't be started: \(reason(errno))"))
    }
    let until = steadySeconds() + seconds
    let answer = converse(question, input[1], output[0], until: until, atMost: most)
    guard let answer, let status = wait(for: child, until: until) else {
      // It and what it started.
      kill(-child, SIGKILL)
      _ = wait(for: child, until: .infinity)
      return .failure(Failed(description: answer == nil ? "gave no answer within \(Int(seconds.rounded(.up))) s" : "answered, but didn't end within \(Int(seconds.rounded(.up))) s"))
    }
    guard status == 0 else {
      let signal = status & 0x7F
      return .failure(Failed(description: signal == 0 ? "ended with exit code \(status >> 8 & 0xFF)" : "was ended by signal \(signal)"))
    }
    guard answer.count <= most else { return .failure(Failed(description: "answers with more than \(most) bytes")) }
    return .success(answer)
  }

  /// - Returns: the process, which leads a group of its own; nil where there is none.
  private static func start(_ command: String, _ input: Int32, _ output: Int32) -> pid_t? {
    var actions = posix_spawn_file_actions_t()
    var attributes = posix_spawnattr_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawnattr_init(&attributes)
    defer {
      posix_spawn_file_actions_destroy(&actions)
      posix_spawnattr_destroy(&attributes)
    }
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO)
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
    for end in [input, output] where end > STDERR_FILENO { posix_spawn_file_actions_addclose(&actions, end) }
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
    var child = pid_t()
    let words: [UnsafeMutablePointer<CChar>?] = ["sh", "-c", command].map { (word: String) in strdup(word) } + [nil]
    defer { for word in words { free(word) } }
    let status = posix_spawn(&child, "/bin/sh", &actions, &attributes, words, environ)
    errno = status
    return status == 0 ? child : nil
  }

  /// Writes and reads as the program is ready for either, so that neither waits for the other.
  /// - Returns: what it said before it closed its output; nil when the time is over.
  private static func converse(_ question: [UInt8], _ input: Int32, _ output: Int32, until: Double, atMost most: Int) -> [UInt8]? {
    _ = fcntl(input, F_SETFL, O_NONBLOCK)
    var isOpen = true
    func closeInput() {
      if isOpen { close(input) }
      isOpen = false
    }
    defer { closeInput() }
    var (written, answer) = (0, [UInt8]())
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let left = until - steadySeconds()
      guard left > 0 else { return nil }
      var waits = [pollfd(fd: output, events: Int16(POLLIN), revents: 0), pollfd(fd: isOpen ? input : -1, events: Int16(POLLOUT), revents: 0)]
      guard poll(&waits, 2, Int32(min(left * 1000 + 1, 1e6))) >= 0 || errno == EINTR else { return nil }
      if waits[1].revents != 0 {
        let count = withoutSIGPIPE { question[written...].withUnsafeBytes { write(input, $0.baseAddress, $0.count) } }
        if count > 0 { written += count } else if errno != EAGAIN, errno != EINTR { closeInput() }
        if written == question.count { closeInput() }
      }
      guard waits[0].revents != 0 else { continue }
      let count = read(output, &buffer, buffer.count)
      if count > 0 { answer += buffer[..<count] } else if count == 0 || errno != EINTR { return answer }
      // The rest of what is too long needn't be kept.
      if answer.count > most { answer.removeLast(answer.count - most - 1) }
    }
  }

  /// Lets a program that doesn't read its question not end this one.
  private static func withoutSIGPIPE(_ body: () -> Int) -> Int {
    var (pipe, before) = (sigset_t(), sigset_t())
    sigemptyset(&pipe)
    sigaddset(&pipe, SIGPIPE)
    pthread_sigmask(SIG_BLOCK, &pipe, &before)
    let result = body()
    let code = errno
    if result < 0, code == EPIPE {
      var none = timespec()
      _ = sigtimedwait(&pipe, nil, &none)
    }
    pthread_sigmask(SIG_SETMASK, &before, nil)
    errno = code
    return result
  }

  /// - Returns: how it ended; nil when the time is over.
  private static func wait(for child: pid_t, until: Double) -> Int32? {
    var status: Int32 = 0
    while true {
      let ended = waitpid(child, &status, WNOHANG)
      if ended == child { return status }
      if ended < 0, errno != EINTR { return 0x7F00 }
      guard steadySeconds() < until else { return nil }
      pause(seconds: 0.002)
    }
  }

  private static func reason(_ code: Int32) -> String { String(cString: strerror(code)) }
}
