import Foundation
import Synchronization
import SystemPackage
import TestSupport
import Testing
import Transfer

/// How long a download tries, over how many connections, and which of them it gives up.
@Suite(.serialized) struct PatienceTests {
  /// Failures in a row, seconds since the last new byte (nil where nothing came), and whether the file is given up.
  @Test(arguments: [
    // What never delivered has ten tries.
    (RetryPolicy(), 10, nil, false), (RetryPolicy(), 11, nil, true),
    // What has delivered has half an hour.
    (RetryPolicy(), 500, 1799, false), (RetryPolicy(), 1, 1801, true),
    (RetryPolicy(time: 60), 500, 59, false), (RetryPolicy(time: 60), 1, 61, true), (RetryPolicy(time: 60), 11, nil, true),
    // A number that is given is what counts, and the time beside it only if it is given too.
    (RetryPolicy(limit: 2), 2, 1e6, false), (RetryPolicy(limit: 2), 3, 0, true), (RetryPolicy(limit: 2), 3, nil, true), (RetryPolicy(limit: 20), 20, nil, false),
    (RetryPolicy(limit: 20, time: 60), 5, 61, true), (RetryPolicy(limit: 0), 1, nil, true),
  ] as [(RetryPolicy, Int, Double?, Bool)])
  func patienceEnds(policy: RetryPolicy, failures: Int, silence: Double?, isOver: Bool) {
    #expect((policy.end(failures: failures, silence: silence) != nil) == isOver)
  }

  @Test func whatGivesUpSaysAfterWhat() {
    #expect(RetryPolicy(limit: 2).end(failures: 3, silence: nil) == ", after 2 retries")
    #expect(RetryPolicy(limit: 0).end(failures: 1, silence: nil)?.isEmpty == true)
    #expect(RetryPolicy().end(failures: 40, silence: 1860) == ", after 31 minutes without a new byte")
  }

  private func download(_ request: TransferRequest, from server: FaultServer) async throws {
    defer { try? FileManager.default.removeItem(atPath: request.folder.string) }
    _ = try await Download(request, link: try FaultTests.link(server.port)).run()
    try FaultTests.expectAll(in: request.folder.string)
  }

  private var folder: String { NSTemporaryDirectory() + "drover-patience-\(UUID().uuidString)" }

  /// What has delivered is tried again far more often than what hasn't, as long as it isn't told how often.
  @Test func aFileThatHasDeliveredIsTriedByTime() async throws {
    let contents = Wares.shared.contents
    let server = try FaultServer { request in
      // Twenty failures in a row, where ten end a file that has brought nothing.
      isBody(request) && 2..<22 ~= request.turn ? FaultServer.status(500) : FaultServer.good(request, contents[request.path])
    }
    defer { server.stop() }
    var request = FaultTests.request(folder, connections: 1)
    request.retry = RetryPolicy(base: 0.002, cap: 0.02)
    try await download(request, from: server)
  }

  /// Wrong answers don't become right by waiting.
  @Test func wrongAnswersAreCounted() async throws {
    let contents = Wares.shared.contents
    let server = try FaultServer { request in
      isBody(request) ? FaultServer.status(418) : FaultServer.good(request, contents[request.path])
    }
    defer { server.stop() }
    var request = FaultTests.request(folder, connections: 1)
    request.retry = RetryPolicy(base: 0.002, cap: 0.02)
    do {
      try await download(request, from: server)
      Issue.record("succeeded")
    } catch let error as TransferError {
      #expect(kind(error) == "unavailable" && error.description.contains("after 10 retries"), "\(error)")
    }
  }

  /// While nothing comes for anyone the network is at fault, and no file that hasn't begun is given up for it.
  @Test func anOutageIsCountedAgainstNoFile() async throws {
    let contents = Wares.shared.contents
    let isDown = Mutex(0)
    let server = try FaultServer { request in
      // From the first megabyte of the large file on, thirty requests in a row end before their answer.
      if request.path == "f/a.pth", request.turn == 1 { isDown.withLock { $0 = 30 } }
      let fails = isDown.withLock { left in
        defer { left = max(0, left - 1) }
        return left > 0
      }
      return fails ? [.reset] : FaultServer.good(request, contents[request.path])
    }
    defer { server.stop() }
    var request = FaultTests.request(folder, connections: 4)
    request.retry = RetryPolicy(base: 0.002, cap: 0.01)
    try await download(request, from: server)
  }

  /// A server that takes one connection at a time, and resets each further one.
  @Test func connectionsThatAreCutAreFewerThen() async throws {
    let contents = Wares.shared.contents
    let server = try FaultServer { request in
      if request.underWay > 0 { return [.reset] }
      guard request.path.hasSuffix(".pth"), let content = contents[request.path], let range = request.range?.clamped(to: 0..<content.count) else {
        return FaultServer.good(request, contents[request.path])
      }
      // Slowly enough for others to be asked for meanwhile.
      let head = FaultServer.partHead(range.lowerBound, range.count, of: content.count, tag: "ETag: \"one\"\r\n")
      return [.send(head)] + stride(from: range.lowerBound, to: range.upperBound, by: 50_000).flatMap { start -> [FaultServer.Step] in
        [.wait(0.02), .send(Array(content[start..<min(start + 50_000, range.upperBound)]))]
      }
    }
    defer { server.stop() }
    try await download(FaultTests.request(folder, connections: 8, retries: 2), from: server)
  }

  /// Which connection becomes slow.
  enum Slow: CaseIterable {
    /// The file's end, which is fetched before the rest.
    case directory
    /// A piece of less than a megabyte, when the rest is here.
    case lastPiece
    /// The only one that there may be.
    case only
  }

  /// 2,000 bytes a second is much for some networks, and little for this one: another connection brings at once what would come slowly, and in the end wrong.
  @Test(arguments: Slow.allCases) func aSlowConnectionIsReplaced(which: Slow) async throws {
    var contents = Wares.shared.contents
    let content = (0..<6).flatMap { _ in contents["f/a.pth"] ?? [] }
    contents["f/a.pth"] = content
    let isSlow = Mutex(false)
    let server = try FaultServer { [contents] request in
      guard request.path == "f/a.pth", let range = request.range?.clamped(to: 0..<content.count), !range.isEmpty else { return FaultServer.good(request, contents[request.path]) }
      let isChosen = switch which {
      case .directory: range.upperBound == content.count && request.turn > 0
      case .lastPiece: range.upperBound == content.count
      case .only: range.count > 1 << 20
      }
      let wasSlow = isSlow.withLock { slow in
        defer { slow = slow || isChosen }
        return slow
      }
      guard isChosen, !wasSlow else { return FaultServer.good(request, contents[request.path]) }
      // All but 300 kB at full speed.
      let quick = which != .directory ? max(0, range.count - 300_000) : 0
      let head = FaultServer.partHead(range.lowerBound, range.count, of: content.count, tag: "ETag: \"one\"\r\n")
      let slowly = stride(from: range.lowerBound + quick, to: range.upperBound, by: 200).flatMap { start -> [FaultServer.Step] in
        let end = min(start + 200, range.upperBound)
        return [.wait(0.1), .send(end == range.upperBound ? [UInt8](repeating: 0, count: end - start) : Array(content[start..<end]))]
      }
      return [.send(head + content[range].prefix(quick))] + slowly
    }
    defer { server.stop() }
    var request = FaultTests.request(folder, connections: which == .only ? 1 : 3, stallSeconds: which == .only ? 2 : 300, hasChecklist: false)
    request.files = [.init(path: "f/a.pth", remote: "f/a.pth", directoryBytes: which == .directory ? 1 << 20 : 0)]
    defer { try? FileManager.default.removeItem(atPath: request.folder.string) }
    _ = try await Download(request, link: try FaultTests.link(server.port)).run()
    #expect(isSlow.withLock { $0 })
    #expect(FileManager.default.contents(atPath: request.folder.string + "/f/a.pth") == Data(content))
  }
}
