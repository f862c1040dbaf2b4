import Foundation
import Glibc
import TestSupport
import Testing

/// What lies under a file's name and isn't drover's: it is kept, whatever comes of the download.
@Suite(.serialized) struct OwnFilesTests {
  struct Case: CustomTestStringConvertible, Sendable {
    let testDescription: String
    /// Run in the model's folder before the download. `$WWW` is the folder that is served.
    let before: String
    /// What must hold there afterwards: a shell script that fails where something doesn't.
    let after: String
    /// What a person is told.
    var told = "kept as"

    init(_ name: String, _ before: String, _ after: String, told: String = "kept as") { (testDescription, self.before, self.after, self.told) = (name, before, after, told) }
  }

  static let cases = [
    Case("shorter", "head -c 3000000 /dev/zero > own; cp own consolidated.00.pth", "cmp own consolidated.00.pth.orig"),
    Case("empty, so that nothing is lost with it", ": > consolidated.00.pth", "[ ! -e consolidated.00.pth.orig ]", told: ""),
    Case("longer", "head -c 30000000 /dev/zero > own; cp own consolidated.00.pth", "cmp own consolidated.00.pth.orig"),
    Case("as long", "head -c 20000017 /dev/zero > own; cp own consolidated.00.pth", "cmp own consolidated.00.pth.orig"),
    Case("with another name, and shorter", "head -c 3000000 /dev/zero > own; ln own consolidated.00.pth", "head -c 3000000 /dev/zero | cmp own; [ own -ef consolidated.00.pth.orig ]"),
    Case(
      "the beginning, which another name has too", "head -c 18000000 $WWW/consolidated.00.pth > own; ln own consolidated.00.pth",
      "head -c 18000000 $WWW/consolidated.00.pth | cmp own; [ ! -e consolidated.00.pth.orig ]", told: "another program's download"),
    Case(
      "the beginning but for its last byte", "(head -c 17999999 $WWW/consolidated.00.pth; echo) > own; cp own consolidated.00.pth", "cmp own consolidated.00.pth.orig"),
    Case("the beginning but for its first byte", "(echo; tail -c +2 $WWW/consolidated.00.pth | head -c 17999999) > own; cp own consolidated.00.pth", "cmp own consolidated.00.pth.orig"),
    Case(
      "twice", "echo first > consolidated.00.pth.orig; echo second > consolidated.00.pth.orig.1; echo own > own; cp own consolidated.00.pth",
      "[ $(cat consolidated.00.pth.orig) = first ]; [ $(cat consolidated.00.pth.orig.1) = second ]; cmp own consolidated.00.pth.orig.2"),
    Case("params.json, edited and longer", "echo '{\"max_seq_len\": 9}' > own; cp own params.json", "cmp own params.json.orig; cmp params.json $WWW/params.json"),
    Case("params.json, edited and as long", "echo '[]' > own; cp own params.json", "cmp own params.json.orig; cmp params.json $WWW/params.json"),
    Case("params.json, edited and shorter", "echo > own; cp own params.json", "cmp own params.json.orig; cmp params.json $WWW/params.json"),
    Case("a link", "echo own > own; ln -s own params.json", "[ $(cat own) = own ]; [ $(readlink params.json.orig) = own ]; [ ! -L params.json ]"),
    Case("a link to nothing", "ln -s gone params.json; echo > own", "[ ! -e gone ]; [ $(readlink params.json.orig) = gone ]; [ ! -L params.json ]"),
    Case("a checklist", "(cat $WWW/checklist.chk; echo 00000000000000000000000000000000  x) > own; cp own checklist.chk", "cmp own checklist.chk.orig; cmp checklist.chk $WWW/checklist.chk"),
    Case(
      "a partial file that another name has too", "head -c 5000000 /dev/zero > own; ln own consolidated.00.pth.part", "head -c 5000000 /dev/zero | cmp own",
      told: "another name too"),
  ]

  @Test(.needs(.nginx), arguments: cases) func isKept(test: Case) throws {
    try withTemporaryFolder { folder in
      let stage = try ResumeTests.Stage(folder, megabytes: 20)
      let nginx = try Nginx(root: stage.root)
      defer { nginx.stop() }
      let model = stage.output + "/m"
      try FileManager.default.createDirectory(atPath: model, withIntermediateDirectories: true)
      let www = ["WWW": stage.root + "/m"]
      try #require(try run("/bin/bash", ["-ec", test.before], environment: www, in: model).status == 0)
      let outcome = try stage.finish(nginx.port)
      #expect(outcome.status == 0 && (test.told.isEmpty || outcome.errors.contains(test.told)), "\(outcome.errors)")
      #expect(try stage.isRight())
      let check = try run("/bin/bash", ["-exc", test.after], environment: www, in: model)
      #expect(check.status == 0, "\(check.output)\(check.errors)\(outcome.errors)")
      #expect(try !run("/bin/ls", [], in: model).output.contains(".part"))
    }
  }

  /// Until the new file is whole and right, the old one stays where it is: after a kill in mid-file, and when what arrives is wrong.
  @Test(.needs(.nginx), arguments: [3_000_000, 18_000_000]) func isKeptWhereItIsUntilThen(bytes: Int) throws {
    try withTemporaryFolder { folder in
      let stage = try ResumeTests.Stage(folder, megabytes: 20)
      try FileManager.default.createDirectory(atPath: stage.output + "/m", withIntermediateDirectories: true)
      // The beginning of what its publisher had: what the server sends for the rest doesn't agree with the checklist.
      _ = try run("/bin/bash", ["-ec", "head -c \(bytes) www/m/consolidated.00.pth > own; cp own out/m/consolidated.00.pth; cp www/m/consolidated.00.pth right; byte=$(od -An -tu1 -j19000000 -N1 right); printf \\\\$(printf %03o $((byte ^ 1))) | dd of=www/m/consolidated.00.pth bs=1 seek=19000000 conv=notrunc"], in: folder)
      func isThere() throws -> Bool { try run("/usr/bin/cmp", ["own", "out/m/consolidated.00.pth"], in: folder).status == 0 }
      let slow = try Nginx(root: stage.root, directives: "limit_rate 1m;")
      defer { slow.stop() }
      let drover = try stage.start(slow.port, ["--connections", "1"])
      stage.waitForPart()
      drover.signal(SIGKILL)
      drover.wait()
      #expect(try isThere())
      let fast = try Nginx(root: stage.root)
      defer { fast.stop() }
      let outcome = try stage.finish(fast.port)
      #expect(outcome.status == 65, "\(outcome.status) \(outcome.errors)")
      #expect(try isThere())
      _ = try run("/bin/cp", ["right", "www/m/consolidated.00.pth"], in: folder)
      #expect(try stage.finish(fast.port).status == 0)
      #expect(try stage.isRight())
      #expect(!FileManager.default.fileExists(atPath: stage.final + ".orig"))
    }
  }

  /// What arrives wrong is kept on demand, each time under a name of its own.
  @Test(.needs(.nginx)) func nothingThatWasKeptIsReplaced() throws {
    try withTemporaryFolder { folder in
      let stage = try ResumeTests.Stage(folder, megabytes: 1)
      try "00000000000000000000000000000000  consolidated.00.pth\n".write(toFile: stage.root + "/m/checklist.chk", atomically: true, encoding: .utf8)
      let nginx = try Nginx(root: stage.root)
      defer { nginx.stop() }
      for _ in 0..<2 { #expect(try stage.finish(nginx.port, "--keep-corrupt").status == 65) }
      for name in [".corrupt", ".corrupt.1"] { #expect(try run("/usr/bin/cmp", [stage.final + name, "m/consolidated.00.pth"], in: stage.root).status == 0) }
    }
  }
}
