import Foundation
import Platform
import SystemPackage
import TestSupport
import Testing
import Transfer

/// A small release, and the folder it is served from.
struct Wares: Sendable {
  static let folder = "f"
  let contents: [String: [UInt8]]
  var files: [TransferRequest.File] { ["checklist.chk", "params.json", "a.pth", "b.pth"].map { .init(path: Self.folder + "/" + $0, remote: Self.folder + "/" + $0) } }

  /// Made once; `md5sum` wrote the checklist.
  static let shared: Wares = {
    var random = Splitmix(seed: 1)
    func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) } }
    var contents = ["f/params.json": Array(#"{"dim": 64, "n_layers": 2}"#.utf8), "f/a.pth": bytes(3_000_001), "f/b.pth": bytes(1_000_000)]
    let list = try? withTemporaryFolder { folder in
      try FileManager.default.createDirectory(atPath: folder + "/f", withIntermediateDirectories: true)
      for (path, bytes) in contents { try Data(bytes).write(to: URL(filePath: folder + "/" + path)) }
      return try run("/usr/bin/md5sum", ["params.json", "a.pth", "b.pth"], in: folder + "/f").output
    }
    contents["f/checklist.chk"] = Array((list ?? "").utf8)
    return Wares(contents: contents)
  }()
}

/// A server's misbehaviour, and what must come of it.
struct Fault: Sendable, CustomTestStringConvertible {
  typealias Play = @Sendable (FaultServer.Request, [UInt8]?) -> [FaultServer.Step]?
  enum End: Sendable {
    case success
    case failure(String)
  }

  /// What must come of it where no checklist vouches for the files.
  enum Unvouched: Sendable {
    case same
    case ends(End)
    /// The fault is a checklist's, or only a checksum can tell.
    case notAsked
  }

  let name: String
  let end: End
  let unvouched: Unvouched
  let retries: Int
  /// What the error says, at least.
  let words: [String]
  /// Answers a request; nil to answer it well.
  let play: Play

  var testDescription: String { name }

  init(_ name: String, _ end: End, unvouched: Unvouched = .same, retries: Int = 6, words: [String] = [], _ play: @escaping Play) {
    self.name = name
    self.end = end
    self.unvouched = unvouched
    self.retries = retries
    self.words = words
    self.play = play
  }

  /// A server of `Wares` that misbehaves so, also where a redirect of its own leads.
  func server() throws -> FaultServer {
    let contents = Wares.shared.contents
    return try FaultServer { [play] request in
      let path = request.path.hasPrefix("cdn/") ? String(request.path.dropFirst(4)) : request.path
      return play(request, contents[path]) ?? FaultServer.good(request, contents[path])
    }
  }
}

let faults = connectionFaults + answerFaults + validatorFaults + refusalFaults + pageFaults + checklistFaults

/// A word for the kind of an error.
func kind(_ error: TransferError) -> String {
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
func isBody(_ request: FaultServer.Request) -> Bool { request.path == "f/a.pth" && request.turn > 0 }
func isList(_ request: FaultServer.Request) -> Bool { request.path == "f/checklist.chk" }

func part(_ request: FaultServer.Request, _ content: [UInt8]?, keep: (Int) -> Int, tag: String = "ETag: \"one\"\r\n") -> [UInt8]? {
  guard let content, let range = request.range?.clamped(to: 0..<content.count) else { return nil }
  return FaultServer.partHead(range.lowerBound, range.count, of: content.count, tag: tag) + content[range].prefix(keep(range.count))
}

/// The whole of a file, whatever was asked for.
func whole(_ request: FaultServer.Request, _ content: [UInt8]?, etag: String? = "\"one\"", type: String = "application/octet-stream") -> [FaultServer.Step]? {
  FaultServer.good(.init(path: request.path, range: nil, turn: request.turn, count: request.count), content, etag: etag, type: type)
}

/// `content` in one chunk, with more fields before it.
func chunked(_ content: some Collection<UInt8>, _ fields: String = "") -> [FaultServer.Step] {
  let chunk = Array(String(content.count, radix: 16).utf8) + [13, 10] + content + Array("\r\n0\r\n\r\n".utf8)
  return [.send(Array("HTTP/1.1 200 OK\r\n\(fields)Transfer-Encoding: chunked\r\n\r\n".utf8) + chunk)]
}

func gzip(_ bytes: [UInt8]) -> [UInt8]? {
  try? withTemporaryFolder { folder in
    try Data(bytes).write(to: URL(filePath: folder + "/x"))
    _ = try run("/usr/bin/gzip", ["-1", folder + "/x"])
    return [UInt8](try Data(contentsOf: URL(filePath: folder + "/x.gz")))
  }
}
