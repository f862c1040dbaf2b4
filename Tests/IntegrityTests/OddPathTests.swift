import Foundation
import Glibc
import Integrity
import Synchronization
import SystemPackage
import TestSupport
import Testing

/// Paths and files that can't be checked: each is a finding of its own, and all else is checked.
@Suite struct OddPathTests {
  private struct Report: Decodable {
    struct File: Decodable {
      var path, status: String
      var pathBytes: String?
    }
    var files: [File]
  }

  private func model(_ folder: String, _ name: String) throws {
    try FileManager.default.createDirectory(atPath: folder + "/" + name, withIntermediateDirectories: true)
    try name.write(toFile: "\(folder)/\(name)/weights", atomically: true, encoding: .utf8)
    try run("/usr/bin/md5sum", ["weights"], in: folder + "/" + name).output.write(toFile: "\(folder)/\(name)/checklist.chk", atomically: true, encoding: .utf8)
  }

  /// What is missing doesn't keep the others from being checked, and a mismatch weighs more.
  @Test func aMissingPathEndsNothing() throws {
    try withTemporaryFolder { folder in
      for name in ["a", "c"] { try model(folder, name) }
      var outcome = try drover("verify", "a", "b", "c", "--json", in: folder)
      var files = try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8)).files
      #expect(outcome.status == 66 && files.map { "\($0.path) \($0.status)" } == ["a/weights ok", "c/weights ok", "b missing"])
      #expect(outcome.errors.contains("b: no such file or folder"))
      try "changed".write(toFile: folder + "/a/weights", atomically: true, encoding: .utf8)
      try "nonsense".write(toFile: folder + "/c/other.md5", atomically: true, encoding: .utf8)
      outcome = try drover("verify", "b", "a", "c", "--json", in: folder)
      files = try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8)).files
      #expect(outcome.status == 65 && files.map { "\($0.path) \($0.status)" } == ["a/weights mismatch", "c/weights ok", "b missing", "c/other.md5 mismatch"])
    }
  }

  /// A name that JSON can't hold can be read back from its bytes.
  @Test func namesThatAreNotText() throws {
    try withTemporaryFolder { folder in
      let script = #"n=$(printf 'w\350i'); mkdir m; echo a > "m/$n"; echo b > m/text; (cd m; md5sum * > list.chk); rm "m/$n"; "$0" verify m --json"#
      let outcome = try run("/bin/sh", ["-c", script, droverPath], in: folder)
      let files = try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8)).files
      #expect(outcome.status == 66 && files.map(\.pathBytes) == [nil, "6d2f77e869"] && files.map(\.path) == ["m/text", "m/w\u{FFFD}i"], "\(outcome)")
    }
  }

  /// A folder under a path that is too long for the system is told, not taken for empty.
  @Test func aPathTooLongIsTold() throws {
    try withTemporaryFolder { folder in
      try model(folder, "near")
      let name = String(repeating: "d", count: 200)
      let script = "cd \"$0\"; for i in $(seq 25); do mkdir \(name); cd \(name); done; : > weights; echo 'd41d8cd98f00b204e9800998ecf8427f  weights' > checklist.chk"
      try #require(try run("/bin/bash", ["-c", script, folder]).status == 0)
      let outcome = try drover("verify", ".", in: folder)
      #expect(outcome.status == 1 && outcome.output.contains("near/weights"))
      #expect(outcome.errors.contains("cannot be read: File name too long"), "\(outcome.errors)")
      _ = try run("/bin/rm", ["-rf", folder + "/" + name])
    }
  }

  /// What the kernel makes up when it is read has no size, and isn't empty.
  @Test func aFileWithoutASizeIsNotEmpty() throws {
    try withTemporaryFolder { folder in
      try FileManager.default.createSymbolicLink(atPath: folder + "/made-up", withDestinationPath: "/proc/version")
      try "d41d8cd98f00b204e9800998ecf8427e  made-up\n".write(toFile: folder + "/list.chk", atomically: true, encoding: .utf8)
      let outcome = try drover("verify", folder)
      #expect(outcome.status == 1 && outcome.output.contains("unreadable"), "\(outcome.output)")
    }
  }

  enum Change: CaseIterable { case renamedOver, unlinked }

  /// Another file under the name is not the one that was read.
  @Test(arguments: Change.allCases) func seesAFileGo(change: Change) throws {
    try withTemporaryFolder { folder in
      for name in ["weights", "other"] { try Data(count: 3_000_000).write(to: URL(filePath: "\(folder)/\(name)")) }
      let isDone = Atomic(false)
      let outcomes = FileHasher(threads: 1).hash([.init(path: FilePath(folder + "/weights"), algorithms: [.md5])], progress: { _, _ in
        guard !isDone.exchange(true, ordering: .relaxed) else { return }
        switch change {
        case .renamedOver: rename(folder + "/other", folder + "/weights")
        case .unlinked: unlink(folder + "/weights")
        }
      })
      #expect(outcomes == [.failure(.resourceBusy)])
    }
  }
}
