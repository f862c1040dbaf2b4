import Foundation
import Glibc
import TestSupport
import Testing
import Transfer

/// What a download survives: servers and drovers that are killed, files that are touched, links that end.
@Suite(.serialized) struct ResumeTests {
  /// A folder to serve, its manifest, and a folder to download into.
  struct Stage {
    let root: String
    let manifest: String
    let output: String
    let megabytes: Int

    init(_ folder: String, megabytes: Int) throws {
      root = folder + "/www"
      output = folder + "/out"
      manifest = folder + "/manifest.json"
      self.megabytes = megabytes
      try FileManager.default.createDirectory(atPath: root + "/m", withIntermediateDirectories: true)
      _ = try run("/bin/sh", ["-c", "head -c \(megabytes * 1_000_000 + 17) /dev/urandom > m/consolidated.00.pth; echo '{}' > m/params.json; cd m; md5sum *.pth *.json > checklist.chk"], in: root)
      try #"{"id":"m","files":[{"path":"m/checklist.chk"},{"path":"m/params.json"},{"path":"m/consolidated.00.pth"}]}"#
        .write(toFile: manifest, atomically: true, encoding: .utf8)
    }

    var final: String { output + "/m/consolidated.00.pth" }
    var part: String { final + ".part" }
    var journal: String { part + ".journal" }

    /// The program, started and not waited for.
    func start(_ port: UInt16, _ more: [String] = []) throws -> Child {
      try Child(
        droverPath, ["download", "--manifest", manifest, "--output", output, "--yes", "--quiet"] + more, environment: ["DROVER_URL": "http://127.0.0.1:\(port)/*"])
    }

    func finish(_ port: UInt16, _ more: String...) throws -> Outcome {
      try run(droverPath, ["download", "--manifest", manifest, "--output", output, "--yes", "--json"] + more, environment: ["DROVER_URL": "http://127.0.0.1:\(port)/*"])
    }

    /// As `md5sum -c` sees it.
    func isRight() throws -> Bool { try run("/usr/bin/md5sum", ["-c", "--quiet", "checklist.chk"], in: output + "/m").status == 0 }

    /// Waits until its journal says that something is safe: a preallocated file has its length at once.
    func waitForPart() { #expect(waitUntil { (Journaled(journal)?.bytes ?? 0) > 0 }) }
  }

  @Test(.needs(.nginx)) func aServerKilledInMidFileIsWaitedFor() throws {
    try withTemporaryFolder { folder in
      let stage = try Stage(folder, megabytes: 30)
      let nginx = try Nginx(root: stage.root, directives: "limit_rate 3m;")
      defer { nginx.stop() }
      let drover = try stage.start(nginx.port, ["--connections", "2"])
      stage.waitForPart()
      #expect(drover.isRunning)
      nginx.kill()
      usleep(300_000)
      try nginx.start()
      #expect(drover.wait() == 0)
      #expect(try stage.isRight())
    }
  }

  /// Killed again and again, at random moments from its start to its end: what has its final name is right at each of them, each run goes on where
  /// the last one's journal ends, and what is fetched twice stays little.
  @Test(.needs(.nginx)) func aHundredKillsLoseNothing() throws {
    try withTemporaryFolder { folder in
      let stage = try Stage(folder, megabytes: 60)
      let nginx = try Nginx(root: stage.root, directives: "limit_rate 6m;")
      defer { nginx.stop() }
      var random = Splitmix(seed: 42)
      var (kills, whole, interrupted) = (0, 0, 0)
      // Long enough for a start on this machine, and what comes after it.
      let begun = ContinuousClock.now
      let first = try stage.start(nginx.port, ["--connections", "4"])
      stage.waitForPart()
      let longest = min(1_000_000, max(350_000, 3 * UInt32((ContinuousClock.now - begun) / .microseconds(1))))
      first.signal(SIGKILL)
      first.wait()
      // A machine may be so quick that the file is there before.
      while kills < 120 {
        let drover = try stage.start(nginx.port, ["--connections", "4"])
        usleep(UInt32.random(in: 0...longest, using: &random))
        drover.signal(SIGKILL)
        let status = drover.wait()
        if status == 128 + SIGKILL { kills += 1 } else { #expect(status == 0) }
        if FileManager.default.fileExists(atPath: stage.part) { interrupted += 1 }
        guard FileManager.default.fileExists(atPath: stage.final) else { continue }
        // The small files may still be without their names.
        let check = try run("/usr/bin/md5sum", ["-c", "--quiet", "--ignore-missing", stage.root + "/m/checklist.chk"], in: stage.output + "/m")
        #expect(check.status == 0, "\(check)")
        whole += 1
        try FileManager.default.removeItem(atPath: stage.output)
      }
      #expect(interrupted > 20)
      if try stage.finish(nginx.port).status == 0 { whole += 1 }
      #expect(try stage.isRight())
      #expect(try FileManager.default.contentsOfDirectory(atPath: stage.output + "/m").allSatisfy { !$0.contains(".part") })
      let fetched = Double(bytesSent(nginx))
      let needed = Double(whole * (stage.megabytes * 1_000_000 + 17))
      print("\(kills) kills in \(whole) downloads: \(Int(fetched)) bytes fetched for \(Int(needed)) needed, \((fetched / needed * 100).rounded() / 100) times")
      // A kill loses what came since the last journal, and of what the server sent what nobody has read yet: of a run of a third of a second that is a good part.
      #expect(whole > 0 && fetched < 3 * needed)
    }
  }

  /// Stops a download in its middle and hands over what it left.
  private func interrupted(_ stage: Stage, _ nginx: Nginx, signal: Int32) throws -> Int32 {
    let drover = try stage.start(nginx.port, ["--connections", "2"])
    stage.waitForPart()
    usleep(300_000)
    drover.signal(signal)
    return drover.wait()
  }

  /// What the kernel counts says whether a prefix was read again: the files' hashes went on from their saved states.
  @Test(.needs(.nginx), arguments: [(SIGINT, 2), (SIGKILL, 1)]) func aResumedRunDoesNotReadWhatIsHere(signal: Int32, connections: Int) throws {
    try withTemporaryFolder { folder in
      let stage = try Stage(folder, megabytes: 80)
      // Over one connection nothing lies ahead of the hash when drover is killed.
      let slow = try Nginx(root: stage.root, directives: "limit_rate \(16 / connections)m;")
      defer { slow.stop() }
      let drover = try stage.start(slow.port, ["--connections", "\(connections)"])
      while drover.isRunning, (Journaled(stage.journal)?.bytes ?? 0) < 50_000_000 { usleep(20_000) }
      drover.signal(signal)
      #expect(drover.wait() == (signal == SIGINT ? 130 : 128 + SIGKILL))
      let here = try #require(Journaled(stage.journal)).bytes
      let fast = try Nginx(root: stage.root)
      defer { fast.stop() }
      let (outcome, read, _) = try countingReadsAndWrites(
        ["download", "--manifest", stage.manifest, "--output", stage.output, "--yes"], environment: ["DROVER_URL": "http://127.0.0.1:\(fast.port)/*"])
      // What comes from the network counts as read too: the rest of the file. Nothing else is, but the program, its lists and its journal.
      #expect(here >= 50_000_000 && read < 80_000_017 - here + 8_000_000, "\(read) bytes read, \(here) were here \(outcome.errors)")
      #expect(try stage.isRight())
    }
  }

  /// A release in two runs: the second one takes the hash of the shard that the first one finished, and what was made of it, from its journal.
  @Test(.needs(.nginx), .needs(.python), arguments: ["untouched", "touched", "damaged"]) func aFinishedShardIsNotReadAgain(how: String) throws {
    try withTemporaryFolder { folder in
      // Shards of 21 MB: of less than 16 MiB no journal is kept.
      let expected = try #require(try ReferenceModel.write(to: folder, scale: 16)["keep"])
      let (output, manifest) = (folder + "/out", folder + "/m.json")
      try #require(try run("/bin/sh", ["-ec", "mkdir www; mv mp2 www/m; cd www/m; md5sum *.pth params.json > checklist.chk; mv consolidated.01.pth ../../late"], in: folder).status == 0)
      try #"{"id":"m","files":[{"path":"m/checklist.chk"},{"path":"m/params.json"},{"path":"m/consolidated.00.pth"},{"path":"m/consolidated.01.pth"}]}"#
        .write(toFile: manifest, atomically: true, encoding: .utf8)
      let nginx = try Nginx(root: folder + "/www")
      defer { nginx.stop() }
      let early = try run(droverPath, ["download", "--manifest", manifest, "--output", output, "--yes"], environment: ["DROVER_URL": "http://127.0.0.1:\(nginx.port)/*"])
      #expect(early.status == 69, "\(early.errors)")
      let first = output + "/m/consolidated.00.pth"
      let size = try #require(try FileManager.default.attributesOfItem(atPath: first)[.size] as? Int)
      #expect(FileManager.default.fileExists(atPath: first + ".part.journal") && !FileManager.default.fileExists(atPath: first + ".part"))
      try FileManager.default.moveItem(atPath: folder + "/late", toPath: folder + "/www/m/consolidated.01.pth")
      switch how {
      case "touched": _ = try run("/usr/bin/touch", [first])
      case "damaged": _ = try run("/bin/sh", ["-c", "byte=$(od -An -tu1 -j9000000 -N1 '\(first)'); printf \\\\$(printf %03o $((byte ^ 1))) | dd of='\(first)' bs=1 seek=9000000 conv=notrunc"])
      default: break
      }
      let before = bytesSent(nginx, of: "consolidated.00")
      let (outcome, read, _) = try countingReadsAndWrites(
        ["download", "--manifest", manifest, "--output", output, "--yes"], environment: ["DROVER_URL": "http://127.0.0.1:\(nginx.port)/*"])
      #expect(how == "untouched" ? read < size + 8_000_000 : read > size, "\(read) bytes read, \(size) a shard")
      #expect(outcome.errors.contains("receipt written") && !outcome.errors.contains("read again"), "\(outcome.errors)")
      #expect((bytesSent(nginx, of: "consolidated.00") > before) == (how == "damaged"))
      #expect(try run("/usr/bin/md5sum", ["-c", "--quiet", "checklist.chk"], in: output + "/m").status == 0)
      let receipt = try #require(FileManager.default.contents(atPath: output + "/m/drover-receipt.json"))
      #expect(String(decoding: receipt, as: UTF8.self).contains(expected.checkpoint))
      #expect(try FileManager.default.contentsOfDirectory(atPath: output + "/m").allSatisfy { !$0.contains(".part") })
    }
  }

  @Test(.needs(.nginx), arguments: [SIGINT, SIGTERM]) func signalsKeepWhatIsHere(signal: Int32) throws {
    try withTemporaryFolder { folder in
      let stage = try Stage(folder, megabytes: 40)
      let slow = try Nginx(root: stage.root, directives: "limit_rate 4m;")
      defer { slow.stop() }
      #expect(try interrupted(stage, slow, signal: signal) == 130)
      let safe = try #require(Journaled(stage.journal)).bytes
      #expect(safe > 0)
      let fast = try Nginx(root: stage.root)
      defer { fast.stop() }
      let outcome = try stage.finish(fast.port, "--connections", "1")
      #expect(outcome.output.contains("\"resumed\""))
      #expect(try stage.isRight())
      // Nothing that was safe is fetched again: what nginx sent of the file is the rest.
      #expect(bytesSent(fast) == stage.megabytes * 1_000_000 + 17 - safe)
    }
  }

  /// After a power failure the disk holds what was synced, and of the rest anything.
  @Test(.needs(.nginx)) func afterAPowerFailureTheJournalIsStillTrue() throws {
    try withTemporaryFolder { folder in
      let stage = try Stage(folder, megabytes: 60)
      let slow = try Nginx(root: stage.root, directives: "limit_rate 6m;")
      defer { slow.stop() }
      #expect(try interrupted(stage, slow, signal: SIGKILL) == 128 + SIGKILL)
      let journaled = try #require(Journaled(stage.journal))
      let file = try FileHandle(forUpdating: URL(filePath: stage.part))
      var end = 0
      let size = Int(try file.seekToEnd())
      for range in journaled.ranges + [[size, size]] {
        // All that no journal vouches for.
        try file.seek(toOffset: UInt64(end))
        try file.write(contentsOf: Data(repeating: 0xEE, count: range[0] - end))
        end = range[1]
      }
      try file.close()
      let fast = try Nginx(root: stage.root)
      defer { fast.stop() }
      #expect(try stage.finish(fast.port).status == 0)
      #expect(try stage.isRight())
    }
  }

  /// What others do to a partial file or its journal is noticed, and the download ends right.
  @Test(.needs(.nginx), arguments: ["truncate", "overwrite", "swap", "journal", "no journal", "stale journal", "empty"])
  func damageIsNoticed(what: String) throws {
    try withTemporaryFolder { folder in
      let stage = try Stage(folder, megabytes: 40)
      let slow = try Nginx(root: stage.root, directives: "limit_rate 5m;")
      defer { slow.stop() }
      #expect(try interrupted(stage, slow, signal: SIGINT) == 130)
      switch what {
      case "truncate": #expect(truncate(stage.part, 1_000_000) == 0)
      case "overwrite":
        let file = try FileHandle(forUpdating: URL(filePath: stage.part))
        try file.seek(toOffset: 200_000)
        try file.write(contentsOf: Data("someone was here".utf8))
        try file.close()
      case "swap":
        let size = try Data(contentsOf: URL(filePath: stage.part)).count
        try FileManager.default.removeItem(atPath: stage.part)
        try Data(repeating: 1, count: size).write(to: URL(filePath: stage.part))
      case "journal":
        var bytes = try Data(contentsOf: URL(filePath: stage.journal))
        bytes[bytes.count / 2] ^= 1
        try bytes.write(to: URL(filePath: stage.journal))
      case "no journal": try FileManager.default.removeItem(atPath: stage.journal)
      case "stale journal":
        let text = try String(contentsOfFile: stage.journal, encoding: .utf8)
        try text.replacing("consolidated", with: "c0nsolidated").write(toFile: stage.journal, atomically: true, encoding: .utf8)
      default: #expect(truncate(stage.part, 0) == 0)
      }
      let fast = try Nginx(root: stage.root)
      defer { fast.stop() }
      let outcome = try stage.finish(fast.port)
      #expect(outcome.status == 0, "\(outcome.errors)")
      #expect(what == "empty" || outcome.errors.contains("afresh") || outcome.errors.contains("again"), "\(outcome.errors)")
      #expect(try stage.isRight())
    }
  }

  @Test(.needs(.nginx)) func theSecondDroverOnAFolderLeaves() throws {
    try withTemporaryFolder { folder in
      let stage = try Stage(folder, megabytes: 20)
      let slow = try Nginx(root: stage.root, directives: "limit_rate 4m;")
      defer { slow.stop() }
      // nginx lets each request have its first second's bytes at once: over several connections the file would be here before the second one starts.
      let first = try stage.start(slow.port, ["--connections", "1"])
      stage.waitForPart()
      let second = try stage.finish(slow.port)
      #expect(second.status == 73 && second.errors.contains("another drover"), "\(second.errors)")
      #expect(first.wait() == 0)
      #expect(try stage.isRight())
    }
  }

  /// What wget or Meta's script left under the final name is gone on from.
  @Test(.needs(.nginx)) func anotherProgramsBeginningIsUsed() throws {
    try withTemporaryFolder { folder in
      let stage = try Stage(folder, megabytes: 20)
      try FileManager.default.createDirectory(atPath: stage.output + "/m", withIntermediateDirectories: true)
      _ = try run("/bin/sh", ["-c", "head -c 15000000 www/m/consolidated.00.pth > out/m/consolidated.00.pth"], in: folder)
      let nginx = try Nginx(root: stage.root)
      defer { nginx.stop() }
      let outcome = try stage.finish(nginx.port)
      #expect(outcome.status == 0 && outcome.errors.contains("another program"), "\(outcome.errors)")
      #expect(try stage.isRight())
      #expect(bytesSent(nginx) < 6_000_000)
    }
  }

  /// Another mirror dates the same file otherwise: the checklist says that it is the same.
  @Test(.needs(.nginx)) func anotherMirrorGoesOn() throws {
    try withTemporaryFolder { folder in
      let stage = try Stage(folder, megabytes: 40)
      let slow = try Nginx(root: stage.root, directives: "limit_rate 4m;")
      defer { slow.stop() }
      #expect(try interrupted(stage, slow, signal: SIGTERM) == 130)
      let safe = try #require(Journaled(stage.journal)).bytes
      _ = try run("/usr/bin/touch", ["-d", "2024-01-01", "consolidated.00.pth"], in: stage.root + "/m")
      let fast = try Nginx(root: stage.root)
      defer { fast.stop() }
      let outcome = try stage.finish(fast.port, "--connections", "1")
      #expect(outcome.status == 0 && outcome.output.contains("\"resumed\""), "\(outcome.errors)")
      #expect(bytesSent(fast) == stage.megabytes * 1_000_000 + 17 - safe)
      #expect(try stage.isRight())
    }
  }

  /// What no checklist names is neither pieced together with what was there, nor called verified.
  @Test(.needs(.nginx), arguments: [("{\"version\": \"old\"}", true), ("{\"version\": \"another\", \"text\": 1}", false)])
  func whatNoChecklistNamesIsNotGuessedAt(old: String, isReplaced: Bool) throws {
    try withTemporaryFolder { folder in
      let new = #"{"version": "the new", "text": 1}"#
      #expect((old.utf8.count == new.utf8.count) != isReplaced)
      for (place, text) in [("www", new), ("out", old)] {
        try FileManager.default.createDirectory(atPath: folder + "/\(place)/m", withIntermediateDirectories: true)
        try text.write(toFile: folder + "/\(place)/m/config.json", atomically: true, encoding: .utf8)
      }
      // A page of text may begin with a comment.
      try "<!-- a licence -->\n# A model\n".write(toFile: folder + "/www/m/README.md", atomically: true, encoding: .utf8)
      try #"{"id":"m","files":[{"path":"m/config.json"},{"path":"m/README.md"}]}"#.write(toFile: folder + "/m.json", atomically: true, encoding: .utf8)
      let nginx = try Nginx(root: folder + "/www")
      defer { nginx.stop() }
      let outcome = try run(
        droverPath, ["download", "--manifest", folder + "/m.json", "--output", folder + "/out", "--yes"], environment: ["DROVER_URL": "http://127.0.0.1:\(nginx.port)/*"])
      #expect(outcome.status == 0, "\(outcome.errors)")
      #expect(outcome.output.contains("all verified but 2 that nothing vouches for") && !outcome.errors.contains("verified"), "\(outcome.output)\(outcome.errors)")
      #expect(try String(contentsOfFile: folder + "/out/m/config.json", encoding: .utf8) == (isReplaced ? new : old))
      #expect(try String(contentsOfFile: folder + "/out/m/README.md", encoding: .utf8).hasSuffix("# A model\n"))
    }
  }

  /// An answer that is no checklist doesn't cost the one that is here.
  @Test(.needs(.nginx)) func aChecklistIsReplacedByAChecklistOnly() throws {
    try withTemporaryFolder { folder in
      let stage = try Stage(folder, megabytes: 1)
      let nginx = try Nginx(root: stage.root)
      defer { nginx.stop() }
      #expect(try stage.finish(nginx.port).status == 0)
      try "Service temporarily degraded\n".write(toFile: stage.root + "/m/checklist.chk", atomically: true, encoding: .utf8)
      #expect(try stage.finish(nginx.port).status == 65)
      #expect(try stage.isRight())
      #expect(try FileManager.default.contentsOfDirectory(atPath: stage.output + "/m").sorted() == ["checklist.chk", "consolidated.00.pth", "drover-receipt.json", "params.json"])
    }
  }

  /// What lies under the names that a download uses, and is odd.
  @Test(.needs(.nginx), arguments: ["echo x > m/consolidated.00.pth.part; touch -d 2300-01-01 m/consolidated.00.pth.part", "echo {} > elsewhere; ln -s ../elsewhere m/params.json"])
  func oddLeftoversAreNoObstacle(script: String) throws {
    try withTemporaryFolder { folder in
      let stage = try Stage(folder, megabytes: 1)
      try FileManager.default.createDirectory(atPath: stage.output + "/m", withIntermediateDirectories: true)
      _ = try run("/bin/sh", ["-c", script], in: stage.output)
      let nginx = try Nginx(root: stage.root)
      defer { nginx.stop() }
      for _ in 0..<2 { #expect(try stage.finish(nginx.port).status == 0) }
      #expect(try stage.isRight())
    }
  }

  @Test(.needs(.nginx)) func aSecondRunFindsEverythingPresent() throws {
    try withTemporaryFolder { folder in
      let stage = try Stage(folder, megabytes: 3)
      let nginx = try Nginx(root: stage.root)
      defer { nginx.stop() }
      #expect(try stage.finish(nginx.port).output.contains("\"downloaded\""))
      let before = nginx.accessLog.count
      let outcome = try stage.finish(nginx.port)
      #expect(outcome.status == 0 && !outcome.output.contains("\"downloaded\"") && outcome.output.contains("\"present\""))
      #expect(nginx.accessLog.dropFirst(before).allSatisfy { $0.contains("checklist.chk") })
      // A finished file that was damaged since is replaced.
      let file = try FileHandle(forUpdating: URL(filePath: stage.final))
      try file.write(contentsOf: Data("xx".utf8))
      try file.close()
      #expect(try stage.finish(nginx.port).status == 0)
      #expect(try stage.isRight())
    }
  }
}

/// Bytes of bodies that were sent of a file.
func bytesSent(_ nginx: Nginx, of name: String = "consolidated") -> Int {
  nginx.accessLog.filter { $0.contains(name) }.compactMap { Int($0.split(separator: "\"")[2].split(separator: " ")[1]) }.reduce(0, +)
}
