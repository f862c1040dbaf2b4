import Foundation
import Glibc
import Integrity
import Synchronization
import SystemPackage
import TestSupport
import Testing

/// What a pull makes is what a download and then a reshard make, and nothing of the source stays.
@Suite(.serialized, .needs(.python), .needs(.nginx)) struct PullTests {
  private typealias Stage = PullStage

  private static func listing(_ folder: String) throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: folder).sorted() }

  private func flip(_ path: String, at place: Int? = nil) throws {
    var bytes = try Data(contentsOf: URL(filePath: path))
    bytes[place ?? bytes.count / 2] ^= 1
    try bytes.write(to: URL(filePath: path))
  }

  // MARK: The output

  struct Way: Sendable, CustomTestStringConvertible {
    var from: String
    var to: [String]
    var connections = "8"
    var testDescription: String { "\(from) to \(to.joined(separator: " ")), \(connections) connections" }
  }

  static let ways = [
    Way(from: "mp8", to: ["--mp", "2", "--format", "safetensors"]),
    Way(from: "mp8", to: ["--mp", "1", "--dtype", "*norm*=f32,*=f16"], connections: "1"),
    Way(from: "mp4", to: ["--format", "hf", "--max-shard-size", "4M"]),
    Way(from: "mp2", to: ["--mp", "8", "--checklist", "--digest", "sha256"], connections: "3"),
    Way(from: "mp8", to: ["--format", "gguf", "--dtype", "q4_k_m"], connections: "2"),
    Way(from: "mp1", to: ["--format", "gguf", "--dtype", "q8_0"]),
    Way(from: "safetensors", to: ["--mp", "4", "--format", "pth"]),
    Way(from: "strided", to: ["--mp", "2"]),
  ]

  @Test(arguments: ways) func isWhatDownloadAndReshardMake(_ way: Way) throws {
    try withTemporaryFolder { folder in
      let stage = try Stage(folder, layout: way.from)
      defer { stage.nginx.stop() }
      let outcome = try run(droverPath, stage.arguments(way.to + ["--connections", way.connections]), environment: stage.environment)
      try #require(outcome.status == 0, "\(outcome.errors)")
      #expect(try Self.listing(stage.here) == ["out"])
      // Every byte came once; headers are fetched on their own besides, and each first and last megabyte at most.
      let total = try Self.listing(folder + "/www/m").filter { $0.hasPrefix("consolidated") }.reduce(0) { $0 + (try FileManager.default.attributesOfItem(atPath: "\(folder)/www/m/\($1)")[.size] as? Int ?? 0) }
      #expect((total...total + 8 * 600_000).contains(stage.sent), "\(stage.sent) of \(total)")
      let other = try stage.reshard(way.to)
      let difference = try run("/usr/bin/diff", ["-r", "-x", "drover-receipt.json", stage.out, other])
      #expect(difference.status == 0, "\(difference.output)")
      let receipts = try [stage.out, other].map { try Receipt(contentsOf: FilePath($0 + "/drover-receipt.json")) }
      #expect(receipts[0].files == receipts[1].files && receipts[0].fingerprint == receipts[1].fingerprint)
      if !way.to.contains("--dtype") { #expect(try receipts[0].fingerprint?.whole.hex == Stage.expected.get()?.checkpoint) }
      // The receipt says of the source what that of the download does.
      let downloaded = try Receipt(contentsOf: FilePath(folder + "/there/m/drover-receipt.json"))
      let sources = Dictionary(receipts[0].sources.map { ($0.path.string, $0) }) { first, _ in first }
      #expect(receipts[0].operation == "pull" && receipts[0].origin == .release("tiny") && sources.count == downloaded.files.count)
      for file in downloaded.files { #expect(sources["m/\(file.path)"]?.md5 == file.md5 && sources["m/\(file.path)"]?.bytes == file.bytes) }
      #expect(try !String(contentsOfFile: stage.out + "/drover-receipt.json", encoding: .utf8).contains("sEcReT"))
      #expect(try drover("verify", stage.out).status == 0)
    }
  }

  /// From the hub, whose part a stand-in plays.
  private func pull(from hub: HubStandIn, in folder: String, _ to: [String]) throws -> Outcome {
    try run(droverPath, ["pull", "hf:org/model", folder + "/out", "--yes", "--quiet"] + to, environment: environment(hub, folder))
  }

  /// The same by way of the disk, in `folder/resharded`.
  private func reshard(from hub: HubStandIn, in folder: String, _ to: [String]) throws {
    let downloaded = try run(droverPath, ["download", "hf:org/model", "--output", folder + "/there", "--yes", "--quiet"], environment: environment(hub, folder))
    try #require(downloaded.status == 0, "\(downloaded.errors)")
    let resharded = try run(droverPath, ["reshard", folder + "/there/model", folder + "/resharded", "--quiet"] + to, environment: environment(hub, folder))
    try #require(resharded.status == 0, "\(resharded.errors)")
  }

  private func environment(_ hub: HubStandIn, _ folder: String) -> [String: String] {
    ["HF_ENDPOINT": hub.endpoint, "HOME": folder, "HF_HOME": folder + "/none", "HF_TOKEN": "hf_good", "DROVER_URL": "", "HF_HUB_OFFLINE": "", "SOURCE_DATE_EPOCH": "0"]
  }

  /// Digests are the hub's SHA-256.
  @Test(arguments: [["--mp", "2"], ["--format", "gguf", "--dtype", "q4_0"]]) func takesRepositoriesOfTheHub(to: [String]) throws {
    let hub = try HubStandIn()
    defer { hub.stop() }
    try withTemporaryFolder { folder in
      try SmallModel.write(to: hub.root + "/org/model/main", vocabulary: 8192)
      let pulled = try pull(from: hub, in: folder, to)
      try #require(pulled.status == 0, "\(pulled.errors)")
      try reshard(from: hub, in: folder, to)
      #expect(try run("/usr/bin/diff", ["-r", "-x", "drover-receipt.json", folder + "/out", folder + "/resharded"]).status == 0)
      let receipt = try Receipt(contentsOf: FilePath(folder + "/out/drover-receipt.json"))
      let sum = try run("/usr/bin/sha256sum", [hub.root + "/org/model/main/model.safetensors"]).output.prefix(64)
      #expect(receipt.sources.contains { $0.path == "model/model.safetensors" && $0.sha256?.digest.hex == String(sum) }, "\(receipt.sources)")
      if case .repository("org/model", _) = receipt.origin {} else { Issue.record("\(receipt.origin)") }
      #expect(try drover("verify", folder + "/out").status == 0)
    }
  }

  /// An output projection that is the embedding table: left out, or there a second time.
  @Test(arguments: [["--mp", "2"], ["--mp", "2", "--format", "safetensors"], ["--format", "hf"], ["--format", "gguf", "--dtype", "q8_0"]], [false, true])
  func takesTiedEmbeddings(to: [String], isThere: Bool) throws {
    let hub = try HubStandIn()
    defer { hub.stop() }
    try withTemporaryFolder { folder in
      let model = hub.root + "/org/model/main"
      try tie(model, isThere ? "tensors['lm_head.weight'] = tensors['model.embed_tokens.weight']" : "del tensors['lm_head.weight']")
      let pulled = try pull(from: hub, in: folder, to)
      try #require(pulled.status == 0, "\(pulled.errors)")
      try reshard(from: hub, in: folder, to)
      let difference = try run("/usr/bin/diff", ["-r", "-x", "drover-receipt.json", folder + "/out", folder + "/resharded"])
      #expect(difference.status == 0, "\(difference.output)")
      #expect(try drover("verify", folder + "/out").status == 0)
    }
  }

  /// One that is something else is refused as a reshard refuses it: beforehand, where a look at a row tells, else when both have passed.
  @Test(arguments: [false, true]) func refusesAnOutputThatIsntTheEmbedding(inOneByte: Bool) throws {
    let hub = try HubStandIn()
    defer { hub.stop() }
    try withTemporaryFolder { folder in
      try tie(hub.root + "/org/model/main", inOneByte ? "data = tensors['model.embed_tokens.weight']; tensors['lm_head.weight'] = data[:5] + bytes([data[5] ^ 1]) + data[6:]" : "data = tensors['lm_head.weight']; tensors['lm_head.weight'] = data[2:] + data[:2]")
      let pulled = try pull(from: hub, in: folder, ["--mp", "1"])
      #expect(pulled.status == 65 && pulled.errors.contains(inOneByte ? "output.weight isn't tok_embeddings.weight" : "lm_head.weight isn't model.embed_tokens.weight"), "\(pulled)")
      #expect(try Self.listing(folder).filter { $0 == "out" }.isEmpty)
    }
  }

  /// Writes a model whose description ties its embeddings.
  /// - Parameter change: of `tensors`, the bytes of each by its name.
  private func tie(_ model: String, _ change: String) throws {
    try SmallModel.write(to: model, vocabulary: 8192)
    try python(
      """
      import sys, json, struct
      path = sys.argv[1] + "/model.safetensors"
      raw = open(path, "rb").read()
      size = struct.unpack("<Q", raw[:8])[0]
      header = json.loads(raw[8:8 + size])
      tensors = {name: raw[8 + size + entry["data_offsets"][0]:8 + size + entry["data_offsets"][1]] for name, entry in header.items()}
      \(change)
      end, entries = 0, {}
      for name, data in tensors.items():
          entries[name] = header[name] | {"data_offsets": [end, end + len(data)]}
          end += len(data)
      head = json.dumps(entries).encode()
      open(path, "wb").write(struct.pack("<Q", len(head)) + head + b"".join(tensors.values()))
      config = json.load(open(sys.argv[1] + "/config.json"))
      json.dump(config | {"tie_word_embeddings": True}, open(sys.argv[1] + "/config.json", "w"))
      """, model)
  }

  private struct Document: Decodable {
    struct Plan: Decodable { var format: String }
    struct Source: Decodable {
      struct File: Decodable {
        var path: String
        var bytes: Int
        var md5: String?
        var status: String
        var verified: Bool
      }
      var files: [File]
    }
    var plan: Plan
    var peakMemory: Int?
    var source: Source?
    private enum CodingKeys: CodingKey { case plan, peakMemory, source }
  }

  /// Half a gigabyte in eight shards goes through a window of less: over one connection too, with every file in step.
  @Test(arguments: ["1", "16"]) func takesLittleMemoryAndNoRoom(connections: String) throws {
    try withTemporaryFolder { folder in
      let stage = try Stage(folder, wide: .init(dim: 2048, hidden: 5632, vocabulary: 8192, layers: 4, ranks: 8))
      defer { stage.nginx.stop() }
      let most = Mutex(0)
      let isOver = Mutex(false)
      let beside = stage.here + "/.out.drover-pull"
      let watcher = Thread {
        while !isOver.withLock({ $0 }) {
          let kilobytes = (try? run("/usr/bin/du", ["-sk", beside]).output.split(separator: "\t").first).flatMap { $0.flatMap { Int($0) } } ?? 0
          most.withLock { $0 = max($0, kilobytes) }
          usleep(50_000)
        }
      }
      watcher.start()
      let outcome = try stage.pull("--mp", "2", "--format", "safetensors", "--connections", connections, "--json", "--kv-heads", "8")
      isOver.withLock { $0 = true }
      try #require(outcome.status == 0, "\(outcome.errors)")
      let document = try JSONDecoder().decode(Document.self, from: Data(outcome.output.utf8))
      #expect((document.peakMemory ?? .max) < 256 << 20, "\(document.peakMemory ?? -1)")
      #expect(most.withLock { (1..<5000).contains($0) }, "\(most.withLock { $0 }) kB")
      let files = try #require(document.source?.files)
      #expect(files.count == 10 && files.allSatisfy { $0.status == "downloaded" && $0.verified == !$0.path.hasSuffix(".chk") && $0.verified == ($0.md5 != nil) }, "\(files)")
      let other = try stage.reshard(["--mp", "2", "--format", "safetensors", "--kv-heads", "8"])
      #expect(try run("/usr/bin/diff", ["-r", "-x", "drover-receipt.json", stage.out, other]).status == 0)
    }
  }

  /// Four shards have a quarter of each row of some weights, 50,000 pieces of rows in all: they are put together before they are written.
  @Test func writesWholeRows() throws {
    try withTemporaryFolder { folder in
      let stage = try Stage(folder, wide: .init())
      defer { stage.nginx.stop() }
      let (outcome, _, writes) = try countingReadsAndWrites(stage.arguments(["--mp", "1", "--format", "safetensors", "--quiet"]), environment: stage.environment)
      #expect(outcome.status == 0 && writes < 5000, "\(writes) writes; \(outcome.errors)")
    }
  }

  // MARK: Refusals

  struct Refusal: Sendable, CustomTestStringConvertible {
    var name: String
    var arguments: [String] = ["--mp", "1"]
    var directives = ""
    var listed: [String]?
    var script = ":"
    var status: Int32
    var says: String
    var testDescription: String { name }
  }

  static let refusals = [
    Refusal(name: "a server without ranges", directives: "max_ranges 0;", status: 69, says: "`drover download`"),
    Refusal(name: "files that no list names", listed: ["params.json"], status: 65, says: "--unverified"),
    Refusal(name: "heads that don't divide", arguments: ["--mp", "3"], status: 64, says: "Sizes that work"),
    Refusal(name: "a type that the format lacks", arguments: ["--mp", "1", "--dtype", "q4_k_m"], status: 64, says: "pth has no q4_k_m"),
    Refusal(name: "something at the destination", script: "mkdir out; echo precious > out/a", status: 73, says: "exists already"),
    Refusal(name: "a destination in no folder", script: "cd ..; rmdir here", status: 73, says: "can't be opened"),
    Refusal(name: "what only the hub has", arguments: ["--mp", "1", "--include", "*"], status: 64, says: "--include"),
  ]

  /// What can't be is refused before a weight is fetched, and nothing is left.
  @Test(arguments: refusals) func refusesBeforeAWeightIsFetched(_ refusal: Refusal) throws {
    try withTemporaryFolder { folder in
      // With headers of less than a tenth.
      let stage = try Stage(folder, layout: "mp1", directives: refusal.directives, listed: refusal.listed)
      defer { stage.nginx.stop() }
      _ = try run("/bin/sh", ["-c", refusal.script], in: stage.here)
      let before = try? Self.listing(stage.here)
      let outcome = try run(droverPath, stage.arguments(refusal.arguments), environment: stage.environment)
      #expect(outcome.status == refusal.status && outcome.errors.contains(refusal.says), "\(outcome)")
      // A server without ranges sends the whole, until it is hung up on.
      if refusal.directives.isEmpty { #expect(stage.sent < 600_000 && stage.asked.count <= 3, "\(stage.sent)") }
      let after = try? Self.listing(stage.here)
      #expect(after == before)
    }
  }

  /// `--dry-run` says what would be, from headers alone.
  @Test func aDryRunFetchesHeaders() throws {
    try withTemporaryFolder { folder in
      let stage = try Stage(folder, layout: "mp2")
      defer { stage.nginx.stop() }
      let outcome = try stage.pull("--format", "hf", "--dry-run")
      #expect(outcome.status == 0 && outcome.output.contains("model.safetensors") && outcome.output.contains("none of which is stored"), "\(outcome)")
      #expect(stage.sent < 2 * 600_000 && stage.asked.count <= 6 && Set(stage.asked).count == 2, "\(stage.asked)")
      #expect(try Self.listing(stage.here).isEmpty)
    }
  }

  @Test func takesWhatNobodyVouchesForIfToldTo() throws {
    try withTemporaryFolder { folder in
      let stage = try Stage(folder, layout: "mp2", listed: ["params.json"])
      defer { stage.nginx.stop() }
      let outcome = try stage.pull("--mp", "1", "--unverified", "--json")
      try #require(outcome.status == 0, "\(outcome.errors)")
      let files = try #require(try JSONDecoder().decode(Document.self, from: Data(outcome.output.utf8)).source?.files)
      #expect(files.filter(\.verified).map(\.path) == ["m/params.json"], "\(files)")
      #expect(try drover("verify", stage.out).status == 0)
    }
  }

  // MARK: What isn't right

  /// A byte of a weight that isn't its publisher's: named, fetched again once, and nothing of it gets a name.
  @Test(arguments: [0.5, 0.99]) func aFlippedByteIsNamed(where place: Double) throws {
    try withTemporaryFolder { folder in
      let stage = try Stage(folder, layout: "mp4")
      defer { stage.nginx.stop() }
      let size = try FileManager.default.attributesOfItem(atPath: folder + "/www/m/consolidated.02.pth")[.size] as? Int ?? 0
      // In the last weight, or in the directory of the zip.
      try flip(folder + "/www/m/consolidated.02.pth", at: Int(Double(size) * place))
      let outcome = try stage.pull("--mp", "1")
      #expect(outcome.status == 65 && outcome.errors.contains("m/consolidated.02.pth") && outcome.errors.contains("again, once"), "\(outcome)")
      #expect(try Self.listing(stage.here).allSatisfy { $0.hasPrefix(".") })
    }
  }

  /// What was wrong once is right when it is fetched again.
  @Test func whatIsRightTheSecondTimeIsTaken() throws {
    try withTemporaryFolder { folder in
      let stage = try Stage(folder, layout: "mp2")
      defer { stage.nginx.stop() }
      var contents: [String: [UInt8]] = [:]
      for name in try Self.listing(folder + "/www/m") { contents["m/" + name] = [UInt8](try Data(contentsOf: URL(filePath: "\(folder)/www/m/\(name)"))) }
      let (right, path) = (contents, "m/consolidated.01.pth")
      let beginnings = Mutex(0)
      var wrong = try #require(contents[path])
      wrong[wrong.count / 2] ^= 1
      let server = try FaultServer { [wrong] request in
        // The list comes first each time.
        if request.path == "m/checklist.chk" { beginnings.withLock { $0 += 1 } }
        return FaultServer.good(request, request.path == path && beginnings.withLock { $0 } < 2 ? wrong : right[request.path])
      }
      defer { server.stop() }
      let outcome = try run(droverPath, stage.arguments(["--mp", "1"]), environment: ["DROVER_URL": "http://127.0.0.1:\(server.port)/*?sig=s&se=2099-01-01", "SOURCE_DATE_EPOCH": "0"])
      #expect(outcome.status == 0 && outcome.errors.contains("again, once"), "\(outcome.errors)")
      let other = try stage.reshard(["--mp", "1"])
      #expect(try run("/usr/bin/diff", ["-r", "-x", "drover-receipt.json", stage.out, other]).status == 0)
    }
  }

  // MARK: Ends

  /// Killed or stopped, it leaves no name, and goes on.
  @Test(arguments: [SIGKILL, SIGINT]) func endsWithoutAName(_ signal: Int32) throws {
    try withTemporaryFolder { folder in
      let stage = try Stage(folder, layout: "mp4", directives: "limit_rate_after 300k; limit_rate 100k;")
      defer { stage.nginx.stop() }
      let process = try Child(droverPath, stage.arguments(["--mp", "1", "--quiet"]), environment: stage.environment)
      let part = stage.here + "/.out.partial-drover/new/consolidated.00.pth"
      #expect(waitUntil { FileManager.default.fileExists(atPath: part) || !process.isRunning })
      usleep(300_000)
      // Another one to the same place leaves it alone.
      let second = try stage.pull("--mp", "1")
      #expect(second.status == 73 && second.errors.contains("another drover"), "\(second)")
      process.signal(signal)
      let status = process.wait()
      #expect(try Self.listing(stage.here).filter { !$0.hasPrefix(".") }.isEmpty)
      #expect(status == (signal == SIGINT ? 130 : 128 + SIGKILL))
      stage.nginx.kill()
      let again = try Nginx(root: folder + "/www")
      defer { again.stop() }
      let outcome = try run(droverPath, stage.arguments(["--mp", "1"]), environment: ["DROVER_URL": "http://127.0.0.1:\(again.port)/*?sig=s&se=2099-01-01"])
      #expect(outcome.status == 0, "\(outcome.errors)")
      #expect(try Self.listing(stage.here) == ["out"] && drover("verify", stage.out).status == 0)
    }
  }

  /// What was pulled is no download that could be repaired from its release.
  @Test func isNotRepairedAsADownload() throws {
    try withTemporaryFolder { folder in
      let stage = try Stage(folder, layout: "mp2")
      defer { stage.nginx.stop() }
      try #require(try stage.pull("--mp", "1").status == 0)
      try flip(stage.out + "/consolidated.00.pth")
      let outcome = try run(droverPath, ["repair", stage.out, "--manifest", folder + "/manifest.json"], environment: stage.environment)
      #expect(outcome.status == 64 && outcome.errors.contains("drover pull tiny"), "\(outcome)")
    }
  }
}
