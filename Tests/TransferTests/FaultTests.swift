import Foundation
import Platform
import Synchronization
import SystemPackage
import TestSupport
import Testing
import Transfer

@Suite(.sideBySide(8)) struct FaultTests {
  static let secret = "SiGnAtUrEoFtHeLiNk"

  static func link(_ port: UInt16, signature: String = secret) throws -> SignedLink { try SignedLink.examine(linkText(port, signature: signature)).link }

  /// A link to the port, signed as CloudFront signs.
  static func linkText(_ port: UInt16, host: String = "127.0.0.1", scheme: String = "http", signature: String = secret) -> String {
    let policy = #"{"Statement":[{"Resource":"*","Condition":{"DateLessThan":{"AWS:EpochTime":\#(secondsSinceEpoch() + 86400)}}}]}"#
    let encoded = Data(policy.utf8).base64EncodedString().replacing("+", with: "-").replacing("=", with: "_").replacing("/", with: "~")
    return "\(scheme)://\(host):\(port)/*?Policy=\(encoded)&Signature=\(signature)&Key-Pair-Id=K1"
  }

  static func request(_ folder: String, connections: Int? = 3, networkThreads: Int? = nil, retries: Int = 6, stallSeconds: Double = 30, hasChecklist: Bool = true) -> TransferRequest {
    TransferRequest(
      files: Wares.shared.files.filter { hasChecklist || $0.path != "f/checklist.chk" }, folder: FilePath(folder), connections: connections, networkThreads: networkThreads,
      retry: RetryPolicy(limit: retries, base: 0.002, cap: 0.02, mostPatience: 2 * stallSeconds), stallSeconds: stallSeconds)
  }

  @Test(arguments: faults) func comesToItsEnd(_ fault: Fault) async throws { try await play(fault, fault.end, hasChecklist: true) }

  /// The same where several threads receive.
  @Test(arguments: faults, [2, 4]) func comesToItsEndOverSeveralThreads(_ fault: Fault, threads: Int) async throws {
    try await play(fault, fault.end, hasChecklist: true, networkThreads: threads)
  }

  /// Without a checklist nobody notices in the end what isn't noticed on the way: what has its final name is right, or nothing has.
  @Test(arguments: faults) func comesToItsEndUnvouched(_ fault: Fault) async throws {
    switch fault.unvouched {
    case .same: try await play(fault, fault.end, hasChecklist: false)
    case .ends(let end): try await play(fault, end, hasChecklist: false)
    case .notAsked: break
    }
  }

  private func play(_ fault: Fault, _ end: Fault.End, hasChecklist: Bool, networkThreads: Int? = nil) async throws {
    let folder = NSTemporaryDirectory() + "drover-fault-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let contents = Wares.shared.contents
    let server = try fault.server(of: contents)
    defer { server.stop() }
    let said = Said()
    let download = Download(Self.request(folder, networkThreads: networkThreads, retries: fault.retries, stallSeconds: fault.stallSeconds, hasChecklist: hasChecklist), link: try Self.link(server.port), observe: { said.take($0) })
    do throws(TransferError) {
      let report = try await download.run()
      if case .failure(let expected) = end { Issue.record("succeeded instead of \(expected)") }
      #expect(report.files.count == (hasChecklist ? 4 : 3))
      #expect(report.files.allSatisfy { $0.isVerified == (hasChecklist && $0.path != "f/checklist.chk") })
    } catch {
      said.add(error.description)
      guard case .failure(let expected) = end else { throw error }
      #expect(kind(error) == expected, "\(error)")
      for words in fault.words where kind(error) != "mismatch" { #expect(error.description.contains(words), "\(error)") }
    }
    if case .success = end { try Self.expectAll(in: folder, hasChecklist: hasChecklist) }
    try Self.expectNothingWrong(in: folder, said)
    // Whatever happened: with a good server and another link it goes on to the right end.
    let good = try FaultServer { FaultServer.good($0, contents[$0.path]) }
    defer { good.stop() }
    _ = try await Download(Self.request(folder, hasChecklist: hasChecklist), link: try Self.link(good.port, signature: "another"), observe: { said.take($0) }).run()
    try Self.expectAll(in: folder, hasChecklist: hasChecklist)
    let files = ["f", "f/a.pth", "f/b.pth", "f/checklist.chk", "f/params.json"].filter { hasChecklist || $0 != "f/checklist.chk" }
    // A checklist of before that said otherwise is kept.
    #expect(try FileManager.default.subpathsOfDirectory(atPath: folder).filter { $0 != "f/checklist.chk.orig" }.sorted() == files)
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

  static func expectAll(in folder: String, hasChecklist: Bool = true) throws {
    for (path, bytes) in Wares.shared.contents where hasChecklist || path != "f/checklist.chk" {
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
      return kind(error) == "denied" ? second : nil
    })
    _ = try await download.run()
    #expect(asked.all == "denied")
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
