import Foundation
import Platform
import Synchronization
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

  let name: String
  let end: End
  /// Answers a request; nil to answer it well.
  let play: Play

  var testDescription: String { name }

  init(_ name: String, _ end: End, _ play: @escaping Play) {
    self.name = name
    self.end = end
    self.play = play
  }
}

/// A word for the kind of an error.
func kind(_ error: TransferError) -> String {
  switch error {
  case .link: "link"
  case .refused: "refused"
  case .missing: "missing"
  case .unavailable: "unavailable"
  case .unreadable: "unreadable"
  case .html: "html"
  case .mismatch: "mismatch"
  case .checklist: "checklist"
  case .disk: "disk"
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
private func isBody(_ request: FaultServer.Request) -> Bool { request.path == "f/a.pth" && request.turn > 0 }
private func isList(_ request: FaultServer.Request) -> Bool { request.path == "f/checklist.chk" }

private func part(_ request: FaultServer.Request, _ content: [UInt8]?, keep: (Int) -> Int, tag: String = "ETag: \"one\"\r\n") -> [UInt8]? {
  guard let content, let range = request.range?.clamped(to: 0..<content.count) else { return nil }
  return FaultServer.partHead(range.lowerBound, range.count, of: content.count, tag: tag) + content[range].prefix(keep(range.count))
}

let faults: [Fault] = [
  Fault("reset before the head", .success) { request, _ in isBody(request) && request.turn < 4 ? [.reset] : nil },
  Fault("closed before the head", .success) { request, _ in isBody(request) && request.turn < 4 ? [.close] : nil },
  Fault("reset in the head", .success) { request, _ in isBody(request) && request.turn < 4 ? [.send(Array("HTTP/1.1 206 Par".utf8)), .reset] : nil },
  Fault("reset in the body", .success) { request, content in
    isBody(request) && request.turn < 5 ? part(request, content) { $0 / 2 }.map { [.send($0), .wait(0.02), .reset] } : nil
  },
  Fault("reset at the last byte", .success) { request, content in
    isBody(request) && request.turn < 5 ? part(request, content) { $0 - 1 }.map { [.send($0), .wait(0.02), .reset] } : nil
  },
  Fault("body shorter than promised", .success) { request, content in
    isBody(request) && request.turn < 5 ? part(request, content) { $0 * 2 / 3 }.map { [.send($0), .close] } : nil
  },
  Fault("body longer than promised", .success) { request, content in
    isBody(request) ? part(request, content) { $0 }.map { [.send($0 + [UInt8](repeating: 7, count: 5000)), .close] } : nil
  },
  Fault("200 to every range", .success) { request, content in
    FaultServer.good(.init(path: request.path, range: nil, turn: request.turn, count: request.count), content)
  },
  Fault("200 to a range in mid-file", .success) { request, content in
    isBody(request) ? FaultServer.good(.init(path: request.path, range: nil, turn: request.turn, count: request.count), content) : nil
  },
  Fault("no ranges, and broken off again and again", .success) { request, content in
    guard request.path == "f/a.pth", let content else { return nil }
    let head = Array("HTTP/1.1 200 OK\r\nETag: \"one\"\r\nContent-Length: \(content.count)\r\n\r\n".utf8)
    return request.turn < 3 ? [.send(head + content.prefix((request.turn + 1) * 700_000)), .wait(0.05), .reset] : [.send(head + content)]
  },
  Fault("200 without a length", .success) { request, content in
    guard request.path == "f/a.pth", let content else { return nil }
    return [.send(Array("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".utf8) + content), .close]
  },
  Fault("200 without a length, cut short once", .success) { request, content in
    guard request.path == "f/a.pth", let content else { return nil }
    return [.send(Array("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".utf8) + (request.turn == 0 ? content.prefix(1_234_567) : content[...])), .close]
  },
  Fault("chunked, without a length", .success) { request, content in
    guard request.path == "f/a.pth", let content else { return nil }
    let chunk = Array(String(content.count, radix: 16).utf8) + [13, 10] + content + Array("\r\n0\r\n\r\n".utf8)
    return [.send(Array("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".utf8) + chunk)]
  },
  Fault("206 with another range", .success) { request, content in
    guard isBody(request), let content, let range = request.range, range.lowerBound >= 100 else { return nil }
    let wrong = FaultServer.Request(path: request.path, range: range.lowerBound - 100..<range.upperBound - 100, turn: 0, count: 0)
    return FaultServer.good(wrong, content)
  },
  Fault("206 shorter than the range", .success) { request, content in
    guard isBody(request), let content, let range = request.range?.clamped(to: 0..<content.count) else { return nil }
    let short = FaultServer.Request(path: request.path, range: range.lowerBound..<min(range.upperBound, range.lowerBound + 400_000), turn: 0, count: 0)
    return FaultServer.good(short, content)
  },
  Fault("206 without Content-Range", .success) { request, content in
    isBody(request) && request.range != nil
      ? [.send(Array("HTTP/1.1 206 Partial\r\nContent-Length: 4\r\n\r\nabcd".utf8))] : nil
  },
  Fault("416 to a part that is there", .success) { request, content in
    guard isBody(request), request.range != nil, let content else { return nil }
    return FaultServer.status(416, "Content-Range: bytes */\(content.count)\r\n")
  },
  Fault("403 at once", .failure("refused")) { _, _ in FaultServer.status(403, body: "<Error>AccessDenied</Error>") },
  Fault("401 at once", .failure("refused")) { _, _ in FaultServer.status(401) },
  Fault("403 after some files", .failure("refused")) { request, _ in request.count >= 3 ? FaultServer.status(403) : nil },
  Fault("403 after some bytes", .failure("refused")) { request, content in
    guard request.path == "f/a.pth" else { return nil }
    if request.turn == 0 { return nil }
    return request.turn == 1 ? part(request, content) { $0 / 2 }.map { [.send($0), .wait(0.1), .reset] } : FaultServer.status(403)
  },
  Fault("404 for one file", .failure("missing")) { request, _ in request.path == "f/b.pth" ? FaultServer.status(404) : nil },
  Fault("429 with seconds to wait", .success) { request, _ in isBody(request) && request.turn < 2 ? FaultServer.status(429, "Retry-After: 1\r\n") : nil },
  Fault("429 without", .success) { request, _ in isBody(request) && request.turn < 4 ? FaultServer.status(429) : nil },
  Fault("503 with a date to wait for", .success) { request, _ in
    isBody(request) && request.turn < 2
      ? FaultServer.status(503, "Date: Mon, 23 Nov 2026 10:00:00 GMT\r\nRetry-After: Mon, 23 Nov 2026 10:00:01 GMT\r\n") : nil
  },
  Fault("503 without", .success) { request, _ in isBody(request) && request.turn < 4 ? FaultServer.status(503) : nil },
  Fault("503 that asks for an hour", .failure("unavailable")) { request, _ in isBody(request) ? FaultServer.status(503, "Retry-After: 3600\r\n") : nil },
  Fault("500 for ever", .failure("unavailable")) { request, _ in request.path == "f/a.pth" ? FaultServer.status(500) : nil },
  Fault("500 for a while", .success) { request, _ in request.path == "f/a.pth" && request.turn < 5 ? FaultServer.status(500) : nil },
  Fault("garbage in place of HTTP", .failure("unavailable")) { request, _ in request.path == "f/a.pth" ? [.send(Array("SSH-2.0-OpenSSH_9.2\r\n".utf8)), .close] : nil },
  Fault("redirect in a circle", .failure("unavailable")) { _, _ in FaultServer.status(302, "Location: /again\r\n") },
  Fault("redirect to a file of the machine", .failure("unavailable")) { _, _ in FaultServer.status(302, "Location: file:///etc/passwd\r\n") },
  Fault("redirect to a login page", .failure("html")) { request, _ in
    request.path == "login" ? FaultServer.html() : FaultServer.status(302, "Location: /login\r\n")
  },
  Fault("redirect to where the file is", .success) { request, _ in
    request.path.hasPrefix("f/") && request.path != "f/again" ? FaultServer.status(302, "Location: /cdn/\(request.path)\r\n") : nil
  },
  Fault("HTML with status 200", .failure("html")) { _, _ in FaultServer.html() },
  Fault("HTML that says it is binary", .failure("html")) { request, _ in
    request.path == "f/a.pth" ? FaultServer.status(200, "Content-Type: application/octet-stream\r\n", body: "\n  <!doctype HTML>\n<html>sign in</html>") : nil
  },
  Fault("HTML a byte at a time", .failure("html")) { request, _ in
    guard request.path == "f/params.json" else { return nil }
    let page = Array("<html><body>log in</body></html>".utf8)
    return [.send(Array("HTTP/1.1 200 OK\r\nContent-Length: \(page.count)\r\n\r\n".utf8))] + page.flatMap { [.send([$0]), .wait(0.005)] }
  },
  Fault("HTML with status 403", .failure("refused")) { _, _ in FaultServer.html(403) },
  Fault("stall", .success) { request, content in
    isBody(request) && request.turn < 3 ? part(request, content) { $0 / 2 }.map { [.send($0), .wait(3)] } : nil
  },
  Fault("stall before the head", .success) { request, _ in isBody(request) && request.turn < 2 ? [.wait(3)] : nil },
  Fault("stall for ever", .failure("unavailable")) { request, _ in request.path == "f/b.pth" ? [.wait(3)] : nil },
  Fault("few bytes at a time", .success) { request, content in
    guard request.path == "f/params.json", let content, let range = request.range?.clamped(to: 0..<content.count) else { return nil }
    return [.send(FaultServer.partHead(range.lowerBound, range.count, of: content.count))] + content[range].flatMap { [.send([$0]), .wait(0.1)] }
  },
  Fault("a trickle on one connection", .success) { request, content in
    guard isBody(request), request.turn == 2 else { return nil }
    return part(request, content) { $0 }.map { answer in
      let start = answer.count - (request.range?.clamped(to: 0..<(content?.count ?? 0)).count ?? 0)
      return [.send(Array(answer[..<start]))] + answer[start...].flatMap { [.send([$0]), .wait(0.2)] }
    }
  },
  Fault("mirrors with tags of their own", .success) { request, content in
    let date = "Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT"
    return request.path == "f/a.pth" ? FaultServer.good(request, content, etag: "\"\(request.turn)\"\r\n\(date)") : nil
  },
  Fault("busy, and asking for no patience", .success) { request, _ in isBody(request) && request.turn < 4 ? FaultServer.status(503, "Retry-After: 0\r\n") : nil },
  Fault("another ETag between ranges", .success) { request, content in
    request.path == "f/a.pth" ? FaultServer.good(request, content, etag: request.turn < 3 ? "\"old\"" : "\"new\"") : nil
  },
  Fault("another ETag each time", .failure("unavailable")) { request, content in
    request.path == "f/a.pth" ? FaultServer.good(request, content, etag: "\"\(request.turn)\"") : nil
  },
  Fault("another length between ranges", .success) { request, content in
    request.path == "f/a.pth" && request.turn == 0 ? FaultServer.good(request, content.map { Array($0.dropLast(1000)) }, etag: nil) : nil
  },
  Fault("another content of the same length", .failure("mismatch")) { request, content in
    isBody(request) ? FaultServer.good(request, content.map { $0.map { ~$0 } }) : nil
  },
  Fault("gzip unasked, whole", .success) { request, content in
    guard request.path == "f/a.pth", let content, let packed = gzip(content) else { return nil }
    return [.send(Array("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: \(packed.count)\r\n\r\n".utf8) + packed)]
  },
  Fault("gzip unasked, in parts", .success) { request, content in
    guard request.path == "f/a.pth", let content, let packed = gzip(content) else { return nil }
    let fields = "ETag: \"one\"\r\nContent-Encoding: gzip\r\n"
    guard let range = request.range?.clamped(to: 0..<packed.count), !range.isEmpty else {
      return [.send(Array("HTTP/1.1 200 OK\r\n\(fields)Content-Length: \(packed.count)\r\n\r\n".utf8) + packed)]
    }
    return [.send(FaultServer.partHead(range.lowerBound, range.count, of: packed.count, tag: fields) + packed[range])]
  },
  Fault("checklist missing", .failure("missing")) { request, _ in isList(request) ? FaultServer.status(404) : nil },
  Fault("checklist empty", .failure("checklist")) { request, _ in isList(request) ? FaultServer.good(request, Array("\n".utf8)) : nil },
  Fault("checklist of no bytes", .failure("checklist")) { request, _ in isList(request) ? FaultServer.good(request, []) : nil },
  Fault("checklist malformed", .failure("checklist")) { request, _ in isList(request) ? FaultServer.good(request, Array("what is this\n".utf8)) : nil },
  Fault("checklist that names ../x", .failure("checklist")) { request, content in
    isList(request) ? FaultServer.good(request, Array("d41d8cd98f00b204e9800998ecf8427e  ../x\n".utf8) + (content ?? [])) : nil
  },
  Fault("checklist that names an absolute path", .failure("checklist")) { request, content in
    isList(request) ? FaultServer.good(request, Array("d41d8cd98f00b204e9800998ecf8427e  /etc/passwd\n".utf8) + (content ?? [])) : nil
  },
  Fault("checklist without a line for the weights", .failure("checklist")) { request, _ in
    isList(request) ? FaultServer.good(request, Array("d41d8cd98f00b204e9800998ecf8427e  params.json\n".utf8)) : nil
  },
  Fault("checklist with another digest", .failure("mismatch")) { request, content in
    isList(request) ? FaultServer.good(request, content.map { Array(String(decoding: $0, as: UTF8.self).replacing(/[0-9a-f]{32}  b/, with: "d41d8cd98f00b204e9800998ecf8427e  b").utf8) }) : nil
  },
  Fault("checklist without an end", .failure("checklist")) { request, _ in
    isList(request) ? FaultServer.good(request, [UInt8](repeating: 0x23, count: 17 << 20)) : nil
  },
  Fault("a length that no disk has", .failure("noRoom")) { request, content in
    guard request.path == "f/a.pth", let content, let range = request.range?.clamped(to: 0..<content.count) else { return nil }
    return [.send(FaultServer.partHead(range.lowerBound, range.count, of: 1 << 60) + content[range])]
  },
  Fault("a length that no number has", .success) { request, _ in
    isBody(request) && request.turn < 3 ? [.send(Array("HTTP/1.1 206 P\r\nContent-Range: bytes 0-99999999999999999999/99999999999999999999999\r\nContent-Length: 3\r\n\r\nabc".utf8))] : nil
  },
  Fault("a head of many megabytes", .failure("unavailable")) { request, _ in
    request.path == "f/b.pth" ? [.send(Array("HTTP/1.1 200 OK\r\n".utf8) + Array("X-A: \(String(repeating: "a", count: 200_000))\r\n".utf8)), .close] : nil
  },
]

func gzip(_ bytes: [UInt8]) -> [UInt8]? {
  try? withTemporaryFolder { folder in
    try Data(bytes).write(to: URL(filePath: folder + "/x"))
    _ = try run("/usr/bin/gzip", ["-1", folder + "/x"])
    return [UInt8](try Data(contentsOf: URL(filePath: folder + "/x.gz")))
  }
}

@Suite(.serialized) struct FaultTests {
  static let secret = "SiGnAtUrEoFtHeLiNk"

  static func link(_ port: UInt16, signature: String = secret) throws -> SignedLink { try SignedLink.examine(linkText(port, signature: signature)).link }

  /// A link to the port, signed as CloudFront signs.
  static func linkText(_ port: UInt16, host: String = "127.0.0.1", scheme: String = "http", signature: String = secret) -> String {
    let policy = #"{"Statement":[{"Resource":"*","Condition":{"DateLessThan":{"AWS:EpochTime":\#(secondsSinceEpoch() + 86400)}}}]}"#
    let encoded = Data(policy.utf8).base64EncodedString().replacing("+", with: "-").replacing("=", with: "_").replacing("/", with: "~")
    return "\(scheme)://\(host):\(port)/*?Policy=\(encoded)&Signature=\(signature)&Key-Pair-Id=K1"
  }

  static func request(_ folder: String, connections: Int? = 3, retries: Int = 6) -> TransferRequest {
    TransferRequest(
      files: Wares.shared.files, folder: FilePath(folder), connections: connections, retry: RetryPolicy(limit: retries, base: 0.002, cap: 0.02), stallSeconds: 1)
  }

  @Test(arguments: faults)
  func comesToItsEnd(_ fault: Fault) async throws {
    let folder = NSTemporaryDirectory() + "drover-fault-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let contents = Wares.shared.contents
    let server = try FaultServer { request in
      // Where a redirect leads.
      let path = request.path.hasPrefix("cdn/") ? String(request.path.dropFirst(4)) : request.path
      return fault.play(request, contents[path]) ?? FaultServer.good(request, contents[path])
    }
    defer { server.stop() }
    let said = Said()
    let download = Download(Self.request(folder), link: try Self.link(server.port), observe: { said.take($0) })
    do throws(TransferError) {
      let report = try await download.run()
      if case .failure(let expected) = fault.end { Issue.record("succeeded instead of \(expected)") }
      #expect(report.files.count == 4)
    } catch {
      said.add(error.description)
      guard case .failure(let expected) = fault.end else { throw error }
      #expect(kind(error) == expected, "\(error)")
    }
    if case .success = fault.end { try Self.expectAll(in: folder) }
    try Self.expectNothingWrong(in: folder, said)
    // Whatever happened: with a good server and another link it goes on to the right end.
    let good = try FaultServer { FaultServer.good($0, contents[$0.path]) }
    defer { good.stop() }
    _ = try await Download(Self.request(folder), link: try Self.link(good.port, signature: "another"), observe: { said.take($0) }).run()
    try Self.expectAll(in: folder)
    #expect(try FileManager.default.subpathsOfDirectory(atPath: folder).sorted() == ["f", "f/a.pth", "f/b.pth", "f/checklist.chk", "f/params.json"])
  }

  /// What it takes to find out that a server has no ranges doesn't count as failing.
  @Test(arguments: [0, 1, 2]) func aServerWithoutRangesNeedsNoRetries(retries: Int) async throws {
    let folder = NSTemporaryDirectory() + "drover-fault-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let contents = Wares.shared.contents
    let server = try FaultServer { request in
      guard request.range != nil, request.path == "f/a.pth" else { return FaultServer.good(request, contents[request.path]) }
      return FaultServer.status(206, body: "parts of something")
    }
    defer { server.stop() }
    _ = try await Download(Self.request(folder, retries: retries), link: try Self.link(server.port)).run()
    try Self.expectAll(in: folder)
  }

  /// All that was said in a run.
  final class Said: Sendable {
    private let texts = Mutex<[String]>([])
    var all: String { texts.withLock { $0.joined(separator: "\n") } }
    func add(_ text: String) { texts.withLock { $0.append(text) } }
    func take(_ event: TransferEvent) { add("\(event)") }
  }

  static func expectAll(in folder: String) throws {
    for (path, bytes) in Wares.shared.contents {
      #expect([UInt8](try Data(contentsOf: URL(filePath: folder + "/" + path))) == bytes, "\(path)")
    }
  }

  /// What has its final name is right, and the secret is nowhere.
  static func expectNothingWrong(in folder: String, _ said: Said) throws {
    #expect(!said.all.contains(secret))
    for path in (try? FileManager.default.subpathsOfDirectory(atPath: folder)) ?? [] {
      guard let data = FileManager.default.contents(atPath: folder + "/" + path) else { continue }
      #expect(data.range(of: Data(secret.utf8)) == nil, "\(path) holds the signature")
      if let right = Wares.shared.contents[path], !path.hasSuffix(".chk") { #expect([UInt8](data) == right, "\(path)") }
    }
  }

  /// The link ends in mid-file; with another one the download goes on from the same byte, in the same run.
  @Test func aNewLinkGoesOnWhereTheOldOneEnded() async throws {
    let folder = NSTemporaryDirectory() + "drover-fault-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let contents = Wares.shared.contents
    let server = try FaultServer { request in
      if isBody(request), !request.query.contains("second") {
        return request.turn == 1 ? part(request, contents[request.path]) { $0 / 2 }.map { [.send($0), .close] } ?? [.close] : FaultServer.status(403)
      }
      return FaultServer.good(request, contents[request.path])
    }
    defer { server.stop() }
    let second = try Self.link(server.port, signature: "second")
    let asked = Said()
    let download = Download(Self.request(folder, connections: 1), link: try Self.link(server.port), newLink: { error in
      asked.add(kind(error))
      return kind(error) == "refused" ? second : nil
    })
    _ = try await download.run()
    #expect(asked.all == "refused")
    try Self.expectAll(in: folder)
    // No byte twice: what was sent is the files and a few heads.
    let needed = contents.values.reduce(0) { $0 + $1.count }
    #expect(server.bytesSent < needed + 10_000)
  }

  @Test func connectionRefused() async throws {
    let folder = NSTemporaryDirectory() + "drover-fault-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    do {
      _ = try await Download(Self.request(folder), link: try Self.link(try freePort())).run()
      Issue.record("succeeded")
    } catch let error as TransferError { #expect(kind(error) == "unavailable", "\(error)") }
  }
}
