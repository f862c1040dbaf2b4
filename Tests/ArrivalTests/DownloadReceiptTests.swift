import Foundation
import Glibc
import Integrity
import SystemPackage
import TestSupport
import Testing

/// The receipt that a download leaves: held against coreutils and against twenty lines of Python.
@Suite(.needs(.python), .needs(.nginx)) struct DownloadReceiptTests {
  private let secret = "sEcReTsIgNaTuRe"

  /// A release that torch wrote, its manifest, and where it is downloaded to.
  private struct Stage {
    let folder: String
    let nginx: Nginx
    let expected: ReferenceModel.Fingerprint
    var output: String { folder + "/out" }
    var model: String { output + "/m" }
    var receipt: String { model + "/drover-receipt.json" }

    init(
      _ folder: String, names: [String] = ["params.json", "consolidated.00.pth", "consolidated.01.pth"], layout: String = "mp2", scale: Int = 1,
      directives: String = ""
    ) throws {
      self.folder = folder
      expected = try ReferenceModel.write(to: folder, scale: scale)["keep"] ?? .init(checkpoint: "", tensors: [:])
      try FileManager.default.moveItem(atPath: folder + "/" + layout, toPath: folder + "/m")
      let list = try run("/usr/bin/md5sum", names, in: folder + "/m").output
      try list.write(toFile: folder + "/m/checklist.chk", atomically: true, encoding: .utf8)
      let files = (["checklist.chk"] + names).map { #"{"path": "m/\#($0)"}"# }.joined(separator: ",")
      try #"{"id": "tiny", "files": [\#(files)]}"#.write(toFile: folder + "/manifest.json", atomically: true, encoding: .utf8)
      nginx = try Nginx(root: folder, directives: directives)
    }

    func download(_ more: String...) throws -> Outcome { try run(droverPath, arguments + ["--progress", "plain"] + more, environment: environment) }

    var arguments: [String] { ["download", "--manifest", folder + "/manifest.json", "--output", output, "--yes"] }
    var environment: [String: String] { ["DROVER_URL": "http://127.0.0.1:\(nginx.port)/*?sig=sEcReTsIgNaTuRe&se=2099-01-01"] }
  }

  @Test func tellsWhatIsThere() throws {
    try withTemporaryFolder { folder in
      let stage = try Stage(folder)
      defer { stage.nginx.stop() }
      let outcome = try stage.download("--connections", "3", "--limit-rate", "500M")
      try #require(outcome.status == 0, "\(outcome.errors)")
      let receipt = try Receipt(contentsOf: FilePath(stage.receipt))
      #expect(receipt.operation == "download" && receipt.origin == .release("tiny"))
      #expect(receipt.options == ["manifest": "manifest.json", "connections": "3", "limit-rate": "500000000"])
      #expect(receipt.fingerprint?.whole.hex == stage.expected.checkpoint)
      #expect(receipt.fingerprint?.tensors.mapValues(\.hex) == stage.expected.tensors)
      try expectTruth(receipt, in: stage.model)
      #expect(try !String(contentsOfFile: stage.receipt, encoding: .utf8).contains(secret))
      try expectVerified(stage.model)
    }
  }

  /// A second run leaves the receipt alone; what is missing, damaged or of other files is made again.
  @Test func isMadeOnce() throws {
    try withTemporaryFolder { folder in
      let stage = try Stage(folder)
      defer { stage.nginx.stop() }
      try #require(try stage.download().status == 0)
      // To be told from one that was made again.
      let first = try String(contentsOfFile: stage.receipt, encoding: .utf8).replacingOccurrences(of: "\"drover ", with: "\"earlier drover ")
      try first.write(toFile: stage.receipt, atomically: true, encoding: .utf8)
      let second = try stage.download("--limit-rate", "900M")
      #expect(second.status == 0)
      #expect(try String(contentsOfFile: stage.receipt, encoding: .utf8) == first)

      let digest = try #require(try Receipt(contentsOf: FilePath(stage.receipt)).files.compactMap(\.md5).first?.digest.hex)
      for spoilt in ["", "{}", first.replacingOccurrences(of: digest, with: String(digest.reversed())), String(first.dropLast(200))] {
        try spoilt.write(toFile: stage.receipt, atomically: true, encoding: .utf8)
        #expect(try stage.download().status == 0)
        let made = try Receipt(contentsOf: FilePath(stage.receipt))
        #expect(made.fingerprint?.whole.hex == stage.expected.checkpoint && made.tool.hasPrefix("drover "))
        try expectTruth(made, in: stage.model)
      }
    }
  }

  /// Files that aren't a checkpoint have a receipt all the same; a note is due only where they look like one.
  @Test(arguments: [(["params.json"], false), (["params.json", "consolidated.01.pth"], true)])
  func worksWithoutWeights(names: [String], isNoted: Bool) throws {
    try withTemporaryFolder { folder in
      let stage = try Stage(folder, names: names)
      defer { stage.nginx.stop() }
      let outcome = try stage.download()
      #expect(outcome.status == 0)
      #expect(outcome.errors.contains("no fingerprint") == isNoted, "\(outcome.errors)")
      let receipt = try Receipt(contentsOf: FilePath(stage.receipt))
      #expect(receipt.fingerprint == nil)
      try expectTruth(receipt, in: stage.model)
    }
  }

  /// A shard that lies there from elsewhere is not what the receipt is about.
  @Test func vouchesForNothingElse() throws {
    try withTemporaryFolder { folder in
      let stage = try Stage(folder, names: ["params.json", "consolidated.00.pth"])
      defer { stage.nginx.stop() }
      try FileManager.default.createDirectory(atPath: stage.model, withIntermediateDirectories: true)
      try FileManager.default.copyItem(atPath: folder + "/m/consolidated.01.pth", toPath: stage.model + "/consolidated.01.pth")
      let outcome = try stage.download()
      #expect(outcome.status == 0 && outcome.errors.contains("consolidated.01.pth"), "\(outcome.errors)")
      #expect(try Receipt(contentsOf: FilePath(stage.receipt)).fingerprint == nil)
    }
  }

  /// How a release of four shards comes in.
  enum Way: CaseIterable {
    case atOnePace
    /// Over one connection, and so one shard after another.
    case oneByOne
    case withParamsFromBefore
    case inTwoRuns
    /// One shard changes on the server while it is fetched.
    case withAShardThatChanges
  }

  private struct Progress: Decodable {
    struct Item: Decodable { var status: String? }
    var event: String
    var task: String
    var items: [Item]
  }

  /// The fingerprint is made on the way, over several runs too, and nothing is read again for it. What was seen of a shard that turned out to be another
  /// one counts for nothing.
  @Test(arguments: Way.allCases) func followsTheDownload(way: Way) throws {
    try withTemporaryFolder { folder in
      let names = ["params.json"] + (0..<4).map { "consolidated.0\($0).pth" }
      let stage = try Stage(folder, names: names, layout: "mp4", scale: 12, directives: "limit_rate \(way == .inTwoRuns || way == .withAShardThatChanges ? "1m" : "3m");")
      defer { stage.nginx.stop() }
      let shard = folder + "/m/consolidated.02.pth"
      let journal = stage.model + "/consolidated.02.pth.part.journal"
      try FileManager.default.createDirectory(atPath: stage.model, withIntermediateDirectories: true)
      if way == .withParamsFromBefore { try FileManager.default.copyItem(atPath: folder + "/m/params.json", toPath: stage.model + "/params.json") }
      let right = try Data(contentsOf: URL(filePath: shard))
      if way == .withAShardThatChanges {
        var wrong = right
        wrong[right.count / 4] ^= 1
        try wrong.write(to: URL(filePath: shard))
        // nginx tells versions apart by their seconds.
        try FileManager.default.setAttributes([.modificationDate: Date(timeIntervalSinceNow: -3600)], ofItemAtPath: shard)
      }
      let errors = folder + "/errors"
      let drover = try Child(
        droverPath, stage.arguments + ["--progress", "json", "--connections", way == .oneByOne ? "1" : "4"], environment: stage.environment, errors: .file(errors))
      if way == .inTwoRuns || way == .withAShardThatChanges {
        // A shard takes six seconds. Its last megabyte, a zip's directory, comes first.
        #expect(waitUntil { (Journaled(journal)?.bytes ?? 0) > 2_500_000 })
      }
      if way == .inTwoRuns {
        drover.signal(SIGINT)
        #expect(drover.wait() == 130 && FileManager.default.fileExists(atPath: journal))
        let second = try run(droverPath, stage.arguments + ["--progress", "json"], environment: stage.environment)
        #expect(second.status == 0)
        try second.errors.write(toFile: errors, atomically: true, encoding: .utf8)
      } else if way == .withAShardThatChanges {
        stage.nginx.kill()
        try right.write(to: URL(filePath: shard))
        try stage.nginx.start()
      }
      let ending = drover.wait()
      let said = try String(contentsOfFile: errors, encoding: .utf8).split(separator: "\n")
      if way != .inTwoRuns { #expect(ending == 0, "\(said.suffix(3))") }
      #expect(said.contains { $0.contains("afresh") } == (way == .withAShardThatChanges), "\(said.filter { !$0.hasPrefix("{") })")
      let ends = said.compactMap { try? JSONDecoder().decode(Progress.self, from: Data($0.utf8)) }.filter { $0.event == "end" && $0.task == "fingerprint" }
      let status = try #require(ends.first?.items.first?.status)
      #expect(ends.count == 1 && status == "receipt written", "\(status)")
      let receipt = try Receipt(contentsOf: FilePath(stage.receipt))
      #expect(receipt.fingerprint?.whole.hex == stage.expected.checkpoint)
      #expect(receipt.fingerprint?.tensors.mapValues(\.hex) == stage.expected.tensors)
      try expectTruth(receipt, in: stage.model)
      try expectVerified(stage.model)
    }
  }
}
