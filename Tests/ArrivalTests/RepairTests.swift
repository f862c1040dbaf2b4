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

    func flip(_ offset: Int) throws {
      let file = try FileHandle(forUpdating: URL(filePath: weights))
      try file.seek(toOffset: UInt64(offset))
      let byte = try file.read(upToCount: 1)?.first ?? 0
      try file.seek(toOffset: UInt64(offset))
      try file.write(contentsOf: [byte ^ 0x10])
      try file.close()
    }

    var isRight: Bool { FileManager.default.contentsEqual(atPath: weights, andPath: original) }
    func names() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: model).sorted() }
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

  /// Killed at any moment, there is the old file or the new one.
  @Test(.needs(.nginx)) func killedInTheMiddleTheFileIsTheOldOrTheNew() throws {
    try withTemporaryFolder { folder in
      let stage = try Stage(folder, directives: "limit_rate 2m;")
      defer { stage.nginx.stop() }
      #expect(try stage.download().status == 0)
      for offset in [1, Self.piece + 1, 2 * Self.piece + 1] { try stage.flip(offset) }
      func sum() throws -> Substring { try run("/usr/bin/env", ["md5sum", stage.weights]).output.prefix(32) }
      let (old, new) = (try sum(), try run("/usr/bin/env", ["md5sum", stage.original]).output.prefix(32))
      var random = SystemRandomNumberGenerator()
      for _ in 0..<8 {
        let process = Process()
        process.executableURL = URL(filePath: droverPath)
        process.arguments = ["repair", stage.model, "--quiet", "--manifest", folder + "/m.json"]
        process.environment = ProcessInfo.processInfo.environment.merging(["DROVER_URL": "http://127.0.0.1:\(stage.nginx.port)/*"]) { $1 }
        process.standardError = FileHandle.nullDevice
        try process.run()
        usleep(UInt32.random(in: 100_000..<900_000, using: &random))
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        #expect([old, new].contains(try sum()))
      }
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
