import Foundation
import Testing
import Transfer

/// A server's misbehaviour, and what must come of it.
public struct Fault: Sendable, CustomTestStringConvertible {
  public typealias Play = @Sendable (FaultServer.Request, [UInt8]?) -> [FaultServer.Step]?
  public enum End: Sendable {
    case success
    case failure(String)
  }

  /// What must come of it where no checklist vouches for the files.
  public enum Unvouched: Sendable {
    case same
    case ends(End)
    /// The fault is a checklist's, or only a checksum can tell.
    case notAsked
  }

  public let name: String
  public let end: End
  public let unvouched: Unvouched
  public let retries: Int
  /// Without a byte for so long a request has failed. Where nothing stalls it is long, so that a machine that stands still for a moment changes nothing.
  public let stallSeconds: Double
  /// What the error says, at least.
  public let words: [String]
  /// Answers a request; nil to answer it well.
  public let play: Play

  public var testDescription: String { name }

  public init(_ name: String, _ end: End, unvouched: Unvouched = .same, retries: Int = 6, stallSeconds: Double = 30, words: [String] = [], _ play: @escaping Play) {
    self.name = name
    self.end = end
    self.unvouched = unvouched
    self.retries = retries
    self.stallSeconds = stallSeconds
    self.words = words
    self.play = play
  }

  /// A server of these contents that misbehaves so, also where a redirect of its own leads.
  public func server(of contents: [String: [UInt8]]) throws -> FaultServer {
    try FaultServer { answer($0, contents) }
  }

  public func answer(_ request: FaultServer.Request, _ contents: [String: [UInt8]]) -> [FaultServer.Step] {
    let path = request.path.hasPrefix("cdn/") ? String(request.path.dropFirst(4)) : request.path
    return play(request, contents[path]) ?? FaultServer.good(request, contents[path])
  }
}

/// They are of a release in the folder `f`, of which `a.pth` is the largest file and `b.pth` another, beside `params.json` and `checklist.chk`.
public let faults = connectionFaults + answerFaults + validatorFaults + refusalFaults + pageFaults + checklistFaults

/// A word for the kind of an error.
public func kind(_ error: TransferError) -> String {
  switch error {
  case .link: "link"
  case .refused: "refused"
  case .denied: "denied"
  case .missing: "missing"
  case .unavailable: "unavailable"
  case .unreadable: "unreadable"
  case .changed: "changed"
  case .html: "html"
  case .notTheFile: "notTheFile"
  case .mismatch, .otherBlob: "mismatch"
  case .checklist: "checklist"
  case .disk: "disk"
  case .damagedCopy: "damagedCopy"
  case .noRoom: "noRoom"
  case .busyFolder: "busyFolder"
  case .unsafePath: "unsafePath"
  case .authorities: "authorities"
  case .declined: "declined"
  case .interrupted: "interrupted"
  case .library: "library"
  }
}

/// The large file, unless it is asked for the first time: then its length is only being found out.
public func isBody(_ request: FaultServer.Request) -> Bool { request.path == "f/a.pth" && request.turn > 0 }
public func isList(_ request: FaultServer.Request) -> Bool { request.path == "f/checklist.chk" }

public func part(_ request: FaultServer.Request, _ content: [UInt8]?, keep: (Int) -> Int, tag: String = "ETag: \"one\"\r\n") -> [UInt8]? {
  guard let content, let range = request.range?.clamped(to: 0..<content.count) else { return nil }
  return FaultServer.partHead(range.lowerBound, range.count, of: content.count, tag: tag) + content[range].prefix(keep(range.count))
}

/// The whole of a file, whatever was asked for.
public func whole(_ request: FaultServer.Request, _ content: [UInt8]?, etag: String? = "\"one\"", type: String = "application/octet-stream") -> [FaultServer.Step]? {
  FaultServer.good(.init(path: request.path, range: nil, turn: request.turn, count: request.count), content, etag: etag, type: type)
}

/// `content` in one chunk, with more fields before it.
public func chunked(_ content: some Collection<UInt8>, _ fields: String = "") -> [FaultServer.Step] {
  let chunk = Array(String(content.count, radix: 16).utf8) + [13, 10] + content + Array("\r\n0\r\n\r\n".utf8)
  return [.send(Array("HTTP/1.1 200 OK\r\n\(fields)Transfer-Encoding: chunked\r\n\r\n".utf8) + chunk)]
}

public func gzip(_ bytes: [UInt8]) -> [UInt8]? {
  try? withTemporaryFolder { folder in
    try Data(bytes).write(to: URL(filePath: folder + "/x"))
    _ = try run("/usr/bin/gzip", ["-1", folder + "/x"])
    return [UInt8](try Data(contentsOf: URL(filePath: folder + "/x.gz")))
  }
}
