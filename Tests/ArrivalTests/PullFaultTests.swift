import Arrival
import Catalog
import Checkpoint
import Foundation
import Synchronization
import SystemPackage
import TestSupport
import Testing
import Transfer

/// The faults that downloads are played run over pulls too: what comes of them is right, or the error is, and nothing has its name before its time.
@Suite(.serialized, .needs(.python)) struct PullFaultTests {
  /// From the first request on: most of them strike the headers, which are asked for first.
  @Test func comeToTheirEnds() throws {
    try withTemporaryFolder { folder in
      try play(PulledWares(folder)) { fault in
        switch fault.end {
        case _ where Self.needWholes.contains(fault.name): [69]
        // Headers are asked for with less patience than weights: who runs the command again loses nothing.
        case .success where Self.areHeaders.contains(fault.name): [0, 65, 69]
        case .success: [0]
        case .failure("noRoom"): [65]
        case .failure(let kind): [Self.exits[kind] ?? 1]
        }
      }
    }
  }

  /// From the first request for weights on, where an earlier link has ended in the middle of each shard.
  @Test func comeToTheirEndsOverWhatIsLeft() throws {
    try withTemporaryFolder { folder in
      let wares = try PulledWares(folder)
      try wares.expectSomethingIsLeft()
      try play(wares, overWhatIsLeft: true) { fault in
        switch fault.end {
        case _ where Self.needWholes.contains(fault.name): [0, 69]
        case .success: [0]
        case .failure("noRoom"): [65]
        case .failure(let kind): [0, Self.exits[kind] ?? 1]
        }
      }
    }
  }

  /// Faults of which a download makes the best with the whole of a file: a pull needs parts of it.
  private static let needWholes: Set<String> = [
    "no ranges, and broken off again and again", "200 to every range", "200 to a range in mid-file", "200 without a length", "200 without a length, cut short once", "chunked, without a length",
    "206 with another range", "206 without Content-Range", "416 to a part that is there", "gzip unasked, whole", "gzip unasked, in parts", "chunks beyond the Content-Length", "two lengths",
    "206 of several parts", "chunks that end before the Content-Length",
  ]

  private static let areHeaders: Set<String> = [
    "a line of text in place of weights, for a while", "mirrors with tags of their own", "another length between ranges", "a mirror with a shorter length", "HTML for one file, for a while",
  ]

  /// The exit codes that kinds of errors end the program with.
  fileprivate static let exits: [String: Int] = [
    "success": 0, "refused": 77, "denied": 69, "missing": 69, "unavailable": 69, "unreadable": 69, "changed": 69, "html": 65, "notTheFile": 65, "mismatch": 65, "checklist": 65, "corrupt": 65,
  ]

  /// Plays all faults; most of the time is waited, so many run beside each other.
  /// - Parameters:
  ///   - overWhatIsLeft: whether a pull has come to the middle before.
  ///   - expected: exit codes.
  private func play(_ wares: PulledWares, overWhatIsLeft: Bool = false, _ expected: @escaping @Sendable (Fault) -> Set<Int>) throws {
    let wrong = Mutex<[String]>([])
    let queue = OperationQueue()
    queue.maxConcurrentOperationCount = 12
    for (number, fault) in faults.enumerated() {
      queue.addOperation {
        do {
          if let what = try Self.play(fault, wares, "\(wares.folder)/\(number)", overWhatIsLeft: overWhatIsLeft, expected(fault)) { wrong.withLock { $0.append("\(fault.name): \(what)") } }
        } catch { wrong.withLock { $0.append("\(fault.name): \(error)") } }
      }
    }
    queue.waitUntilAllOperationsAreFinished()
    let found = wrong.withLock { $0 }
    #expect(found.isEmpty, "\(found.joined(separator: "\n"))")
  }

  /// - Returns: what is wrong with what comes of it.
  private static func play(_ fault: Fault, _ wares: PulledWares, _ place: String, overWhatIsLeft: Bool, _ expected: Set<Int>) throws -> String? {
    let out = place + "/out"
    try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
    if overWhatIsLeft, try wares.interrupt(at: out) == "success" { return "it should have been interrupted, and wasn't" }
    let (server, begins) = try wares.server(begins: !overWhatIsLeft) { [contents = wares.contents] in fault.answer($0, contents) }
    defer { server.stop() }
    let (ended, said) = wares.pull(to: out, port: server.port, retries: fault.retries, stallSeconds: fault.stallSeconds) { begins() }
    guard let exit = exits[ended], expected.contains(exit) else { return "it ended with \(ended), where \(expected) is due: \(said)" }
    if exit == 0 { return try wares.difference(at: out) }
    if FileManager.default.fileExists(atPath: out) { return "it ended with \(ended), and the output has its name" }
    // Whatever happened: from a good server it comes to its end.
    let good = try wares.goodServer()
    defer { good.stop() }
    let (again, why) = wares.pull(to: out, port: good.port, retries: 6)
    guard again == "success" else { return "from a good server it ended with \(again): \(why)" }
    return try wares.difference(at: out)
  }
}

/// A release of two shards that lie on the server under the names that the faults know, and what a download and then a reshard make of it.
private struct PulledWares: Sendable {
  let folder: String
  private(set) var contents: [String: [UInt8]] = [:]
  private let release: Release
  private var expected: String { folder + "/expected" }

  init(_ folder: String) throws {
    self.folder = folder
    let names = try PullStage.Wide(dim: 128, hidden: 512, vocabulary: 16384, layers: 1, ranks: 2).write(to: folder + "/m")
    let list = try run("/usr/bin/md5sum", ["params.json"] + names, in: folder + "/m").output
    contents["f/checklist.chk"] = Array(list.utf8)
    for (remote, name) in zip(["params.json", "a.pth", "b.pth"], ["params.json"] + names) { contents["f/" + remote] = [UInt8](try Data(contentsOf: URL(filePath: "\(folder)/m/\(name)"))) }
    let files = zip(["checklist.chk", "params.json"] + names, ["checklist.chk", "params.json", "a.pth", "b.pth"]).map { #"{"path": "m/\#($0)", "remote": "f/\#($1)"}"# }
    try #"{"id": "tiny", "files": [\#(files.joined(separator: ","))]}"#.write(toFile: folder + "/manifest.json", atomically: true, encoding: .utf8)
    release = try Catalog(manifest: FilePath(folder + "/manifest.json")).releases[0]
    try #require(try drover("reshard", folder + "/m", folder + "/expected", "--mp", "1", "--quiet").status == 0)
  }

  func goodServer() throws -> FaultServer { try FaultServer { [contents] in FaultServer.good($0, contents[$0.path]) } }

  /// A server that answers well until something begins, and from then on as if these were its first requests.
  /// - Returns: the server, and what begins it.
  func server(begins: Bool, _ answer: @escaping @Sendable (FaultServer.Request) -> [FaultServer.Step]) throws -> (FaultServer, @Sendable () -> Void) {
    let before = Before(hasBegun: begins)
    let server = try FaultServer { [contents] request in
      before.counted(request).map(answer) ?? FaultServer.good(request, contents[request.path])
    }
    return (server, { before.begin() })
  }

  /// What was asked for before something began.
  private final class Before: Sendable {
    private let state: Mutex<(hasBegun: Bool, paths: [String: Int], count: Int)>
    init(hasBegun: Bool) { state = Mutex((hasBegun, [:], 0)) }

    func begin() { state.withLock { $0.hasBegun = true } }

    /// - Returns: the request, counted from when it began; nil before that.
    func counted(_ request: FaultServer.Request) -> FaultServer.Request? {
      state.withLock { state in
        var request = request
        guard state.hasBegun else {
          (state.paths[request.path], state.count) = (request.turn + 1, request.count + 1)
          return nil
        }
        request.turn -= state.paths[request.path] ?? 0
        request.count -= state.count
        return request
      }
    }
  }

  /// Pulls over a link that ends in the middle of each shard.
  /// - Returns: how that ended.
  func interrupt(at out: String) throws -> String {
    let ended = Mutex<Set<String>>([])
    let (server, begins) = try server(begins: false) { [contents] request in
      let middle = (contents[request.path]?.count ?? 0) * 2 / 3
      guard let range = request.range, range.lowerBound < middle else { return ended.withLock { $0.count } == 2 ? FaultServer.status(403) : [.close] }
      if range.upperBound > middle { ended.withLock { _ = $0.insert(request.path) } }
      return part(request, contents[request.path]) { min($0, middle - range.lowerBound) }.map { [.send($0), .close] } ?? [.close]
    }
    defer { server.stop() }
    return pull(to: out, port: server.port, retries: 10_000) { begins() }.0
  }

  /// What an interrupted pull has left is gone on with.
  func expectSomethingIsLeft() throws {
    let (out, total) = (folder + "/half/out", contents.values.reduce(0) { $0 + $1.count })
    try FileManager.default.createDirectory(atPath: folder + "/half", withIntermediateDirectories: true)
    #expect(["refused", "denied"].contains(try interrupt(at: out)))
    let good = try goodServer()
    defer { good.stop() }
    #expect(pull(to: out, port: good.port, retries: 6).0 == "success")
    #expect(try difference(at: out) == nil)
    #expect(good.bytesSent < total * 9 / 10, "\(good.bytesSent) of \(total)")
  }

  private static func link(_ port: UInt16) -> String { "http://127.0.0.1:\(port)/*?sig=s&se=2099-01-01" }

  /// As the command does it, but for retries, of which there are fewer.
  /// - Parameter wanted: called when weights are about to be asked for.
  /// - Returns: `success`, or the kind of the error, and the error.
  func pull(to out: String, port: UInt16, retries: Int, stallSeconds: Double = 30, wanted: () -> Void = {}) -> (String, String) {
    for isSecond in [false, true] {
      do {
        try once(to: out, port: port, retries: retries, stallSeconds, wanted)
        return ("success", isSecond ? "at the second try" : "")
      } catch where !isSecond && Pull.isWorthAnother(error) {
        continue
      } catch let error as TransferError { return (kind(error), "\(error)") } catch let error as CheckpointError { return ("\(error.reason)", "\(error)") } catch { return ("\(type(of: error))", "\(error)") }
    }
    return ("", "")
  }

  private func once(to out: String, port: UInt16, retries: Int, _ stallSeconds: Double, _ wanted: () -> Void) throws {
    let (source, link) = (PullSource(release), try SignedLink.examine(Self.link(port)).link)
    let folder = try PullFolder(for: FilePath(out))
    defer { folder.removeUnlessKept() }
    var request = TransferRequest(files: [], folder: "", connections: 3)
    (request.retry, request.stallSeconds) = (RetryPolicy(limit: retries, base: 0.002, cap: 0.02, mostPatience: 2 * stallSeconds), stallSeconds)
    let (companions, failure) = MirroredDownload(Pull.companions(of: source, in: folder, request), over: [link]).runToEnd()
    if let failure { throw failure }
    let pull = try Pull(source, in: folder, companions, link, request, .init(plan: .init(modelParallel: 1)), tool: "drover", isCancelled: { false })
    _ = try pull.run(
      to: FilePath(out), in: folder, .init(tool: "drover"), given: [:],
      download: { request, passing, began in
        let download = MirroredDownload(request, over: [link], passing: passing)
        began(download)
        wanted()
        return download.runToEnd()
      })
  }

  /// - Returns: how the output differs from what it must be; nil where it doesn't.
  func difference(at out: String) throws -> String? {
    let outcome = try run("/usr/bin/diff", ["-r", "-x", "drover-receipt.json", expected, out])
    guard outcome.status == 0 else { return outcome.output }
    let beside = try FileManager.default.contentsOfDirectory(atPath: FilePath(out).removingLastComponent().string)
    return beside == ["out"] ? nil : "\(beside)"
  }
}
