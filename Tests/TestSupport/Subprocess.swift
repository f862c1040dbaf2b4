import Foundation

/// What a program printed, and how it ended.
public struct Outcome: Sendable {
  /// The exit code, or 128 plus the signal that ended it.
  public let status: Int32
  public let output: String
  public let errors: String
}

/// Runs a program to its end.
public func run(
  _ executable: String, _ arguments: [String], input: String? = nil, environment: [String: String] = [:], in folder: String? = nil
) throws -> Outcome {
  // Files, not pipes: a program that prints more than a pipe holds must not wait for us.
  try withTemporaryFolder { scratch in
    try Data((input ?? "").utf8).write(to: URL(filePath: scratch + "/in"))
    let status = try Child(
      executable, arguments, environment: environment, in: folder, input: .file(scratch + "/in"), output: .file(scratch + "/out"), errors: .file(scratch + "/err")
    ).wait()
    func text(_ name: String) throws -> String { String(decoding: try Data(contentsOf: URL(filePath: scratch + "/" + name)), as: UTF8.self) }
    return Outcome(status: status, output: try text("out"), errors: try text("err"))
  }
}

/// Runs the built `drover` that lies beside the tests.
public func drover(_ arguments: String..., input: String? = nil, environment: [String: String] = [:], in folder: String? = nil) throws -> Outcome {
  try run(droverPath, arguments, input: input, environment: environment, in: folder)
}

/// Runs the built `drover` to its end.
/// - Returns: what it said, all of it among the errors, the bytes that it has read, and how many times it has written, as the kernel counts them in `/proc/PID/io`
///   for the shell that waited for it.
public func countingReadsAndWrites(_ arguments: [String], environment: [String: String]) throws -> (outcome: Outcome, read: Int, writes: Int) {
  let outcome = try run("/bin/sh", ["-c", #""$@" >&2 || exit; cat /proc/$$/io"#, "sh", droverPath] + arguments, environment: environment)
  func count(_ name: String) -> Int? { outcome.output.split(separator: "\n").first { $0.hasPrefix(name + ": ") }.flatMap { Int($0.dropFirst(name.count + 2)) } }
  guard let read = count("rchar"), let writes = count("syscw") else { throw ReadsNotCounted(description: outcome.errors) }
  return (outcome, read, writes)
}

public struct ReadsNotCounted: Error, CustomStringConvertible {
  public let description: String
}

/// Runs the built `drover` as somebody who may read only what its owner lets them: also root, without its right to read everything.
public func droverWithoutPrivileges(_ arguments: String...) throws -> Outcome {
  let rights = "-dac_override,-dac_read_search"
  let prefix = getuid() == 0 ? ["setpriv", "--bounding-set=\(rights)", "--inh-caps=\(rights)"] : []
  return try run("/usr/bin/env", prefix + [droverPath] + arguments)
}

/// The built program, beside the test binary.
public let droverPath = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent().appending(path: "drover")
  .path(percentEncoded: false)

/// Runs a Python script with the peers in reach.
/// - Parameter isFresh: whether it has an interpreter of its own that has imported nothing yet, for a script that sets what libraries look at when they are.
/// - Returns: what it printed.
/// - Throws: `PythonFailed` with its traceback when it exits with anything but 0.
@discardableResult
public func python(_ script: String, _ arguments: String..., with peer: Peer = .python, isFresh: Bool = false) throws -> String {
  try python(script, arguments, with: peer, isFresh: isFresh)
}

@discardableResult
public func python(_ script: String, _ arguments: [String], with peer: Peer = .python, isFresh: Bool = false) throws -> String {
  let outcome =
    isFresh
    ? try run(peer.path, ["-c", script] + arguments, environment: ["PYTHONDONTWRITEBYTECODE": "1"]) : try Interpreter.run(script, arguments, with: peer)
  guard outcome.status == 0 else { throw PythonFailed(description: outcome.errors) }
  return outcome.output
}

public struct PythonFailed: Error, CustomStringConvertible {
  public let description: String
}

/// Calls `body` with a new empty folder, and removes it afterwards.
public func withTemporaryFolder<R>(_ body: (String) throws -> R) throws -> R {
  let url = FileManager.default.temporaryDirectory.appending(path: "drover-test-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: url) }
  return try body(url.path(percentEncoded: false))
}

/// Waits, at most a minute, until something is so.
/// - Returns: whether it came to be.
public func waitUntil(_ isTrue: () throws -> Bool) rethrows -> Bool {
  for _ in 0..<6000 {
    if try isTrue() { return true }
    usleep(10_000)
  }
  return false
}
