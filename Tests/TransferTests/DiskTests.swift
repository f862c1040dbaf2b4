import Foundation
import Glibc
import TestSupport
import Testing

/// What a download does when the disk won't: full before it starts, full in its middle, not to be written at all.
@Suite(.serialized) struct DiskTests {
  /// Takes all the room there is.
  private func fill(_ folder: String) throws { _ = try run("/bin/sh", ["-c", "cat /dev/zero > fill"], in: folder) }

  private func download(_ stage: ResumeTests.Stage, _ nginx: Nginx, to output: String) throws -> Outcome {
    try run(
      droverPath, ["download", "--manifest", stage.manifest, "--output", output, "--yes", "--json", "--connections", "1"],
      environment: ["DROVER_URL": "http://127.0.0.1:\(nginx.port)/*"])
  }

  @Test(.needs(.nginx), .needsMounts) func withoutRoomNothingIsBegun() throws {
    try withTemporaryFolder { folder in
      let stage = try ResumeTests.Stage(folder, megabytes: 12)
      let nginx = try Nginx(root: stage.root)
      defer { nginx.stop() }
      try FileManager.default.createDirectory(atPath: stage.output, withIntermediateDirectories: true)
      let disk = try Mount(on: stage.output, megabytes: 8)
      defer { disk.stop() }
      let outcome = try download(stage, nginx, to: disk.path)
      #expect(outcome.status == 73 && outcome.errors.contains("bytes are needed, and"), "\(outcome.errors)")
      // Its beginning, which tells how long it is.
      #expect(bytesSent(nginx) <= 256 << 10)
      // Not even a checklist fits.
      try FileManager.default.removeItem(atPath: disk.path + "/m")
      try fill(disk.path)
      let full = try download(stage, nginx, to: disk.path)
      #expect(full.status == 73 && full.errors.contains("No space left"), "\(full.errors)")
    }
  }

  enum Vanishing: CaseIterable {
    /// From under what was promised to the file, as where a file system can't promise.
    case inMidFile
    /// Between one file and the next.
    case beforeTheNextFile
    /// After all of it was promised: only journals have none, and then drover is killed.
    case forJournals
  }

  /// Another process takes the room: what is here stays, and the next run goes on from the same byte.
  @Test(.needs(.nginx), .needsMounts, arguments: Vanishing.allCases) func roomMayVanish(how: Vanishing) throws {
    try withTemporaryFolder { folder in
      let stage = try ResumeTests.Stage(folder, megabytes: 24)
      let size = stage.megabytes * 1_000_000 + 17
      if how == .beforeTheNextFile {
        _ = try run("/bin/sh", ["-c", "cp consolidated.00.pth more.bin; md5sum *.pth *.bin *.json > checklist.chk"], in: stage.root + "/m")
        try #"{"id":"m","files":[{"path":"m/checklist.chk"},{"path":"m/params.json"},{"path":"m/consolidated.00.pth"},{"path":"m/more.bin"}]}"#
          .write(toFile: stage.manifest, atomically: true, encoding: .utf8)
      }
      let slow = try Nginx(root: stage.root, directives: "limit_rate 6m;")
      defer { slow.stop() }
      try FileManager.default.createDirectory(atPath: stage.output, withIntermediateDirectories: true)
      let disk = try Mount(on: stage.output, megabytes: 64)
      defer { disk.stop() }
      let part = disk.path + "/m/consolidated.00.pth.part"
      let journal = part + ".journal"
      let drover = try stage.start(slow.port, ["--connections", "1", "--output", disk.path])
      // Room was promised when more is safe than what told the file's length.
      #expect(waitUntil { (Journaled(journal)?.bytes ?? 0) > 300_000 })
      let half = size / 2
      if how == .inMidFile {
        // The last megabyte, a zip's directory, is here before the rest.
        _ = try run("/usr/bin/fallocate", ["--punch-hole", "--offset", "\(half)", "--length", "\(size - half - 2_000_000)", part])
        // Until it journals again, that was another's touch, and what no hash has seen is in doubt.
        let before = try #require(Journaled(journal)).bytes
        #expect(waitUntil { (Journaled(journal)?.bytes ?? 0) > before })
        try #require(Journaled(journal).map { $0.bytes < half } == true, "the machine was too slow for this test")
      }
      try fill(disk.path)
      var safe = 0
      if how == .forJournals {
        let before = FileManager.default.contents(atPath: journal)
        usleep(700_000)
        kill(drover.processIdentifier, SIGKILL)
        drover.waitUntilExit()
        #expect(FileManager.default.contents(atPath: journal) == before)
      } else {
        drover.waitUntilExit()
        #expect(drover.terminationStatus == 73)
      }
      if how != .beforeTheNextFile {
        safe = try #require(Journaled(journal)).bytes
        #expect(safe > 0)
      }
      #expect(FileManager.default.fileExists(atPath: disk.path + "/m/consolidated.00.pth") == (how == .beforeTheNextFile))
      try FileManager.default.removeItem(atPath: disk.path + "/fill")
      let fast = try Nginx(root: stage.root)
      defer { fast.stop() }
      let outcome = try download(stage, fast, to: disk.path)
      #expect(outcome.status == 0, "\(outcome.errors)")
      #expect(try run("/usr/bin/md5sum", ["-c", "--quiet", "checklist.chk"], in: disk.path + "/m").status == 0)
      if how == .beforeTheNextFile {
        #expect(bytesSent(fast, of: "consolidated.00") == 0 && outcome.output.contains("\"present\""))
      } else {
        #expect(outcome.output.contains("\"resumed\""))
        // nginx writes its log a moment after the last byte.
        #expect(waitUntil { bytesSent(fast) == size - safe }, "\(bytesSent(fast)) of \(size - safe) \(outcome.errors)")
      }
    }
  }

  @Test(.needs(.nginx), .needsMounts) func aFolderThatCanOnlyBeReadIsSaidSo() throws {
    try withTemporaryFolder { folder in
      let stage = try ResumeTests.Stage(folder, megabytes: 1)
      let nginx = try Nginx(root: stage.root)
      defer { nginx.stop() }
      // With and without the model's folder in it.
      for made in [stage.output, stage.output + "/m"] {
        try FileManager.default.createDirectory(atPath: made, withIntermediateDirectories: true)
        let disk = try Mount(on: stage.output, megabytes: nil)
        defer { disk.stop() }
        let outcome = try download(stage, nginx, to: disk.path)
        #expect(outcome.status == 73 && outcome.errors.contains("Read-only file system") && outcome.errors.contains("--output"), "\(outcome.errors)")
      }
      #expect(nginx.accessLog.isEmpty)
    }
  }

  /// What stands in a file's place is named, before its bytes are fetched, and stays as it is.
  @Test(.needs(.nginx), arguments: [
    ("mkdir -p out/m/consolidated.00.pth", "m/consolidated.00.pth: Is a directory"),
    ("mkdir -p out/m/consolidated.00.pth.part", "m/consolidated.00.pth: Is a directory"),
    ("mkdir -p out/m; ln -s /etc/passwd out/m/consolidated.00.pth.part", "m/consolidated.00.pth: Too many levels of symbolic links"),
    ("mkdir -p out/m; mkfifo out/m/consolidated.00.pth.part", "m/consolidated.00.pth: "),
    ("mkdir -p out/m; mkfifo out/m/consolidated.00.pth", "m/consolidated.00.pth: File exists"),
    ("echo > out", "Not a directory"),
    ("mkdir out; echo > out/m", "Not a directory"),
  ])
  func whatIsInTheWayIsNamed(script: String, words: String) throws {
    try withTemporaryFolder { folder in
      let stage = try ResumeTests.Stage(folder, megabytes: 1)
      let nginx = try Nginx(root: stage.root)
      defer { nginx.stop() }
      #expect(try run("/bin/sh", ["-c", script], in: folder).status == 0)
      let before = try run("/usr/bin/find", ["out", "-name", "*consolidated*", "-printf", "%p %y %s %l\n"], in: folder).output
      let outcome = try download(stage, nginx, to: stage.output)
      #expect(outcome.status == 73 && outcome.errors.contains(words), "\(outcome.errors)")
      #expect(try run("/usr/bin/find", ["out", "-name", "*consolidated*", "-printf", "%p %y %s %l\n"], in: folder).output == before)
      #expect(bytesSent(nginx) == 0)
    }
  }
}
