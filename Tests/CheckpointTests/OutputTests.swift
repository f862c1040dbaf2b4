import Checkpoint
import Foundation
import SystemPackage
import TestSupport
import Testing

/// The output is there whole, or not at all.
@Suite(.needs(.python))
struct OutputTests {
  @Test func existingFoldersAreKept() throws {
    try withTemporaryFolder { folder in
      try PythonModels.write(.init(), to: folder + "/source", modelParallel: 1)
      let out = folder + "/out"
      try FileManager.default.createDirectory(atPath: out, withIntermediateDirectories: false)
      try reshard(folder + "/source", out, modelParallel: 2)  // an empty folder is as good as none

      #expect(throws: CheckpointError.self) { try reshard(folder + "/source", out, modelParallel: 4) }
      #expect(try Checkpoint.open(at: FilePath(out)).modelParallel == 2)
      try reshard(folder + "/source", out, modelParallel: 4, .init(replacing: true))
      #expect(try Checkpoint.open(at: FilePath(out)).modelParallel == 4)

      try "mine".write(toFile: out + "/notes.txt", atomically: false, encoding: .utf8)
      #expect(throws: CheckpointError.self) { try reshard(folder + "/source", out, modelParallel: 1, .init(replacing: true)) }
      #expect(try String(contentsOfFile: out + "/notes.txt", encoding: .utf8) == "mine")
      #expect(throws: CheckpointError.self) { try reshard(folder + "/source", folder + "/source", modelParallel: 2, .init(replacing: true)) }
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == ["out", "source"])
    }
  }

  /// RLIMIT_FSIZE stands for a disk that fills up.
  @Test func nothingIsLeftOfAFailure() throws {
    try withTemporaryFolder { folder in
      try PythonModels.write(.init(), to: folder + "/source", modelParallel: 1)
      let outcome = try run(
        "/bin/bash", ["-c", "ulimit -f 100; exec \"$0\" reshard \"$1/source\" \"$1/out\" --mp 1", droverPath, folder])
      #expect(outcome.status == 73)
      #expect(outcome.errors.contains("consolidated.00.pth") && outcome.errors.contains("nothing was left behind"), "\(outcome.errors)")
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["source"])
    }
  }

  /// Whoever reads the progress leaves after the first byte; the work is done all the same.
  @Test func readersMayLeave() throws {
    try withTemporaryFolder { folder in
      try SmallModel.write(to: folder + "/source", vocabulary: 16_384)
      let outcome = try run(
        "/bin/bash", ["-c", "\"$0\" reshard \"$1/source\" \"$1/out\" --mp 1 --progress json 2>&1 >/dev/null | head -c 1; exit ${PIPESTATUS[0]}", droverPath, folder])
      #expect(outcome.status == 0, "\(outcome.errors)")
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == ["out", "source"])
    }
  }

  @Test func cancellingLeavesNothing() throws {
    try withTemporaryFolder { folder in
      try PythonModels.write(.init(), to: folder + "/source", modelParallel: 1)
      let plan = try ReshardPlan(Checkpoint.open(at: FilePath(folder + "/source")), .init(modelParallel: 2))
      let error = #expect(throws: CheckpointError.self) { try plan.write(to: FilePath(folder + "/out"), isCancelled: { true }) }
      #expect(error?.reason == .cancelled)
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["source"])
    }
  }

  /// A source that is cut short while it is read is an error that names it, and not the end of the program.
  @Test func sourcesCutShort() throws {
    try withTemporaryFolder { folder in
      try PythonModels.write(.init(), to: folder + "/source", modelParallel: 1)
      let plan = try ReshardPlan(Checkpoint.open(at: FilePath(folder + "/source")), .init(modelParallel: 8))
      truncate(folder + "/source/consolidated.00.pth", 20_000)
      let error = #expect(throws: CheckpointError.self) { try plan.write(to: FilePath(folder + "/out")) }
      #expect(error?.reason == .corrupt && error?.description.contains("consolidated.00.pth") == true, "\(error?.description ?? "")")
      #expect(throws: CheckpointError.self) { try plan.source.fingerprint() }
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["source"])
    }
  }

  /// In the document every file has the digest that `sha256sum` finds, also those that drover adds.
  @Test func everyFileHasADigest() throws {
    try withTemporaryFolder { folder in
      struct Document: Decodable {
        struct File: Decodable {
          let path: String
          let md5: String
          let sha256: String
        }
        let files: [File]
      }
      try PythonModels.write(.init(embeddingAxis: 0), to: folder + "/source", modelParallel: 1)
      try "free".write(toFile: folder + "/source/LICENSE", atomically: false, encoding: .utf8)
      try FileManager.default.copyItem(atPath: Peer.packageRoot + "/Sources/CDemoModel/model/tokenizer.model", toPath: folder + "/source/tokenizer.model")
      let outcome = try drover("reshard", folder + "/source", folder + "/out", "--mp", "2", "--json", "--digest", "sha256", "--checklist")
      let files = try JSONDecoder().decode(Document.self, from: Data(outcome.output.utf8)).files
      #expect(try files.map(\.path).sorted() == FileManager.default.contentsOfDirectory(atPath: folder + "/out").sorted() && files.count == 7)
      let sums = try run("/usr/bin/sha256sum", files.map(\.path), in: folder + "/out")
      #expect(sums.output == files.map { "\($0.sha256)  \($0.path)\n" }.joined())
      let md5s = try run("/usr/bin/md5sum", files.map(\.path), in: folder + "/out")
      #expect(md5s.output == files.map { "\($0.md5)  \($0.path)\n" }.joined())
    }
  }

  @Test func dryRunWritesNothing() throws {
    try withTemporaryFolder { folder in
      try PythonModels.write(.init(), to: folder + "/source", modelParallel: 1)
      let outcome = try drover("reshard", folder + "/source", folder + "/out", "--mp", "2", "--dry-run", "--json")
      #expect(outcome.status == 0)
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["source"])
      // What the plan promises is what comes out.
      struct Document: Decodable {
        struct Plan: Decodable {
          struct File: Decodable {
            let path: String
            let bytes: Int
          }
          let files: [File]
        }
        let plan: Plan
      }
      let planned = try JSONDecoder().decode(Document.self, from: Data(outcome.output.utf8)).plan.files
      let written = try reshard(folder + "/source", folder + "/out", modelParallel: 2)
      #expect(planned.map(\.path) == written.map(\.name))
      for file in planned {
        let size = try FileManager.default.attributesOfItem(atPath: "\(folder)/out/\(file.path)")[.size] as? Int
        #expect(size == file.bytes)
      }
    }
  }
}
