import Foundation
import Glibc
import TestSupport
import Testing
import Transfer

/// How a download behaves towards servers and networks.
@Suite(.serialized) struct PolitenessTests {
  static let hasIPv6: Bool = {
    let descriptor = socket(AF_INET6, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    var address = sockaddr_in6()
    address.sin6_family = sa_family_t(AF_INET6)
    address.sin6_addr = in6addr_loopback
    return withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in6>.size)) == 0 }
    }
  }()

  @Test(.needs(.nginx), .enabled(if: hasIPv6, "needs ::1")) func addressesOfIPv6AreTaken() throws {
    try withTemporaryFolder { folder in
      let stage = try ResumeTests.Stage(folder, megabytes: 3)
      let nginx = try Nginx(root: stage.root, addsIPv6: true)
      defer { nginx.stop() }
      let outcome = try run(
        droverPath, ["download", "--manifest", stage.manifest, "--output", stage.output, "--yes"],
        environment: ["DROVER_URL": FaultTests.linkText(nginx.port, host: "[::1]")])
      #expect(outcome.status == 0, "\(outcome.errors)")
      #expect(try stage.isRight())
      #expect(!nginx.accessLog.isEmpty && nginx.accessLog.allSatisfy { $0.hasPrefix("::1 ") })
    }
  }

  private func download(_ folder: String, _ server: FaultServer, _ change: (inout TransferRequest) -> Void) async throws {
    var request = FaultTests.request(folder)
    change(&request)
    _ = try await Download(request, link: try FaultTests.link(server.port)).run()
    try FaultTests.expectAll(in: folder)
  }

  /// A clock that is late can only be later: what is waited for is never asked for too early, on any machine.
  @Test(arguments: [
    "Retry-After: 2\r\n", "Date: Mon, 23 Nov 2026 10:00:00 GMT\r\nRetry-After: Mon, 23 Nov 2026 10:00:02 GMT\r\n",
  ])
  func aServerThatAsksForTimeGetsIt(fields: String) async throws {
    let folder = NSTemporaryDirectory() + "drover-polite-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let contents = Wares.shared.contents
    let times = FaultTests.Said()
    let server = try FaultServer { request in
      times.add("\(ProcessInfo.processInfo.systemUptime)")
      return request.path == "f/params.json" && request.turn == 0 ? FaultServer.status(503, fields) : FaultServer.good(request, contents[request.path])
    }
    defer { server.stop() }
    try await download(folder, server) { $0.connections = 1 }
    // One connection: the checklist, the refusal, and then nothing to anyone for two seconds.
    let asked = times.all.split(separator: "\n").compactMap { Double($0) }
    let refused = try #require(zip(asked, asked.dropFirst()).map { $1 - $0 }.max())
    #expect(refused >= 1.95)
  }

  @Test func aServerThatAsksForNoPatienceGetsSome() {
    let policy = RetryPolicy(base: 1, cap: 30)
    #expect(policy.delay(after: 3, asked: 0, random: 1) == 4 && policy.delay(after: 3, asked: 7, random: 1) == 7)
  }

  @Test func retriesSpreadAndGrow() {
    let policy = RetryPolicy(limit: 10, base: 0.5, cap: 30)
    for failures in 1...40 {
      let most = min(30, 0.5 * pow(2, Double(failures - 1)))
      #expect(policy.delay(after: failures, random: 0) == most / 2)
      #expect(policy.delay(after: failures, random: 1) == most)
    }
  }

  @Test(arguments: [1, 2, 4]) func noMoreConnectionsThanGiven(count: Int) async throws {
    let folder = NSTemporaryDirectory() + "drover-polite-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let contents = Wares.shared.contents
    let server = try FaultServer { request in [.wait(0.05)] + FaultServer.good(request, contents[request.path]) }
    defer { server.stop() }
    try await download(folder, server) { $0.connections = count }
    #expect(server.mostAtOnce <= count)
    if count == 1 { #expect(server.mostAtOnce == 1) }
  }

  /// A slow machine is only slower than the limit.
  @Test(.needs(.nginx), arguments: [("2M", 2_000_000.0), ("500k", 500_000)]) func theLimitHolds(rate: String, bytesPerSecond: Double) throws {
    try withTemporaryFolder { folder in
      let stage = try ResumeTests.Stage(folder, megabytes: bytesPerSecond > 1e6 ? 5 : 1)
      let nginx = try Nginx(root: stage.root)
      defer { nginx.stop() }
      let outcome = try stage.finish(nginx.port, "--limit-rate", rate)
      #expect(outcome.status == 0)
      #expect(try stage.isRight())
      struct Report: Decodable {
        let bytes: Int
        let seconds: Double
      }
      let report = try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8))
      // What it may have at once, and what waits in the sockets' buffers when it begins.
      #expect(report.seconds >= Double(report.bytes) / bytesPerSecond * 0.8, "\(report)")
    }
  }

  /// What drover is doing when a signal comes.
  enum Occupation: CaseIterable {
    case throttled, stalled, waitingToRetry, connecting
  }

  /// Each of these would last longer than a minute.
  @Test(arguments: Occupation.allCases, [SIGINT, SIGTERM, SIGHUP]) func signalsAreHeardAtOnce(during: Occupation, number: Int32) throws {
    try withTemporaryFolder { folder in
      let contents = Wares.shared.contents
      let server = try FaultServer { request in
        switch during {
        case .stalled where request.path == "f/a.pth" && request.turn > 0: [.wait(0.2), .send(Array("HTTP/1.1 206 Partial\r\n".utf8)), .wait(100)]
        case .waitingToRetry where request.path == "f/a.pth": FaultServer.status(503, "Retry-After: 300\r\n")
        default: FaultServer.good(request, contents[request.path])
        }
      }
      defer { server.stop() }
      try #"{"id":"m","files":[{"path":"f/a.pth"}]}"#.write(toFile: folder + "/m.json", atomically: true, encoding: .utf8)
      // 192.0.2.1 is nobody's (RFC 5737): the connection is never made, or refused and tried again later.
      let link = during == .connecting ? "http://192.0.2.1/*" : "http://127.0.0.1:\(server.port)/*"
      let terminal = try PseudoTerminal(
        droverPath, ["download", "--manifest", folder + "/m.json", "--output", folder + "/out", "--yes"] + (during == .throttled ? ["--limit-rate", "20k"] : []),
        environment: ["DROVER_URL": link])
      #expect(terminal.wait(for: "f/a.pth"))
      #expect(during == .connecting || waitUntil { server.requests >= (during == .stalled ? 2 : 1) })
      terminal.signal(number)
      #expect(terminal.finish() == 130, "\(terminal.screen)")
      #expect(terminal.screen.contains("interrupted; what is here stays, run the same command again to go on"), "\(terminal.screen)")
    }
  }

  /// Signals that whoever started it wants ignored stay so: `nohup drover download … &` goes on when the terminal is closed.
  @Test(.needs(.nginx)) func nohupIsRespected() throws {
    try withTemporaryFolder { folder in
      let stage = try ResumeTests.Stage(folder, megabytes: 6)
      let nginx = try Nginx(root: stage.root, directives: "limit_rate 2m;")
      defer { nginx.stop() }
      let process = try Child(
        "/usr/bin/nohup", [droverPath, "download", "--manifest", stage.manifest, "--output", stage.output, "--yes", "--connections", "1"],
        environment: ["DROVER_URL": "http://127.0.0.1:\(nginx.port)/*"])
      stage.waitForPart()
      process.signal(SIGHUP)
      #expect(process.wait() == 0)
      #expect(try stage.isRight())
    }
  }
}
