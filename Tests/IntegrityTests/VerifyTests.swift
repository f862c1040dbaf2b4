import Foundation
import Glibc
import TestSupport
import Testing

/// `drover verify` on lists that coreutils wrote, and on what people's folders look like.
@Suite struct VerifyTests {
  private struct Report: Decodable {
    struct File: Decodable, Equatable {
      var path: String
      var expected: String?
      var actual: String?
      var status: String
    }
    private var entries: [File]
    var files: [File] { entries.filter { $0.status != "unlisted" } }
    var unlisted: [String] { entries.filter { $0.status == "unlisted" }.map(\.path) }

    private enum CodingKeys: String, CodingKey { case entries = "files" }
  }

  private func write(_ text: String, _ path: String) throws {
    let url = URL(filePath: path)
    try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(text.utf8).write(to: url)
  }

  private func verify(_ paths: String..., in folder: String) throws -> (status: Int32, report: Report) {
    let outcome = try run(droverPath, ["verify", "--json", "--progress", "none"] + paths, in: folder)
    return (outcome.status, try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8)))
  }

  /// Each kind of list that coreutils writes, for names that need escapes and names that look like parts of a line.
  @Test(arguments: [
    ["md5sum"], ["md5sum", "--binary"], ["md5sum", "--tag"], ["sha256sum"], ["sha256sum", "--binary"], ["sha256sum", "--tag"],
  ])
  func readsWhatCoreutilsWrite(tool: [String]) throws {
    try withTemporaryFolder { folder in
      let names = ["plain", "with space", " leading", "*star", "new\nline", "back\\slash", "a) = b", "ünï", "#hash", "sub/file", "./dotted"]
      for name in names { try write("content of \(name)", folder + "/" + name) }
      let list = try run("/usr/bin/env", tool + names, in: folder)
      try #require(list.status == 0)
      for ending in ["\n", "\r\n"] {
        try write(list.output.replacingOccurrences(of: "\n", with: ending), folder + "/list.chk")
        let (status, report) = try verify("list.chk", in: folder)
        #expect(status == 0)
        #expect(report.files.map(\.path) == names.map { $0.replacingOccurrences(of: "./", with: "") })
        #expect(report.files.allSatisfy { $0.status == "ok" && $0.expected == $0.actual })
      }
    }
  }

  /// `md5sum * > checklist.chk` lists the list itself, as it was when it was still empty: that line alone is wrong.
  @Test func aListThatListsItselfIsToldSo() throws {
    try withTemporaryFolder { folder in
      for name in ["a", "b"] { try write("content of \(name)", folder + "/" + name) }
      _ = try run("/bin/sh", ["-c", "md5sum * ./checklist.chk > checklist.chk"], in: folder)
      let (status, report) = try verify(".", in: folder)
      #expect(status == 65)
      #expect(report.files.map { "\($0.path) \($0.status)" }.sorted() == ["./a ok", "./b ok", "./checklist.chk mismatch"])
      let said = try run(droverPath, ["verify", "."], in: folder)
      #expect(said.status == 65 && said.errors.contains("line 3: is about the list itself"), "\(said.errors)")
      // Of another folder's list of the same name it speaks as of any file.
      _ = try run("/bin/sh", ["-c", "mkdir sub; md5sum a > sub/checklist.chk; md5sum sub/checklist.chk > checklist.chk; cp a sub/"], in: folder)
      #expect(try verify(".", in: folder).status == 0)
    }
  }

  /// Absolute names are the folder's where they lie in it, on whatever way; others lead out of it.
  @Test func absoluteNamesMayLieInTheFolder() throws {
    try withTemporaryFolder { folder in
      try write("content of a", folder + "/models/m/a")
      try write("content of b", folder + "/models/m/sub/b")
      try write("content of c", folder + "/models/m2/c")
      try FileManager.default.createSymbolicLink(atPath: folder + "/link", withDestinationPath: "models")
      for (names, status) in [
        ("\(folder)/models/m/a \(folder)/link/m/sub/b", 0), ("\(folder)/link/../models/m/a", 0), ("\(folder)/models/m2/c", 65), ("\(folder)/models/m/../m2/c", 65),
      ] {
        _ = try run("/bin/sh", ["-c", "md5sum \(names) > models/m/checklist.chk"], in: folder)
        for place in ["models/m", "link/m/checklist.chk", folder + "/models/m"] {
          let outcome = try run(droverPath, ["verify", place], in: folder)
          #expect(outcome.status == Int32(status), "\(names) in \(place): \(outcome.errors)")
          #expect(status == 0 || outcome.errors.contains("leads out of"), "\(outcome.errors)")
        }
      }
      // A file that isn't there is missing, not outside.
      _ = try run("/bin/sh", ["-c", "md5sum \(folder)/models/m/a > models/m/checklist.chk; rm models/m/a"], in: folder)
      #expect(try run(droverPath, ["verify", "models/m"], in: folder).status == 66)
    }
  }

  /// For each kind of list, and files that are right, changed, cut, longer, empty, gone, unreadable or behind a link, the verdict is coreutils'.
  @Test(arguments: [
    ["md5sum"], ["md5sum", "--binary"], ["md5sum", "--tag"], ["sha256sum"], ["sha256sum", "--binary"], ["sha256sum", "--tag"],
  ])
  func agreesWithCoreutilsVerdict(tool: [String]) throws {
    try withTemporaryFolder { folder in
      let names = ["right", "changed", "cut", "longer", "emptied", "empty", "gone", "sub/right", "link", "dangling", "./dotted", "large", "larger"]
      let large = String(repeating: "0123456789abcdef", count: 40_000)
      for name in names where !["link", "dangling", "empty"].contains(name) { try write(name.hasPrefix("large") ? large + name : "\(name), as it was", folder + "/" + name) }
      try write("", folder + "/empty")
      for link in ["link", "dangling"] {
        try write(link, folder + "/elsewhere/" + link)
        try FileManager.default.createSymbolicLink(atPath: folder + "/" + link, withDestinationPath: "elsewhere/" + link)
      }
      let list = try run("/usr/bin/env", tool + names, in: folder)
      try #require(list.status == 0)
      try write("Changed, as it was", folder + "/changed")
      try write("cut, as it", folder + "/cut")
      try write("longer, as it was\n", folder + "/longer")
      try write("", folder + "/emptied")
      try write(large + "lArger", folder + "/larger")
      for gone in ["gone", "elsewhere/dangling"] { try FileManager.default.removeItem(atPath: folder + "/" + gone) }
      for (prefix, ending) in [("", "\n"), ("", "\r\n"), ("# a remark\n\n", "\n")] {
        try write(prefix + list.output.replacingOccurrences(of: "\n", with: ending), folder + "/list.chk")
        try write(list.output, folder + "/plain.chk")
        // coreutils take a carriage return as part of the name, so theirs is the plain list.
        let theirs = try run("/usr/bin/env", [tool[0], "-c", "plain.chk"], environment: ["LC_ALL": "C"], in: folder)
        let (status, report) = try verify("list.chk", in: folder)
        #expect(theirs.status == 1 && status == 65)
        let words = ["OK": "ok", "FAILED": "mismatch", "FAILED open or read": "missing"]
        let verdicts = theirs.output.split(separator: "\n").map { line in
          let sides = line.split(separator: ": ", maxSplits: 1)
          return "\(sides[0].hasPrefix("./") ? sides[0].dropFirst(2) : sides[0]) \(words[String(sides[1])] ?? "?")"
        }
        #expect(report.files.map { "\($0.path) \($0.status)" } == verdicts)
      }
    }
  }

  /// What BSD's `md5 -r` writes, one space between.
  @Test func readsBSDsReversedLines() throws {
    try withTemporaryFolder { folder in
      try write("x", folder + "/a b")
      let digest = try run("/usr/bin/md5sum", ["a b"], in: folder).output.prefix(32)
      try write("\(digest) a b\n\(digest.uppercased())  a b\n", folder + "/list.md5")
      let (status, report) = try verify(".", in: folder)
      #expect(status == 0 && report.files.map(\.path) == ["./a b"])
    }
  }

  /// What `openssl dgst` writes, by its old and new names.
  @Test func readsOpenSSLsLines() throws {
    try withTemporaryFolder { folder in
      let names = ["a", "with space", "a)= b"]
      for name in names { try write(name, folder + "/" + name) }
      let sums = try ["-md5", "-sha256"].map { try run("/usr/bin/env", ["openssl", "dgst", $0] + names, in: folder).output }
      let plain = sums[1].replacingOccurrences(of: "SHA2-256(", with: "SHA256(")
      for list in sums + [plain, plain.replacingOccurrences(of: "SHA256(", with: "SHA2-256(")] {
        try write(list, folder + "/list.chk")
        let (status, report) = try verify("list.chk", in: folder)
        #expect(status == 0 && report.files.map(\.path) == names)
      }
    }
  }

  /// Files that weren't in the page cache aren't there afterwards, and those that were stay. So it is for somebody who may only read them, and to whom
  /// mincore(2) would say that all is there: models belong to root, and are shared.
  @Test(arguments: getuid() == 0 ? [false, true] : [false]) func leavesThePageCacheAlone(asSomebodyElse: Bool) throws {
    try withTemporaryFolder { folder in
      let bytes = Data((0..<9_000_001).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 8) })
      let names = ["cold1", "cold2", "hot1", "hot2"]
      for name in names { try bytes.write(to: URL(filePath: folder + "/" + name)) }
      try write(try run("/usr/bin/md5sum", names, in: folder).output, folder + "/list.chk")
      let prefix = asSomebodyElse ? ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] : []
      var wrong: [String] = []
      // Where others need memory the kernel drops pages of its own accord: once in a while, not three times.
      for _ in 0..<3 {
        for name in names { try sync(folder + "/" + name, evicting: name.hasPrefix("cold")) }
        // A file system in memory has nothing to drop.
        guard try cachedPages(folder + "/cold1") == 0 else { return }
        _ = try run("/usr/bin/md5sum", ["hot1", "hot2"], in: folder)
        let before = try cachedPages(folder + "/hot1")
        try #require(before > 2000)
        let outcome = try run("/usr/bin/env", prefix + [droverPath, "verify", "list.chk"], in: folder)
        #expect(outcome.status == 0, "\(outcome)")
        wrong = try names.compactMap { name in
          let pages = try cachedPages(folder + "/" + name)
          // The kernel may have read a little ahead of its own accord, or dropped a little.
          return (name.hasPrefix("cold") ? pages < 200 : pages > before - 200) ? nil : "\(name): \(pages) of \(before) pages"
        }
        if wrong.isEmpty { break }
      }
      #expect(wrong.isEmpty)
    }
  }

  private func sync(_ path: String, evicting: Bool) throws {
    let descriptor = open(path, O_RDONLY)
    defer { close(descriptor) }
    try #require(fsync(descriptor) == 0)
    if evicting { posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED) }
  }

  /// Pages of the file at `path` that are in the page cache.
  private func cachedPages(_ path: String) throws -> Int {
    let descriptor = open(path, O_RDONLY)
    defer { close(descriptor) }
    let size = Int(lseek(descriptor, 0, SEEK_END))
    let map = try #require(mmap(nil, size, PROT_READ, MAP_SHARED, descriptor, 0))
    defer { munmap(map, size) }
    var pages = [UInt8](repeating: 0, count: (size + 4095) / 4096)
    try #require(mincore(map, size, &pages) == 0)
    return pages.count { $0 & 1 == 1 }
  }

  @Test func namesWhatIsWrong() throws {
    try withTemporaryFolder { folder in
      for name in ["a/one", "a/two", "a/LICENSE", "b/one", "tokenizer.model"] { try write(name, folder + "/" + name) }
      for (list, names) in [("a/checklist.chk", ["one", "two"]), ("b/checklist.chk", ["one"])] {
        let sums = try run("/usr/bin/md5sum", names, in: folder + "/" + list.prefix(1))
        try write(sums.output, folder + "/" + list)
      }
      try write(try run("/usr/bin/md5sum", ["tokenizer.model"], in: folder).output, folder + "/tokenizer_checklist.chk")
      var (status, report) = try verify(".", in: folder)
      #expect(status == 0)
      #expect(report.files.count == 4)
      #expect(report.unlisted == ["./a/LICENSE"])

      try write("changed", folder + "/a/two")
      (status, report) = try verify(".", in: folder)
      #expect(status == 65)
      #expect(report.files.filter { $0.status == "mismatch" }.map(\.path) == ["./a/two"])

      try FileManager.default.removeItem(atPath: folder + "/b/one")
      (status, report) = try verify("b", "a", in: folder)
      #expect(status == 65)
      #expect(report.files.map(\.status) == ["missing", "ok", "mismatch"])
      (status, report) = try verify("b", in: folder)
      #expect(status == 66)
      #expect(report.files.first?.actual == nil)
    }
  }

  /// Lists that must not be believed, the exit code, and a word of the message.
  @Test(arguments: [
    ("", 65, "names no files"),
    ("# only a remark\n", 65, "names no files"),
    ("<!DOCTYPE html><html>sign in</html>", 65, "web page"),
    ("d41d8cd98f00b204e9800998ecf8427e  ok\nnot a line\n", 65, "line 2"),
    ("d41d8cd98f00b204e9800998ecf8427  short\n", 65, "line 1"),
    ("d41d8cd98f00b204e9800998ecf8427e  ../outside\n", 65, "leads out"),
    ("d41d8cd98f00b204e9800998ecf8427e  a/../../outside\n", 65, "leads out"),
    ("d41d8cd98f00b204e9800998ecf8427e  /etc/hostname\n", 65, "leads out"),
    ("\\d41d8cd98f00b204e9800998ecf8427e  ..\\\\nope\\q\n", 65, "line 1"),
    ("d41d8cd98f00b204e9800998ecf8427e  .\n", 65, "line 1"),
    ("d41d8cd98f00b204e9800998ecf8427e  a\0b\n", 65, "line 1"),
    ("d\04\01\0d\08\0c\0d\09\08\0f\00\00\0 \0 \0a\0\n\0", 65, "UTF-16"),
    ("\(String(repeating: "ab", count: 64))  a\n", 65, "SHA-512"),
    ("SHA1 (a) = \(String(repeating: "ab", count: 20))\n", 65, "SHA-1"),
  ])
  func refuses(list: String, code: Int32, words: String) throws {
    try withTemporaryFolder { folder in
      try write(list, folder + "/checklist.chk")
      let outcome = try drover("verify", folder)
      #expect(outcome.status == code)
      #expect(outcome.output.isEmpty)
      #expect(outcome.errors.contains(words), "\(outcome.errors)")
    }
  }

  /// A list with digests that drover doesn't know is looked at where there is no other, and says what can check it.
  @Test func namesListsByOtherAlgorithms() throws {
    try withTemporaryFolder { folder in
      try write("x", folder + "/m/weights")
      try write(try run("/usr/bin/sha512sum", ["weights"], in: folder + "/m").output, folder + "/m/SHA512SUMS")
      let outcome = try drover("verify", folder + "/m")
      #expect(outcome.status == 65 && outcome.errors.contains("SHA512SUMS, line 1: has a SHA-512 digest") && outcome.errors.contains("sha512sum -c"), "\(outcome.errors)")
      try write(try run("/usr/bin/sha256sum", ["weights"], in: folder + "/m").output, folder + "/m/SHA256SUMS")
      let (status, report) = try verify("m", in: folder)
      #expect(status == 0 && report.unlisted == ["m/SHA512SUMS"])
    }
  }

  @Test func saysWhenThereIsNothing() throws {
    try withTemporaryFolder { folder in
      for (arguments, code) in [([folder], Int32(66)), ([folder + "/absent"], 66), ([], 64)] {
        let outcome = try run(droverPath, ["verify"] + arguments)
        #expect(outcome.status == code)
      }
    }
  }

  /// A folder that is linked to is looked into, once, wherever its links lead; a list that isn't there is missed.
  @Test func followsLinks() throws {
    try withTemporaryFolder { folder in
      try write("x", folder + "/models/m/weights")
      try write(try run("/usr/bin/md5sum", ["weights"], in: folder + "/models/m").output, folder + "/models/m/checklist.chk")
      try FileManager.default.createDirectory(atPath: folder + "/tree", withIntermediateDirectories: false)
      for (link, target) in [("tree/a", "../models/m"), ("tree/b", "../models/m"), ("models/m/back", "../../tree")] {
        try FileManager.default.createSymbolicLink(atPath: folder + "/" + link, withDestinationPath: target)
      }
      let (status, report) = try verify("tree", in: folder)
      #expect(status == 0)
      #expect(report.files.map(\.path) == ["tree/a/weights"] && report.unlisted.isEmpty)

      try FileManager.default.createDirectory(atPath: folder + "/tree/c", withIntermediateDirectories: false)
      try FileManager.default.createSymbolicLink(atPath: folder + "/tree/c/checklist.chk", withDestinationPath: "../gone")
      let outcome = try drover("verify", "tree", in: folder)
      #expect(outcome.status == 1 && outcome.output.contains("tree/a/weights"))
      #expect(outcome.errors.contains("tree/c/checklist.chk"), "\(outcome.errors)")
    }
  }

  @Test func namesTheFolderThatCannotBeRead() throws {
    try withTemporaryFolder { folder in
      try write("d41d8cd98f00b204e9800998ecf8427e  empty\n", folder + "/tree/z/list.chk")
      try write("", folder + "/tree/z/empty")
      try FileManager.default.createDirectory(atPath: folder + "/tree/a/closed", withIntermediateDirectories: true)
      chmod(folder + "/tree/a/closed", 0)
      defer { chmod(folder + "/tree/a/closed", 0o700) }
      let outcome = try droverWithoutPrivileges("verify", folder + "/tree")
      #expect(outcome.status == 1 && outcome.output.contains("tree/z/empty"))
      #expect(outcome.errors.contains("tree/a/closed: cannot be read: Permission denied"), "\(outcome.errors)")
    }
  }

  /// Weights and what lies beside them are no lists, whatever they begin with.
  @Test(arguments: ["consolidated.00.pth", "params.json", "tokenizer.model", "large.gguf", "other.json"])
  func saysWhatIsNoList(name: String) throws {
    try withTemporaryFolder { folder in
      try FileManager.default.copyItem(atPath: Peer.packageRoot + "/Sources/CDemoModel/model", toPath: folder + "/model")
      try write("", folder + "/model/large.gguf")
      truncate(folder + "/model/large.gguf", 1 << 30)
      try write("[1]", folder + "/model/other.json")
      let outcome = try drover("verify", "\(folder)/model/\(name)")
      #expect(outcome.status == 64)
      #expect(outcome.errors.contains("\(name): is no checklist or receipt") && outcome.errors.contains("its folder"), "\(outcome.errors)")
    }
  }

  /// A list whose name says nothing is one that is damaged all the same once it has a line.
  @Test func tellsADamagedListFromNone() throws {
    try withTemporaryFolder { folder in
      try write("d41d8cd98f00b204e9800998ecf8427e  a\nnonsense\n", folder + "/sums")
      let outcome = try drover("verify", folder + "/sums")
      #expect(outcome.status == 65 && outcome.errors.contains("sums, line 2"), "\(outcome.errors)")
      try write(#"{"receipt": 2}"#, folder + "/mine.json")
      let receipt = try drover("verify", folder + "/mine.json")
      #expect(receipt.status == 65 && receipt.errors.contains("tool is missing"), "\(receipt.errors)")
    }
  }

  /// What a checklist and a receipt both say of a file is one finding; where only one of them is right, it is a mismatch.
  @Test func namesEachFileOnce() throws {
    try withTemporaryFolder { folder in
      let model = folder + "/model"
      try #require(try drover("reshard", Peer.packageRoot + "/Sources/CDemoModel/model", model, "--mp", "1", "--quiet").status == 0)
      func lines(_ word: String) throws -> [Substring] { try drover("verify", model).output.split(separator: "\n").filter { $0.hasPrefix(word) } }
      let document = try verify("model", in: folder)
      #expect(document.report.files.count == 4 && document.report.files.allSatisfy { $0.status == "ok" })
      #expect(try lines("ok").count == 4)
      try write("other", model + "/params.json")
      #expect(try lines("mismatch").count == 1)
      #expect(try lines("          expected").count == 1)
      // Only the checklist is of these bytes now.
      let sums = try run("/usr/bin/md5sum", ["consolidated.00.pth", "params.json", "tokenizer.model"], in: model)
      try write(sums.output, model + "/checklist.chk")
      #expect(try lines("mismatch").count == 1)
      #expect(try lines("ok").count == 3)
    }
  }

  @Test func saysNullWhereNothingWasRead() throws {
    try withTemporaryFolder { folder in
      try write("d41d8cd98f00b204e9800998ecf8427e  gone\n", folder + "/list.chk")
      let outcome = try drover("verify", "list.chk", "--json", in: folder)
      let document = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: [Any]]
      let file = try #require(document?["files"]?.first as? [String: Any])
      #expect(file["actual"] is NSNull && file["status"] as? String == "missing")
    }
  }

  /// What a list calls a file is a name, whatever is in it.
  @Test func namesForgeNoLines() throws {
    try withTemporaryFolder { folder in
      try write("\\d41d8cd98f00b204e9800998ecf8427e  a\\nok        forged\u{1B}[2J\n", folder + "/list.chk")
      let outcome = try drover("verify", "list.chk", in: folder)
      #expect(outcome.status == 66)
      #expect(!outcome.output.contains("\u{1B}") && !outcome.output.split(separator: "\n").contains { $0.hasPrefix("ok") }, "\(outcome.output)")
      #expect(outcome.output.contains(#"a\nok        forged\u{1B}[2J"#), "\(outcome.output)")
    }
  }

  /// Ctrl-C in the middle of a file: what was found until then is said, and how much of all it is.
  @Test func interruptionsSayWhatWasChecked() throws {
    try withTemporaryFolder { folder in
      try write("", folder + "/small")
      try write("", folder + "/large")
      truncate(folder + "/large", 1 << 40)
      let digest = "d41d8cd98f00b204e9800998ecf8427e"
      try write("\(digest)  small\n\(digest)  large\n\(digest)  gone\n", folder + "/list.chk")
      let terminal = try PseudoTerminal("/bin/sh", ["-c", #"cd "$1" && exec "$0" verify list.chk --progress json > out 2> err"#, droverPath, folder])
      func text(_ name: String) -> String { (try? String(contentsOfFile: folder + "/" + name, encoding: .utf8)) ?? "" }
      #expect(waitUntil { text("err").contains("\"event\":\"progress\"") })
      terminal.type("\u{3}")
      #expect(terminal.finish() == 130)
      #expect(text("err").contains("interrupted: 2 of 3 files were checked, and 1 failed"), "\(text("err"))")
      #expect(text("out") == "missing   gone\n")
      // In the last line of progress each file that was done with has its verdict.
      struct Progress: Decodable {
        struct Item: Decodable { var status: String? }
        var event: String
        var items: [Item]
      }
      let ends = text("err").split(separator: "\n").compactMap { try? JSONDecoder().decode(Progress.self, from: Data($0.utf8)) }.filter { $0.event == "end" }
      #expect(ends.map { $0.items.map(\.status) } == [["ok", nil, "missing"]])
    }
  }

  /// However few files may be open at once, all are read.
  @Test(arguments: [12, 24, 40]) func worksWithFewDescriptors(limit: Int) throws {
    try withTemporaryFolder { folder in
      let names = (0..<60).map(String.init)
      for name in names { try write(name, folder + "/" + name) }
      try write(try run("/usr/bin/md5sum", names, in: folder).output, folder + "/list.chk")
      let outcome = try run("/bin/bash", ["-c", "ulimit -n \(limit); exec \"$0\" verify list.chk", droverPath], in: folder)
      #expect(outcome.status == 0, "\(outcome.output)")
    }
  }

  @Test func aReportThatGetsNowhereIsAFailure() throws {
    let outcome = try run("/bin/sh", ["-c", #"exec "$0" verify "$1" --json > /dev/full"#, droverPath, Peer.packageRoot + "/Sources/CDemoModel/model"])
    #expect(outcome.status == 73)
    #expect(outcome.errors.contains("standard output can't be written: No space left on device"), "\(outcome.errors)")
  }

  /// A parent may have made the pipe one that doesn't wait for its reader.
  @Test func writesAllOfAReportWhereWritesDoNotWait() throws {
    try withTemporaryFolder { folder in
      try write((0..<3000).map { "d41d8cd98f00b204e9800998ecf8427e  \($0)\n" }.joined(), folder + "/list.chk")
      let pipe = Pipe()
      let end = pipe.fileHandleForWriting.fileDescriptor
      try #require(fcntl(end, F_SETFL, fcntl(end, F_GETFL) | O_NONBLOCK) == 0)
      let process = try Child(droverPath, ["verify", folder + "/list.chk", "--json", "--progress", "none"], output: .descriptor(end))
      try pipe.fileHandleForWriting.close()
      // More than a pipe holds is there by now.
      usleep(300_000)
      let bytes = try #require(try pipe.fileHandleForReading.readToEnd())
      #expect(process.wait() == 66)
      #expect(bytes.count > 400_000)
      #expect(try JSONDecoder().decode(Report.self, from: bytes).files.count == 3000)
    }
  }

  /// A FIFO or a folder under a file's name is neither waited for nor believed.
  @Test func readsOnlyFiles() throws {
    try withTemporaryFolder { folder in
      try write("d41d8cd98f00b204e9800998ecf8427e  fifo\nd41d8cd98f00b204e9800998ecf8427e  sub\n", folder + "/checklist.chk")
      mkfifo(folder + "/fifo", 0o600)
      try FileManager.default.createDirectory(atPath: folder + "/sub", withIntermediateDirectories: true)
      let (status, report) = try verify(".", in: folder)
      #expect(status == 1)
      #expect(report.files.map(\.status) == ["unreadable", "unreadable"])
    }
  }

  @Test func readsTheDemonstrationModel() throws {
    let (status, report) = try verify("model", in: Peer.packageRoot + "/Sources/CDemoModel")
    #expect(status == 0)
    #expect(report.files.count == 4)
  }
}
