import Foundation
import Synchronization
import SystemPackage
import TestSupport
import Testing
import Transfer

/// Files that aren't kept: their bytes go to whoever takes them, a window's at a time.
@Suite(.serialized) struct PassingTests {
  /// Takes a file in its order, a little at a time, as a conversion does.
  private final class Taker: PassingContent {
    private struct State {
      /// By where they begin.
      var pieces: [Int: [UInt8]] = [:]
      var bytes: [UInt8] = []
      var most = 0
      var isTwice = false
      var more: (@Sendable () -> Void)?
    }

    let window: Int
    private let state = Mutex(State())
    init(window: Int) { self.window = window }

    var windowEnd: Int { state.withLock { $0.bytes.count + window } }
    /// What came, in the file's order.
    var bytes: [UInt8] { state.withLock { $0.bytes } }
    /// Most bytes that waited at one time.
    var most: Int { state.withLock { $0.most } }
    /// Whether a byte came twice, or one from behind the window.
    var isWrong: Bool { state.withLock { $0.isTwice } }

    func begin(_ more: @escaping @Sendable () -> Void) { state.withLock { $0.more = more } }

    func take(_ bytes: PassingBytes) {
      let piece = bytes.withBytes(bytes.range) { [UInt8]($0) }
      let more = state.withLock { state in
        if bytes.range.lowerBound < state.bytes.count || state.pieces[bytes.range.lowerBound] != nil || bytes.range.upperBound > state.bytes.count + window { state.isTwice = true }
        state.pieces[bytes.range.lowerBound] = piece
        state.most = max(state.most, state.pieces.reduce(0) { $0 + $1.value.count })
        while let next = state.pieces.removeValue(forKey: state.bytes.count) { state.bytes += next }
        return state.more
      }
      more?()
    }
  }

  /// Faults of which a download makes the best with the whole of a file: what passes by has to come in parts.
  private static let needWholes: Set<String> = [
    "no ranges, and broken off again and again", "200 to every range", "200 to a range in mid-file", "200 without a length", "200 without a length, cut short once", "chunked, without a length",
    "206 with another range", "206 without Content-Range", "416 to a part that is there", "gzip unasked, whole", "gzip unasked, in parts", "chunks beyond the Content-Length", "two lengths",
    "206 of several parts",
  ]

  /// Whatever a server does: what is called right is right to the byte, and no byte passes twice.
  @Test(arguments: faults) func comesToItsEnd(_ fault: Fault) async throws {
    let folder = NSTemporaryDirectory() + "drover-passing-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let contents = Wares.shared.contents
    let server = try fault.server(of: contents)
    defer { server.stop() }
    let said = FaultTests.Said()
    let takers = ["f/a.pth": Taker(window: 5 << 20), "f/b.pth": Taker(window: 5 << 20)]
    let download = Download(FaultTests.request(folder, retries: fault.retries, stallSeconds: fault.stallSeconds), link: try FaultTests.link(server.port), passing: takers, observe: { said.take($0) })
    let (report, failure) = download.runToEnd()
    for file in report.files {
      guard let taker = takers[file.path] else { continue }
      #expect(file.isVerified && taker.bytes == contents[file.path] && !taker.isWrong, "\(file.path)")
    }
    let ended = failure.map(kind) ?? "success"
    switch fault.end {
    case .success where Self.needWholes.contains(fault.name): #expect(ended == "unavailable", "\(failure.map { "\($0)" } ?? "")")
    // What has passed can't be had back.
    case .success: #expect(ended == "success" || ended == "changed" && said.all.contains("changed on the server"), "\(failure.map { "\($0)" } ?? "")")
    // Where a download sees at its end that pieces are of several files, here they may not come at all; and there is no disk to be full.
    case .failure("mismatch"), .failure("noRoom"): #expect(["mismatch", "unavailable", "changed"].contains(ended), "\(failure.map { "\($0)" } ?? "")")
    // A download begins anew a few times.
    case .failure where fault.name == "another ETag each time": #expect(ended == "changed")
    case .failure(let expected): #expect(ended == expected, "\(failure.map { "\($0)" } ?? "")")
    }
    if ended == "unavailable", case .success = fault.end, let failure { #expect("\(failure)".contains("drover download"), "\(failure)") }
    try FaultTests.expectNothingWrong(in: folder, said)
    #expect(try FileManager.default.subpathsOfDirectory(atPath: folder).allSatisfy { !$0.contains(".pth") })
  }

  /// A link that ends in mid-file, three times: what has passed isn't asked for again.
  @Test func goesOnWithAnotherLink() async throws {
    let folder = NSTemporaryDirectory() + "drover-passing-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let contents = Wares.shared.contents
    let used = Mutex<Set<String>>([])
    let server = try FaultServer { request in
      // Each link gives the large file once, a third of what was asked for; the last one all of it.
      guard isBody(request), let link = ["one", "two", "three"].first(where: { request.query.contains("Signature=\($0)") }) else { return FaultServer.good(request, contents[request.path]) }
      let isFirst = used.withLock { $0.insert(link).inserted }
      return isFirst ? part(request, contents[request.path]) { $0 / 3 }.map { [.send($0), .close] } ?? [.close] : FaultServer.status(403)
    }
    defer { server.stop() }
    let links = Mutex(["four", "three", "two"])
    let takers = ["f/a.pth": Taker(window: 5 << 20), "f/b.pth": Taker(window: 5 << 20)]
    let (port, asked) = (server.port, FaultTests.Said())
    let download = Download(
      FaultTests.request(folder, connections: 1), link: try FaultTests.link(port, signature: "one"), passing: takers,
      newLink: { error in
        asked.add(kind(error))
        return try links.withLock { $0.popLast() }.map { try FaultTests.link(port, signature: $0) }
      })
    _ = try await download.run()
    #expect(asked.all.split(separator: "\n").count == 3, "\(asked.all)")
    for (path, taker) in takers { #expect(taker.bytes == contents[path] && !taker.isWrong, "\(path)") }
    #expect(server.bytesSent < contents.values.reduce(0) { $0 + $1.count } + 20_000)
  }

  /// However large a file is, and over however many connections it comes: no more of it waits than the window has room for.
  @Test(arguments: [1, 8]) func staysInItsWindow(connections: Int) async throws {
    let folder = NSTemporaryDirectory() + "drover-passing-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var random = Splitmix(seed: 3)
    let block = (0..<1 << 14).flatMap { _ in withUnsafeBytes(of: random.next()) { Array($0) } }
    let content = (0..<180).flatMap { [UInt8($0)] + block }
    let server = try FaultServer { FaultServer.good($0, content) }
    defer { server.stop() }
    var request = TransferRequest(files: ["a", "b", "c"].map { .init(path: $0, remote: $0) }, folder: FilePath(folder), connections: connections)
    request.retry = RetryPolicy(limit: 2, base: 0.002, cap: 0.02)
    let takers = ["a": Taker(window: 6 << 20), "b": Taker(window: 5 << 20), "c": Taker(window: 9 << 20)]
    let report = try await Download(request, link: try FaultTests.link(server.port), passing: takers).run()
    #expect(report.files.count == 3)
    for (name, taker) in takers { #expect(taker.bytes == content && !taker.isWrong && taker.most <= taker.window, "\(name): \(taker.most)") }
  }
}
