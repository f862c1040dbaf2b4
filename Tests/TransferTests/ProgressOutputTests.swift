import Foundation
import TestSupport
import Testing

/// What a download says on standard error when that is no terminal.
@Suite(.serialized) struct ProgressOutputTests {
  private func download(_ stage: ResumeTests.Stage, _ nginx: Nginx, _ more: String...) throws -> Outcome {
    try run(
      droverPath, ["download", "--manifest", stage.manifest, "--output", stage.output, "--connections", "1"] + more,
      environment: ["DROVER_URL": FaultTests.linkText(nginx.port)])
  }

  /// A JSON line, as the README promises it.
  private struct Line: Decodable {
    struct Item: Decodable {
      let name: String
      let bytes: Int
      let total: Int?
      let status: String?
    }
    let event: String
    let task: String
    let bytes: Int
    let total: Int?
    let bytesPerSecond: Int
    let seconds: Double
    let items: [Item]
  }

  @Test(.needs(.nginx)) func jsonLinesGrowToTheirEnd() throws {
    try withTemporaryFolder { folder in
      let stage = try ResumeTests.Stage(folder, megabytes: 8)
      let whole = stage.megabytes * 1_000_000 + 17
      // As if most of it had come in a run before.
      try FileManager.default.createDirectory(atPath: stage.output + "/m", withIntermediateDirectories: true)
      _ = try run("/bin/sh", ["-c", "head -c 7400000 www/m/consolidated.00.pth > out/m/consolidated.00.pth"], in: folder)
      let nginx = try Nginx(root: stage.root, directives: "limit_rate 200k;")
      defer { nginx.stop() }
      let outcome = try download(stage, nginx, "--progress", "json", "--quiet", "--json")
      #expect(outcome.status == 0 && outcome.output.contains("\"resumed\""))
      #expect(outcome.errors.isEmpty, "--quiet is stronger: \(outcome.errors)")
      try FileManager.default.removeItem(atPath: stage.final)
      _ = try run("/bin/sh", ["-c", "head -c 7400000 www/m/consolidated.00.pth > out/m/consolidated.00.pth"], in: folder)
      let said = try download(stage, nginx, "--progress", "json").errors.split(separator: "\n").filter { !$0.contains(#""event":"note""#) }
      let all = try said.map { try JSONDecoder().decode(Line.self, from: Data($0.utf8)) }
      // The receipt is a task of its own.
      let lines = Array(all.prefix { $0.task == "download" })
      #expect(all.dropFirst(lines.count).allSatisfy { $0.task == "fingerprint" })
      #expect(lines.count > 3)
      #expect(lines.dropLast().allSatisfy { $0.event == "progress" } && lines.last?.event == "end")
      #expect(lines.allSatisfy { $0.items.count == 3 && $0.bytes == $0.items.reduce(0) { $0 + $1.bytes } })
      for (before, after) in zip(lines, lines.dropFirst()) { #expect(after.bytes >= before.bytes && after.seconds >= before.seconds) }
      // Most was here: the rate is that of the rest, which nginx begins with a burst.
      #expect(lines.contains { $0.bytes > 7_400_000 && $0.bytes < whole && $0.bytesPerSecond > 0 })
      #expect(lines.allSatisfy { $0.bytesPerSecond < 6_000_000 }, "\(lines.map(\.bytesPerSecond))")
      let end = try #require(lines.last)
      #expect(end.total == end.bytes && end.items.contains { $0.name == "m/consolidated.00.pth" && $0.bytes == whole && $0.total == whole && $0.status != nil })
    }
  }

  @Test(.needs(.nginx), arguments: ["auto", "plain", "none"]) func elsewhereLinesArePlain(mode: String) throws {
    try withTemporaryFolder { folder in
      let stage = try ResumeTests.Stage(folder, megabytes: 2)
      let nginx = try Nginx(root: stage.root)
      defer { nginx.stop() }
      let outcome = try download(stage, nginx, "--progress", mode)
      #expect(outcome.status == 0 && outcome.output.contains("3 files, "))
      #expect(!(outcome.errors + outcome.output).contains("\u{1B}") && !outcome.errors.contains("\r"))
      #expect(outcome.errors.split(separator: "\n").allSatisfy { $0.hasPrefix("note: ") } == (mode == "none"), "\(outcome.errors)")
      if mode != "none" { #expect(outcome.errors.contains("download: m/consolidated.00.pth  2.00 MB  verified\n"), "\(outcome.errors)") }
    }
  }

  @Test(.needs(.nginx)) func quietSaysOnlyWhatIsWrong() throws {
    try withTemporaryFolder { folder in
      let stage = try ResumeTests.Stage(folder, megabytes: 2)
      let nginx = try Nginx(root: stage.root)
      defer { nginx.stop() }
      let good = try download(stage, nginx, "--quiet")
      #expect(good.status == 0 && good.errors.isEmpty, "\(good.errors)")
      try FileManager.default.removeItem(atPath: stage.root + "/m/checklist.chk")
      let bad = try download(stage, nginx, "--quiet")
      #expect(bad.status == 69 && bad.errors.split(separator: "\n").count == 1 && bad.errors.contains("m/checklist.chk"), "\(bad.errors)")
    }
  }
}
