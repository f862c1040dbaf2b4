import Foundation
import Glibc
import Integrity
import Synchronization
import SystemPackage
import TestSupport
import Testing

/// A pull that is interrupted, by whatever, goes on: what was converted isn't fetched again, and what it makes in the end is what a download and then a reshard
/// make.
@Suite(.serialized, .needs(.python), .needs(.nginx)) struct PullResumeTests {
  /// So that a pull of some ninety megabytes takes seconds.
  private static let slowly = "limit_rate_after 300k; limit_rate 3m;"

  private func expectSame(_ stage: PullStage, _ way: [String]) throws {
    let other = try stage.reshard(way)
    let difference = try run("/usr/bin/diff", ["-r", "-x", "drover-receipt.json", stage.out, other])
    #expect(difference.status == 0, "\(difference.output)")
    let receipts = try [stage.out, other].map { try Receipt(contentsOf: FilePath($0 + "/drover-receipt.json")) }
    #expect(receipts[0].files == receipts[1].files && receipts[0].fingerprint == receipts[1].fingerprint)
    let downloaded = try Receipt(contentsOf: FilePath(stage.folder + "/there/m/drover-receipt.json"))
    let sources = Dictionary(receipts[0].sources.map { ($0.path.string, $0) }) { first, _ in first }
    for file in downloaded.files { #expect(sources["m/\(file.path)"]?.md5 == file.md5 && sources["m/\(file.path)"]?.bytes == file.bytes, "\(file.path)") }
    #expect(try drover("verify", stage.out).status == 0)
    #expect(try FileManager.default.contentsOfDirectory(atPath: stage.here) == ["out"])
  }

  private func flip(_ path: String, at place: Int) throws {
    let file = try FileHandle(forUpdating: URL(filePath: path))
    defer { try? file.close() }
    try file.seek(toOffset: UInt64(place))
    let byte = try #require(try file.read(upToCount: 1)?.first)
    try file.seek(toOffset: UInt64(place))
    try file.write(contentsOf: Data([byte ^ 1]))
  }

  // MARK: Killed

  struct Way: Sendable, CustomTestStringConvertible {
    var to: [String]
    var ranks: Int
    var kills: Int
    var testDescription: String { "\(ranks) shards to \(to.joined(separator: " ")), \(kills) kills" }
  }

  /// `DROVER_PULL_KILLS` says how many times the first is killed, for whoever has more time: the model is so large that it isn't done before.
  static let ways = [
    Way(to: ["--mp", "1"], ranks: 4, kills: ProcessInfo.processInfo.environment["DROVER_PULL_KILLS"].flatMap { Int($0) } ?? 12),
    Way(to: ["--mp", "8", "--format", "safetensors", "--kv-heads", "8"], ranks: 2, kills: 3),
    Way(to: ["--format", "gguf", "--dtype", "q4_k_m"], ranks: 4, kills: 3),
    Way(to: ["--format", "hf", "--max-shard-size", "20M"], ranks: 1, kills: 3),
  ]

  /// Killed at random moments: the end is right, nothing has its name before, and little is fetched twice.
  @Test(arguments: ways) func goesOnAfterKills(_ way: Way) throws {
    try withTemporaryFolder { folder in
      let stage = try PullStage(folder, wide: .init(layers: max(4, way.kills / 3), ranks: way.ranks), directives: Self.slowly)
      defer { stage.nginx.stop() }
      var random = SystemRandomNumberGenerator()
      var kills = 0
      for _ in 0..<way.kills {
        let process = try stage.start(way.to + ["--connections", "4"])
        usleep(UInt32.random(in: 100_000...1_500_000, using: &random))
        if process.isRunning {
          #expect(!FileManager.default.fileExists(atPath: stage.out))
          process.signal(SIGKILL)
          kills += 1
        }
        process.wait()
        if FileManager.default.fileExists(atPath: stage.out) { break }
      }
      if !FileManager.default.fileExists(atPath: stage.out) {
        let (here, before) = (stage.journaled, stage.sent)
        let outcome = try stage.pull("--connections", "4", more: way.to)
        try #require(outcome.status == 0, "\(outcome.errors)")
        // Beside what wasn't safe there are headers, and the tensors that had been begun.
        let rest = try stage.total - here
        #expect(stage.sent - before < rest + way.ranks * 600_000 + 16_000_000, "\(stage.sent - before) of \(rest), \(here) were safe")
      } else if try FileManager.default.contentsOfDirectory(atPath: stage.here) != ["out"] {
        // Killed when the output had just got its name.
        #expect(try stage.pull(more: way.to).status == 0)
      }
      let (sent, total) = (stage.sent, try stage.total)
      print("\(way): \(kills) kills, \(sent) bytes sent of \(total), \(Double(sent) / Double(total))")
      try expectSame(stage, way.to)
    }
  }

  /// Killed when its output has got its name, at steps of what is left to do then: the same command says that it is done, and leaves nothing but that.
  @Test(.needsCompiler, arguments: [false, true]) func isDoneWhereItWasKilledAfterItsEnd(replacing: Bool) throws {
    try withTemporaryFolder { folder in
      let stage = try PullStage(folder, layout: "mp2")
      defer { stage.nginx.stop() }
      let way = ["--mp", "1", "--dtype", "f32"] + (replacing ? ["--force"] : [])
      let before = try stage.reshard(["--mp", "4"])
      var kills = 0
      while true {
        if replacing { _ = try run("/bin/cp", ["-r", before, stage.out]) }
        let environment = try preload(
          """
          #include <signal.h>
          #include <string.h>
          #include <sys/syscall.h>
          #include <unistd.h>
          static int has_name, steps;
          static void step(void) { if (has_name && steps++ == \(kills)) kill(getpid(), SIGKILL); }
          int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
            int result = syscall(SYS_renameat2, a, from, b, to, flags);
            has_name |= result == 0 && !strcmp(to, "out");
            return result;
          }
          int renameat(int a, const char *from, int b, const char *to) { return renameat2(a, from, b, to, 0); }
          int unlinkat(int a, const char *name, int flags) { step(); return syscall(SYS_unlinkat, a, name, flags); }
          int unlink(const char *name) { step(); return syscall(SYS_unlink, name); }
          int rmdir(const char *name) { step(); return syscall(SYS_rmdir, name); }
          """, in: folder)
        let killed = try run(droverPath, stage.arguments(way), environment: stage.environment.merging(environment) { $1 })
        let isJournaled = FileManager.default.fileExists(atPath: stage.journal)
        let sent = stage.sent
        let again = try stage.pull(more: way)
        #expect(again.status == 0, "\(kills): \(again)")
        // What is to be replaced anyway is made again, unless the journal tells that this was just done.
        if !replacing || isJournaled { #expect(again.output.contains("here already") && stage.sent == sent, "\(kills): \(again)") }
        let left = try FileManager.default.contentsOfDirectory(atPath: stage.here)
        // What was replaced and not yet removed is kept.
        #expect(Set(left).subtracting(replacing ? ["out.orig"] : []) == ["out"], "\(kills): \(left)")
        for name in left { try FileManager.default.removeItem(atPath: stage.here + "/" + name) }
        guard killed.status == 137 else {
          #expect(killed.status == 0 && kills > 5, "\(killed)")
          break
        }
        kills += replacing ? 3 : 2
      }
    }
  }

  /// What is there already needn't be made: whoever runs the same command once more is told so. Other options make something else, which is in the way, and so is what isn't whole any more.
  @Test func saysWhatIsHereAlready() throws {
    try withTemporaryFolder { folder in
      let stage = try PullStage(folder, layout: "mp2")
      defer { stage.nginx.stop() }
      let way = ["--mp", "1", "--digest", "md5"]
      try #require(try stage.pull(more: way).status == 0)
      let sent = stage.sent
      let again = try stage.pull(more: way + ["--connections", "2", "--json"])
      let document = try #require(try JSONSerialization.jsonObject(with: Data(again.output.utf8)) as? [String: Any])
      let files = try #require(document["files"] as? [[String: Any]])
      let sum = try run("/usr/bin/md5sum", [stage.out + "/consolidated.00.pth"]).output.prefix(32)
      #expect(again.status == 0 && document["plan"] is NSNull && files.contains { $0["path"] as? String == "consolidated.00.pth" && $0["md5"] as? String == String(sum) }, "\(again)")
      for other in [["--mp", "2", "--digest", "md5"], ["--mp", "1"], way + ["--digest", "sha256"], way + ["--checklist"], way + ["--dtype", "f16"], way + ["--kv-heads", "4"], way + ["--discard"]] {
        let outcome = try stage.pull(more: other)
        #expect(outcome.status == 73 && outcome.errors.contains("exists already"), "\(other): \(outcome)")
      }
      try FileManager.default.removeItem(atPath: stage.out + "/params.json")
      #expect(try stage.pull(more: way).status == 73)
      #expect(stage.sent == sent)
      #expect(try FileManager.default.contentsOfDirectory(atPath: stage.here) == ["out"])
    }
  }

  /// Something that somebody puts in the way of a pull that was interrupted costs nothing of what it has made.
  @Test func whatIsInTheWayCostsNothing() throws {
    try withTemporaryFolder { folder in
      let stage = try PullStage(folder, wide: .init(layers: 2), directives: Self.slowly)
      defer { stage.nginx.stop() }
      try stage.interrupt(["--mp", "1", "--connections", "4"], SIGINT)
      let journal = try Data(contentsOf: URL(filePath: stage.journal))
      _ = try run("/bin/sh", ["-c", "mkdir out; echo precious > out/a"], in: stage.here)
      #expect(try stage.pull("--mp", "1").status == 73)
      #expect(try Data(contentsOf: URL(filePath: stage.journal)) == journal)
      try FileManager.default.removeItem(atPath: stage.out)
      try #require(try stage.pull("--mp", "1").status == 0)
      try expectSame(stage, ["--mp", "1"])
    }
  }

  /// What is left of a pull that is nearly done when it is interrupted is little, in every step.
  @Test(arguments: [SIGINT, SIGTERM]) func goesOnWhereItWasStopped(_ signal: Int32) throws {
    try withTemporaryFolder { folder in
      let stage = try PullStage(folder, wide: .init(), directives: Self.slowly)
      defer { stage.nginx.stop() }
      let total = try stage.total
      try stage.interrupt(["--mp", "1", "--connections", "4"], signal, at: total / 2)
      let before = stage.sent
      let outcome = try stage.pull("--mp", "1")
      try #require(outcome.status == 0, "\(outcome.errors)")
      #expect(stage.sent - before < total * 3 / 5, "\(stage.sent - before) of \(total)")
      try expectSame(stage, ["--mp", "1"])
    }
  }

  // MARK: Other options

  /// What was begun with other options isn't touched; `--discard` throws it away.
  @Test func otherOptionsDontGoOn() throws {
    try withTemporaryFolder { folder in
      let stage = try PullStage(folder, wide: .init(layers: 2), directives: Self.slowly)
      defer { stage.nginx.stop() }
      try stage.interrupt(["--mp", "1"])
      let journal = try Data(contentsOf: URL(filePath: stage.journal))
      for other in [["--mp", "2"], ["--mp", "1", "--format", "safetensors"], ["--mp", "1", "--dtype", "f16"], ["--mp", "1", "--kv-heads", "8"], ["--mp", "1", "--checklist"]] {
        let outcome = try stage.pull(more: other)
        #expect(outcome.status == 73 && outcome.errors.contains("--discard"), "\(other): \(outcome)")
        #expect(try Data(contentsOf: URL(filePath: stage.journal)) == journal)
      }
      // No reshard sweeps it either.
      let sweeper = try drover("reshard", folder + "/www/m", stage.out, "--mp", "1")
      #expect(sweeper.status == 73 && sweeper.errors.contains("drover pull"), "\(sweeper)")
      let sent = stage.sent
      let outcome = try stage.pull("--mp", "2", "--discard")
      try #require(outcome.status == 0, "\(outcome.errors)")
      #expect(try stage.sent - sent >= stage.total)
      try expectSame(stage, ["--mp", "2"])
    }
  }

  /// Two at once: the second leaves at once, and says why.
  @Test func twoAtOnce() throws {
    try withTemporaryFolder { folder in
      let stage = try PullStage(folder, wide: .init(layers: 2), directives: Self.slowly)
      defer { stage.nginx.stop() }
      let process = try stage.start(["--mp", "1"])
      defer { process.signal(SIGKILL) }
      #expect(waitUntil { FileManager.default.fileExists(atPath: stage.journal) || !process.isRunning })
      // It has its lock, and doesn't end meanwhile.
      process.signal(SIGSTOP)
      for more in [["--mp", "1"], ["--mp", "2"], ["--mp", "1", "--discard"]] {
        let second = try stage.pull(more: more)
        #expect(second.status == 73 && second.errors.contains("another drover"), "\(second)")
      }
      process.signal(SIGCONT)
      #expect(process.wait() == 0)
    }
  }

  /// One model at a time, which is said before anybody is asked for a link.
  @Test func severalModelsAreRefusedWithoutALink() throws {
    let outcome = try run(droverPath, ["pull", "7B,13B", "/nonexistent/out", "--mp", "1"], environment: ["DROVER_URL": ""])
    #expect(outcome.status == 64 && outcome.errors.contains("one model"), "\(outcome)")
  }

  // MARK: What is wrong with a file

  /// A byte of one shard that isn't its publisher's: only that file is fetched again, once. When the server has been mended, the same command fetches it, and no other.
  @Test func onlyTheFileThatDiffersIsFetchedAgain() throws {
    try withTemporaryFolder { folder in
      let stage = try PullStage(folder, wide: .init())
      defer { stage.nginx.stop() }
      let (bad, path) = ("consolidated.02.pth", folder + "/www/m/consolidated.02.pth")
      let size = try stage.total / 4
      try flip(path, at: size / 2)
      let outcome = try stage.pull("--mp", "2")
      #expect(outcome.status == 65 && outcome.errors.contains("m/\(bad)") && outcome.errors.contains("again, once"), "\(outcome)")
      #expect(!FileManager.default.fileExists(atPath: stage.out))
      let others = ["consolidated.00.pth", "consolidated.01.pth", "consolidated.03.pth"]
      // Headers are read at each try.
      for name in others { #expect(stage.sent(of: name) < size + 3 * 600_000, "\(name): \(stage.sent(of: name)) of \(size)") }
      #expect(stage.sent(of: bad) >= 2 * size && stage.sent(of: bad) < 2 * size + 3 * 600_000, "\(stage.sent(of: bad)) of \(size)")
      try flip(path, at: size / 2)
      let before = stage.sent
      let again = try stage.pull("--mp", "2")
      try #require(again.status == 0, "\(again.errors)")
      #expect(stage.sent - before < size + 4 * 600_000, "\(stage.sent - before) of \(size)")
      try expectSame(stage, ["--mp", "2"])
    }
  }

  /// The server has another version of a file, and its list says so: what came of that file is thrown away, and of no other.
  @Test func aFileThatChangesIsFetchedAfresh() throws {
    try withTemporaryFolder { folder in
      let stage = try PullStage(folder, wide: .init(), directives: Self.slowly)
      defer { stage.nginx.stop() }
      try stage.interrupt(["--mp", "1", "--connections", "4"], at: 16_000_000)
      let path = folder + "/www/m/consolidated.01.pth"
      try flip(path, at: 3_000_000)
      let list = try run("/usr/bin/md5sum", ["consolidated.00.pth", "consolidated.01.pth", "consolidated.02.pth", "consolidated.03.pth", "params.json"], in: folder + "/www/m").output
      try list.write(toFile: folder + "/www/m/checklist.chk", atomically: true, encoding: .utf8)
      let before = stage.sent(of: "consolidated.01.pth")
      let outcome = try stage.pull("--mp", "1")
      try #require(outcome.status == 0, "\(outcome.errors)")
      #expect(outcome.errors.contains("m/consolidated.01.pth: it isn't what it was"), "\(outcome.errors)")
      #expect(try stage.sent(of: "consolidated.01.pth") - before >= stage.total / 4)
      try expectSame(stage, ["--mp", "1"])
    }
  }

  /// A link that ends three times, each time in another run: each goes on.
  @Test func goesOnWithAnotherLink() throws {
    try withTemporaryFolder { folder in
      let stage = try PullStage(folder, wide: .init())
      defer { stage.nginx.stop() }
      var contents: [String: [UInt8]] = [:]
      for name in try FileManager.default.contentsOfDirectory(atPath: folder + "/www/m") { contents["m/" + name] = [UInt8](try Data(contentsOf: URL(filePath: "\(folder)/www/m/\(name)"))) }
      let total = try stage.total
      // What each link has given; it ends after a quarter, at the speed of this machine: what was on its way then is lost.
      let given = Mutex<[String: Int]>([:])
      let server = try FaultServer { [contents] request in
        guard let content = contents[request.path], let range = request.range?.clamped(to: 0..<content.count), request.path.hasSuffix(".pth") else {
          return FaultServer.good(request, contents[request.path])
        }
        let link = String(request.query.prefix { $0 != "&" })
        let isOver = given.withLock { given in
          if link != "sig=four", given[link, default: 0] > total / 4 { return true }
          given[link, default: 0] += min(range.count, 2 << 20)
          return false
        }
        if isOver { return FaultServer.status(403) }
        return FaultServer.good(.init(path: request.path, query: request.query, range: range.prefix(2 << 20), turn: request.turn, count: request.count), content)
      }
      defer { server.stop() }
      func pull(_ link: String) throws -> Outcome {
        try run(
          droverPath, stage.arguments(["--mp", "1", "--connections", "4"]),
          environment: ["DROVER_URL": "http://127.0.0.1:\(server.port)/*?sig=\(link)&se=2099-01-01", "SOURCE_DATE_EPOCH": "0"])
      }
      for link in ["one", "two", "three"] {
        let outcome = try pull(link)
        #expect(outcome.status == 77 && outcome.errors.contains("run the same command"), "\(outcome)")
        #expect(!FileManager.default.fileExists(atPath: stage.out))
      }
      let outcome = try pull("four")
      try #require(outcome.status == 0, "\(outcome.errors)")
      // All that a link gives at the speed of this machine has room in the window, where it is lost: how little is fetched twice over a network shows where pulls
      // are killed.
      let sent = server.bytesSent
      print("a link that ended three times: \(sent) bytes sent of \(total)")
      try expectSame(stage, ["--mp", "1"])
    }
  }

  /// A link that ends when three of four files are in memory, and of the fourth nothing: what has come of the three is made use of before the pull ends.
  @Test func whatIsInMemoryWhenALinkEndsIsntLost() throws {
    try withTemporaryFolder { folder in
      let stage = try PullStage(folder, wide: .init(layers: 2))
      defer { stage.nginx.stop() }
      var contents: [String: [UInt8]] = [:]
      for name in try FileManager.default.contentsOfDirectory(atPath: folder + "/www/m") { contents["m/" + name] = [UInt8](try Data(contentsOf: URL(filePath: "\(folder)/www/m/\(name)"))) }
      let size = try stage.total / 4
      let given = Mutex<[String: Int]>([:])
      let server = try FaultServer { [contents] request in
        guard let content = contents[request.path], let range = request.range?.clamped(to: 0..<content.count), request.path.hasSuffix(".pth") else {
          return FaultServer.good(request, contents[request.path])
        }
        let isFirst = request.query.hasPrefix("sig=one&")
        // Of the last file its headers, and nothing else until the others have come.
        if isFirst, request.path.contains("03"), range.count > 600_000 {
          // Each of the three has room in its window. Where they don't come, the test doesn't wait for ever.
          _ = waitUntil { given.withLock { given in (0..<3).allSatisfy { given["one m/consolidated.0\($0).pth", default: 0] >= size } } }
          return [.wait(3)] + FaultServer.status(403)
        }
        given.withLock { $0["\(isFirst ? "one" : "two") \(request.path)", default: 0] += range.count }
        return FaultServer.good(request, content)
      }
      defer { server.stop() }
      func pull(_ link: String) throws -> Outcome {
        try run(droverPath, stage.arguments(["--mp", "2", "--connections", "4"]), environment: ["DROVER_URL": "http://127.0.0.1:\(server.port)/*?sig=\(link)&se=2099-01-01", "SOURCE_DATE_EPOCH": "0"])
      }
      let first = try pull("one")
      #expect(first.status == 69 && first.errors.contains("consolidated.03.pth"), "\(first)")
      let second = try pull("two")
      try #require(second.status == 0, "\(second.errors)")
      for file in 0..<3 {
        let again = given.withLock { $0["two m/consolidated.0\(file).pth", default: 0] }
        print("file \(file): \(again) bytes fetched again of \(size)")
        // To the first norm at most, which is compared over all files; and there is the last place of the hash before that.
        #expect(again < size * 9 / 10, "\(again) of \(size)")
      }
      try expectSame(stage, ["--mp", "2"])
    }
  }

  // MARK: What somebody did to the output meanwhile

  struct Touch: Sendable, CustomTestStringConvertible {
    var name: String
    /// In the folder of the output that is being made.
    var script: String
    var says: String
    var testDescription: String { name }
  }

  static let touches = [
    Touch(name: "a touch", script: "touch consolidated.00.safetensors", says: "nothing is lost"),
    Touch(name: "a byte of it", script: "printf x | dd of=consolidated.00.safetensors bs=1 seek=2000000 conv=notrunc", says: "made again"),
    Touch(name: "a file is gone", script: "rm consolidated.01.safetensors", says: "made again"),
    Touch(name: "a file is cut short", script: "truncate -s 3000000 consolidated.00.safetensors", says: "made again"),
    Touch(name: "a copy in its place", script: "cp consolidated.00.safetensors x; mv x consolidated.00.safetensors", says: "nothing is lost"),
  ]

  /// What was written is held against what it hashed to where somebody may have touched it: right is what is made in the end.
  @Test(arguments: touches) func theOutputIsHeldAgainstItsNodes(_ touch: Touch) throws {
    try withTemporaryFolder { folder in
      let stage = try PullStage(folder, wide: .init(layers: 2), directives: Self.slowly)
      defer { stage.nginx.stop() }
      let way = ["--mp", "2", "--format", "safetensors"]
      try stage.interrupt(way + ["--connections", "4"], SIGINT, at: 16_000_000)
      let touched = try run("/bin/sh", ["-c", touch.script], in: stage.here + "/.out.partial-drover/new")
      try #require(touched.status == 0, "\(touched.errors)")
      let outcome = try stage.pull(more: way)
      try #require(outcome.status == 0, "\(outcome.errors)")
      #expect(outcome.errors.contains("touched since drover wrote it") && outcome.errors.contains(touch.says), "\(outcome.errors)")
      try expectSame(stage, way)
    }
  }

  /// A journal that is damaged, or a folder that is gone, costs what was made, and nothing else.
  @Test(arguments: ["printf x >> .out.drover-pull/journal", "rm -r .out.partial-drover", "rm -r .out.drover-pull"]) func beginsAnewWithoutAJournal(_ script: String) throws {
    try withTemporaryFolder { folder in
      let stage = try PullStage(folder, wide: .init(), directives: Self.slowly)
      defer { stage.nginx.stop() }
      try stage.interrupt(["--mp", "1", "--connections", "4"])
      try #require(try run("/bin/sh", ["-c", script], in: stage.here).status == 0)
      let outcome = try stage.pull("--mp", "1")
      try #require(outcome.status == 0, "\(outcome.errors)")
      try expectSame(stage, ["--mp", "1"])
    }
  }
}
