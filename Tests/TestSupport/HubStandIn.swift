import Foundation
import Glibc

/// A stand-in for Hugging Face's hub: `Tests/hub.py` on loopback, with a store behind it that large files are redirected to.
public final class HubStandIn {
  public let port: UInt16
  /// ORG/NAME/REVISION/… are the repositories' files.
  public let root: String
  private let folder: String
  private let process: Child
  private let input: Int32

  public struct Failed: Error {}

  /// - Parameter options: of `Tests/hub.py`.
  public init(_ options: String...) throws {
    folder = FileManager.default.temporaryDirectory.appending(path: "hub-\(UUID().uuidString)").path(percentEncoded: false)
    root = folder + "/root"
    try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
    // It ends when nobody can write to its input any more.
    let (end, input) = try streamPair()
    self.input = input
    process = try Child(
      "/usr/bin/python3", [Peer.packageRoot + "/Tests/hub.py", root, folder + "/log"] + options, input: .descriptor(end), output: .descriptor(end), errors: .inherited)
    close(end)
    guard let port = nextLine(from: input)?.split(separator: " ").first.flatMap({ UInt16($0) }) else { throw Failed() }
    self.port = port
  }

  public var endpoint: String { "http://127.0.0.1:\(port)" }

  /// A line for each request: server, method, path, range, and `token` where one came with it.
  public var log: [String] { ((try? String(contentsOfFile: folder + "/log", encoding: .utf8)) ?? "").split(separator: "\n").map(String.init) }

  public func write(_ content: Data, to path: String) throws {
    let file = URL(filePath: root + "/" + path)
    try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    try content.write(to: file)
  }

  public func stop() {
    close(input)
    process.wait()
    try? FileManager.default.removeItem(atPath: folder)
  }
}
