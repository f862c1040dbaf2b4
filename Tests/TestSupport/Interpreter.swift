import Foundation
import Glibc
import Synchronization

/// A Python that has the peers' libraries loaded and runs one script after another: `Tests/python.py`. Importing them takes seconds, and hundreds of tests ask
/// them something.
final class Interpreter: Sendable {
  private struct Request: Encodable {
    let script: String
    let arguments: [String]
    let output: String
    let errors: String
  }

  private let process: Child
  private let socket: Int32

  /// Those that nobody uses at the moment. They end with the tests, when nobody can write to their input any more.
  private static let idle = Mutex<[Peer: [Interpreter]]>([:])

  private init(_ peer: Peer) throws {
    let (theirs, ours) = try streamPair()
    defer { close(theirs) }
    socket = ours
    process = try Child(
      peer.path, [Peer.packageRoot + "/Tests/python.py"], environment: ["PYTHONDONTWRITEBYTECODE": "1"], input: .descriptor(theirs), errors: .inherited)
  }

  deinit {
    close(socket)
    process.wait()
  }

  /// Runs a script in a process of its own.
  static func run(_ script: String, _ arguments: [String], with peer: Peer) throws -> Outcome {
    let interpreter = try idle.withLock { $0[peer]?.popLast() } ?? Interpreter(peer)
    let outcome = try interpreter.run(script, arguments)
    idle.withLock { $0[peer, default: []].append(interpreter) }
    return outcome
  }

  private func run(_ script: String, _ arguments: [String]) throws -> Outcome {
    try withTemporaryFolder { scratch in
      let (output, errors) = (scratch + "/out", scratch + "/err")
      for path in [output, errors] { try Data().write(to: URL(filePath: path)) }
      var line = try JSONEncoder().encode(Request(script: script, arguments: arguments, output: output, errors: errors)) + [UInt8(ascii: "\n")]
      while !line.isEmpty {
        let count = line.withUnsafeBytes { send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        guard count > 0 else { throw PythonFailed(description: "\(process.processIdentifier) takes no scripts any more: errno \(errno)") }
        line.removeFirst(count)
      }
      guard let status = nextLine(from: socket).flatMap({ Int32($0) }) else { throw PythonFailed(description: "\(process.processIdentifier) has ended") }
      func text(_ path: String) throws -> String { String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self) }
      return Outcome(status: status, output: try text(output), errors: try text(errors))
    }
  }
}
