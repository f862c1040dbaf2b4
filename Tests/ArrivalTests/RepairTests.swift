import Foundation
import TestSupport
import Testing

/// What is damaged in a download is fetched again, and nothing else.
@Suite(.serialized) struct RepairTests {
  private static let megabytes = 40
  private static let piece = 16 << 20

  /// A release on a server, and a download of it.
  private final class Stage {
    let folder: String
    let nginx: Nginx
    var model: String { folder + "/out/m" }
    var weights: String { model + "/a.pth" }
    var original: String { folder + "/www/m/a.pth" }

    init(_ folder: String, directives: String = "") throws {
      self.folder = folder
      try FileManager.default.createDirectory(atPath: folder + "/www/m", withIntermediateDirectories: true)
      try RepairTests.bytes(RepairTests.megabytes * 1_000_000).write(to: URL(filePath: folder + "/www/m/a.pth"))
      try #"{"dim": 1}"#.write(toFile: folder + "/www/m/params.json", atomically: true, encoding: .utf8)
      try Self.list(folder)
      try #"{"id":"m","files":[{"path":"m/a.pth"},{"path":"m/params.json"},{"path":"m/checklist.chk"}]}"#.write(toFile: folder + "/m.json", atomically: true, encoding: .utf8)
      nginx = try Nginx(root: folder + "/www", directives: directives)
    }

    /// As Meta's lists are made.
    static func list(_ folder: String) throws {
      let sums = try run("/usr/bin/env", ["md5sum", "a.pth", "params.json"], in: folder + "/www/m").output
      try sums.write(toFile: folder + "/www/m/checklist.chk", atomically: true, encoding: .utf8)
    }

    func drover(_ arguments: String...) throws -> Outcome {
      try run(droverPath, arguments + ["--manifest", folder + "/m.json"], environment: ["DROVER_URL": "http://127.0.0.1:\(nginx.port)/*", "SOURCE_DATE_EPOCH": "0"])
    }

    func download() throws -> Outcome { try drover("download", "--output", folder + "/out", "--yes", "--quiet") }
    func repair() throws -> (status: Int32, bytes: Int, errors: String) {
      let outcome = try drover("repair", model, "--json")
      let document = try? JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any]
      return (outcome.status, document?["bytes"] as? Int ?? -1, outcome.errors)
    }

    func flip(_ offset: Int) throws { try RepairTests.flip(weights, offset) }

    var isRight: Bool { FileManager.default.contentsEqual(atPath: weights, andPath: original) }
    func names() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: model).sorted() }
  }

  private static func flip(_ path: String, _ offset: Int, bit: Int = 4) throws {
    let file = try FileHandle(forUpdating: URL(filePath: path))
    try file.seek(toOffset: UInt64(offset))
    let byte = try file.read(upToCount: 1)?.first ?? 0
    try file.seek(toOffset: UInt64(offset))
    try file.write(contentsOf: [byte ^ 1 << bit])
    try file.close()
  }

  private static func bytes(_ count: Int) -> Data {
    var data = Data(count: count)
    data.withUnsafeMutableBytes { words in
      var state: UInt64 = 0x9E37_79B9_7F4A_7C15
      for index in 0..<count / 8 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        words.storeBytes(of: state, toByteOffset: 8 * index, as: UInt64.self)
      }
    }
    return data
  }

  private static let names = ["a.pth", "checklist.chk", "drover-receipt.json", "params.json"]

  /// One byte that is wrong costs at most the piece that it lies in, wherever it is.
  @Test(.needs(.nginx)) func aFlippedByteCostsItsPiece() throws {
    try withTemporaryFolder { folder in
      let stage = try Stage(folder)
      defer { stage.nginx.stop() }
      #expect(try stage.download().status == 0)
      #expect(try stage.repair().bytes == 0)
      for offset in [0, Self.piece - 1, Self.piece, 2 * Self.piece + 5, Self.megabytes * 1_000_000 - 1, 7_654_321] {
        try stage.flip(offset)
        let (status, bytes, errors) = try stage.repair()
        #expect(status == 0 && stage.isRight, "\(errors)")
        #expect((1...Self.piece).contains(bytes), "\(bytes) bytes for the one at \(offset)")
        #expect(try stage.names() == Self.names)
      }
      #expect(try drover("verify", stage.model).status == 0)
    }
  }

  /// Whatever else is wrong: cut short, longer, missing, a small file edited, several places at once.
  @Test(.needs(.nginx)) func otherDamageIsRepaired() throws {
    try withTemporaryFolder { folder in
      let stage = try Stage(folder)
      defer { stage.nginx.stop() }
      #expect(try stage.download().status == 0)
      truncate(stage.weights, 20_000_000)
      var repair = try stage.repair()
      #expect(repair.status == 0 && stage.isRight && repair.bytes <= Self.megabytes * 1_000_000 - Self.piece, "\(repair)")
      let file = try FileHandle(forUpdating: URL(filePath: stage.weights))
      try file.seekToEnd()
      try file.write(contentsOf: [1, 2, 3])
      try file.close()
      repair = try stage.repair()
      #expect(repair.status == 0 && stage.isRight && repair.bytes <= Self.piece, "\(repair)")
      try FileManager.default.removeItem(atPath: stage.weights)
      try "edited".write(toFile: stage.model + "/params.json", atomically: true, encoding: .utf8)
      repair = try stage.repair()
      #expect(repair.status == 0 && stage.isRight && repair.bytes == Self.megabytes * 1_000_000 + 10, "\(repair)")
      #expect(try stage.names() == Self.names)
      #expect(try drover("verify", stage.model).status == 0)
    }
  }

  /// Where the server has another version, nothing here is touched.
  @Test(.needs(.nginx)) func anotherVersionChangesNothing() throws {
    try withTemporaryFolder { folder in
      let stage = try Stage(folder)
      defer { stage.nginx.stop() }
      #expect(try stage.download().status == 0)
      try stage.flip(3_000_000)
      try (Self.bytes(1_000_000) + Data([1])).write(to: URL(filePath: stage.original))
      try Stage.list(folder)
      let before = try run("/usr/bin/env", ["sh", "-c", "md5sum *; stat -c '%i %Y' *"], in: stage.model).output
      let (status, _, errors) = try stage.repair()
      #expect(status == 65 && errors.contains("the server has another version"), "\(errors)")
      #expect(try run("/usr/bin/env", ["sh", "-c", "md5sum *; stat -c '%i %Y' *"], in: stage.model).output == before)
    }
  }

  /// A model that was downloaded, and what repairs it.
  private struct Downloaded {
    /// Where the files lie, and where they come from.
    let folder: String
    let source: String
    /// From the largest to the smallest.
    let files: [String]
    let repair: () throws -> Outcome
    /// Bytes of files that the server has sent.
    let sent: () -> Int
    /// What one bit costs at most, of a file with so many bytes.
    let most: (Int) -> Int
    let stop: () -> Void

    init(_ kind: String, _ folder: String) throws {
      if kind == "release" {
        let stage = try Stage(folder)
        try #require(try stage.download().status == 0)
        (self.folder, source, files) = (stage.model, folder + "/www/m", ["a.pth", "params.json"])
        repair = { try stage.drover("repair", stage.model, "--json") }
        sent = { stage.nginx.accessLog.filter { !$0.contains(".chk") }.compactMap { Int($0.split(separator: "\"")[2].split(separator: " ")[1]) }.reduce(0, +) }
        most = { min($0, RepairTests.piece) }
        stop = { stage.nginx.stop() }
        return
      }
      let hub = try HubStandIn()
      try hub.write(RepairTests.bytes(RepairTests.megabytes * 1_000_000), to: "org/model/main/model.safetensors")
      try hub.write(Data(String(repeating: "A card. ", count: 4000).utf8), to: "org/model/main/README.md")
      try hub.write(Data(#"{"a": 1}"#.utf8), to: "org/model/main/config.json")
      let environment = ["HF_ENDPOINT": hub.endpoint, "HOME": folder, "HF_TOKEN": "", "HF_HOME": folder + "/home", "HF_HUB_CACHE": folder + "/cache", "HF_HUB_OFFLINE": ""]
      func command(_ arguments: [String]) throws -> Outcome { try run(droverPath, arguments, environment: environment) }
      (source, files) = (hub.root + "/org/model/main", ["model.safetensors", "README.md", "config.json"])
      sent = { hub.log.compactMap { $0.hasPrefix("sent ") ? Int($0.dropFirst(5)) : nil }.reduce(0, +) }
      stop = { hub.stop() }
      if kind == "cache" {
        try #require(try command(["download", "hf:org/model", "--hf-cache", "--yes"]).status == 0)
        let snapshots = folder + "/cache/models--org--model/snapshots"
        self.folder = snapshots + "/" + (try #require(try FileManager.default.contentsOfDirectory(atPath: snapshots).first))
        repair = { try command(["repair", "hf:org/model", "--json"]) }
        // Nothing but its name says what a file of the cache is.
        most = { $0 }
      } else {
        try #require(try command(["download", "hf:org/model", "--output", folder, "--yes"]).status == 0)
        self.folder = folder + "/model"
        repair = { try command(["repair", folder + "/model", "--json"]) }
        most = { min($0, RepairTests.piece) }
      }
    }

    /// In a cache names are links.
    func isRight() -> Bool {
      files.allSatisfy { name in
        let real = URL(filePath: folder + "/" + name).resolvingSymlinksInPath().path(percentEncoded: false)
        return FileManager.default.contentsEqual(atPath: real, andPath: source + "/" + name)
      }
    }
  }

  /// One bit costs at most the piece of 16 MiB that it lies in, wherever it is, or the file where only a digest of the whole is known.
  @Test(.needs(.nginx), arguments: ["release", "folder", "cache"]) func eachOfTwentyFlippedBitsCostsItsPiece(kind: String) throws {
    try withTemporaryFolder { folder in
      let model = try Downloaded(kind, folder)
      defer { model.stop() }
      // A server notes what it has sent a moment after the last byte.
      let whole = try model.files.reduce(0) { $0 + (try FileManager.default.attributesOfItem(atPath: model.source + "/" + $1)[.size] as? Int ?? 0) }
      #expect(waitUntil { model.sent() >= whole })
      var random = SystemRandomNumberGenerator()
      var fetched: [String] = []
      for turn in 0..<20 {
        // Most of them in the weights; a card and a description have to be right too.
        let name = turn % 5 == 4 ? model.files[1 + turn / 5 % (model.files.count - 1)] : model.files[0]
        let size = try #require(try FileManager.default.attributesOfItem(atPath: model.source + "/" + name)[.size] as? Int)
        let (offset, bit) = (Int.random(in: 0..<size, using: &random), Int.random(in: 0..<8, using: &random))
        try Self.flip(model.folder + "/" + name, offset, bit: bit)
        #expect(!model.isRight())
        let before = model.sent()
        let outcome = try model.repair()
        let bytes = (try? JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any])?["bytes"] as? Int ?? -1
        #expect(outcome.status == 0 && model.isRight(), "bit \(bit) of byte \(offset) of \(name): \(outcome)")
        #expect((1...model.most(size)).contains(bytes), "\(bytes) bytes for bit \(bit) of byte \(offset) of \(name)")
        // The server's own count: all that it has sent, but for lists. What was on its way when drover split a request counts too.
        #expect(waitUntil { model.sent() - before >= bytes })
        #expect(model.sent() - before <= model.most(size) + 8_000_000, "\(model.sent() - before) bytes sent for byte \(offset) of \(name)")
        fetched.append("\(bytes)")
      }
      print("repair of a \(kind), one bit in each of 20 random places: bytes fetched \(fetched.joined(separator: " "))")
      #expect(try drover("verify", model.folder).status == 0)
    }
  }

  /// Of kills, `DROVER_REPAIR_KILLS` says how many.
  private static let kills = ProcessInfo.processInfo.environment["DROVER_REPAIR_KILLS"].flatMap { Int($0) } ?? 8

  /// Killed at any moment, there is the old file or the new one, never a mixture.
  @Test(.needs(.nginx)) func killedInTheMiddleTheFileIsTheOldOrTheNew() throws {
    try withTemporaryFolder { folder in
      let stage = try Stage(folder, directives: "limit_rate 5m;")
      defer { stage.nginx.stop() }
      #expect(try stage.download().status == 0)
      func sum() throws -> String { String(try run("/usr/bin/env", ["md5sum", stage.weights]).output.prefix(32)) }
      let new = String(try run("/usr/bin/env", ["md5sum", stage.original]).output.prefix(32))
      var random = SystemRandomNumberGenerator()
      var (old, left) = (new, (old: 0, new: 0, mixtures: 0))
      var (kills, ended) = (0, 0)
      while kills < Self.kills {
        if old == new {
          for start in [0, Self.piece, 2 * Self.piece] { try stage.flip(start + Int.random(in: 0..<6_000_000, using: &random)) }
          old = try sum()
        }
        let process = try Child(
          droverPath, ["repair", stage.model, "--quiet", "--manifest", folder + "/m.json"], environment: ["DROVER_URL": "http://127.0.0.1:\(stage.nginx.port)/*"])
        usleep(UInt32.random(in: 20_000..<1_200_000, using: &random))
        process.signal(SIGKILL)
        if process.wait() == 128 + SIGKILL { kills += 1 } else { ended += 1 }
        let now = try sum()
        if now == new { left.new += 1 } else if now == old { left.old += 1 } else { left.mixtures += 1 }
        old = now
      }
      print("\(kills) kills of repair, and \(ended) runs that ended before: the old file \(left.old) times, the new one \(left.new) times, a mixture \(left.mixtures) times")
      #expect(left.mixtures == 0)
      #expect(try stage.repair().status == 0)
      #expect(try sum() == new && stage.names() == Self.names)
    }
  }

  /// Of a repository the revision comes out of the receipt, also when the branch has moved on.
  @Test func aRepositoryIsRepairedAtItsCommit() throws {
    let hub = try HubStandIn()
    defer { hub.stop() }
    try hub.write(Self.bytes(20_000_000), to: "org/model/main/model.safetensors")
    try hub.write(Data(#"{"a": 1}"#.utf8), to: "org/model/main/config.json")
    try withTemporaryFolder { folder in
      func command(_ arguments: String...) throws -> Outcome {
        try run(droverPath, arguments, environment: ["HF_ENDPOINT": hub.endpoint, "HOME": folder, "HF_TOKEN": "", "HF_HOME": folder + "/none"])
      }
      // The stand-in's bytes are no checkpoint; its files are verified all the same.
      #expect(try command("download", "hf:org/model", "--output", folder, "--yes").status == 0)
      let file = try FileHandle(forUpdating: URL(filePath: folder + "/model/model.safetensors"))
      try file.seek(toOffset: 18_000_000)
      try file.write(contentsOf: Data(repeating: 7, count: 4))
      try file.close()
      try "{}".write(toFile: folder + "/model/config.json", atomically: true, encoding: .utf8)
      let outcome = try command("repair", folder + "/model")
      #expect(outcome.status == 0, "\(outcome.errors)")
      #expect(FileManager.default.contentsEqual(atPath: folder + "/model/model.safetensors", andPath: hub.root + "/org/model/main/model.safetensors"))
      #expect(try String(contentsOfFile: folder + "/model/config.json", encoding: .utf8) == #"{"a": 1}"#)
      #expect(outcome.output.contains("2 of 2 files repaired"))
    }
  }

  /// What `reshard` wrote can't be fetched.
  @Test func whatDroverWroteIsMadeAnew() throws {
    try withTemporaryFolder { folder in
      try #require(try drover("demo", "--keep", folder + "/demo").status == 0)
      let source = try #require(try FileManager.default.subpathsOfDirectory(atPath: folder + "/demo").first { $0.hasSuffix("consolidated.00.pth") })
      let made = folder + "/made"
      #expect(try drover("reshard", URL(filePath: folder + "/demo/" + source).deletingLastPathComponent().path(percentEncoded: false), made, "--mp", "1").status == 0)
      let path = try #require(try FileManager.default.contentsOfDirectory(atPath: made).first { $0.hasPrefix("consolidated") }).withFolder(made)
      let file = try FileHandle(forUpdating: URL(filePath: path))
      try file.seek(toOffset: 500_000)
      try file.write(contentsOf: Data(repeating: 0x55, count: 8))
      try file.close()
      let outcome = try drover("repair", made)
      #expect(outcome.status == 64 && outcome.errors.contains("drover reshard"), "\(outcome.errors)")
    }
  }
}

extension String {
  fileprivate func withFolder(_ folder: String) -> String { folder + "/" + self }
}
