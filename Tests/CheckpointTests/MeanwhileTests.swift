import Checkpoint
import Foundation
import Glibc
import Synchronization
import SystemPackage
import TestSupport
import Testing

/// What others do while an output is written: nothing of theirs is lost, and no output is a mixture.
@Suite(.serialized) struct MeanwhileTests {
  /// Reshards, and does something when the first bytes are written.
  /// - Returns: what was noted.
  @discardableResult
  static func reshard(_ source: String, _ out: String, replacing: Bool = false, meanwhile: @escaping @Sendable () -> Void) throws -> [String] {
    let isDone = Atomic(false)
    var notes: [String] = []
    let plan = try ReshardPlan(Checkpoint.open(at: FilePath(source)), .init(modelParallel: 2))
    _ = try plan.write(
      to: FilePath(out), .init(replacing: replacing, tool: "test"), progress: { _, _ in if !isDone.exchange(true, ordering: .relaxed) { meanwhile() } },
      note: { notes.append($0) })
    return notes
  }

  static let ours = ["consolidated.00.pth", "consolidated.01.pth", "drover-receipt.json", "params.json"]

  // MARK: In the destination

  struct Change: Sendable, CustomTestStringConvertible {
    var name: String
    /// Done in the folder that is being replaced.
    var script: String
    /// What is then to be found in the folder that is kept.
    var kept: [String: String]
    var testDescription: String { name }
  }

  static let changes = [
    Change(name: "a file", script: "echo -n precious > results.csv", kept: ["results.csv": "precious", "consolidated.00.pth": "mine"]),
    Change(name: "a folder", script: "mkdir notes; echo -n precious > notes/a.txt", kept: ["notes/a.txt": "precious", "params.json": "mine"]),
    Change(name: "a checkpoint's file", script: "echo -n precious > tokenizer.model", kept: ["tokenizer.model": "precious"]),
    Change(name: "weights written over", script: "echo -n finetuned > consolidated.00.pth", kept: ["consolidated.00.pth": "finetuned", "params.json": "mine"]),
    Change(name: "weights put in the place of others", script: "echo -n finetuned > new; mv new consolidated.00.pth", kept: ["consolidated.00.pth": "finetuned"]),
  ]

  @Test(arguments: changes) func whatComesInIsKept(_ change: Change) throws {
    try withTemporaryFolder { folder in
      try SmallModel.write(to: folder + "/source")
      let out = folder + "/out"
      for name in ["consolidated.00.pth", "params.json"] { try put(out + "/" + name) }
      try put(folder + "/out.orig", "earlier")
      let notes = try Self.reshard(folder + "/source", out, replacing: true) { _ = try? run("/bin/sh", ["-c", change.script], in: out) }
      #expect(try listing(out) == Self.ours && listing(folder) == ["out", "out.orig", "out.orig.1", "source"])
      for (name, text) in change.kept { #expect(try String(contentsOfFile: "\(folder)/out.orig.1/\(name)", encoding: .utf8) == text) }
      #expect(notes.count == 1 && notes[0].contains(folder + "/out.orig.1"), "\(notes)")
    }
  }

  /// Another folder under the name, a full one where there was nothing or an empty one: it stays, and so does nothing of ours.
  @Test(arguments: ["replaced", "empty", "new"]) func whatTakesThePlaceStays(_ kind: String) throws {
    try withTemporaryFolder { folder in
      try SmallModel.write(to: folder + "/source")
      let out = folder + "/out"
      if kind == "empty" { mkdir(out, 0o755) }
      if kind == "replaced" { try put(out + "/consolidated.00.pth", "older") }
      let error = #expect(throws: CheckpointError.self) {
        try Self.reshard(folder + "/source", out, replacing: kind == "replaced") {
          if kind == "replaced" { rename(out, folder + "/moved") }
          try? put(out + "/consolidated.00.pth")
        }
      }
      #expect(error?.reason == .output && error?.message.contains("wasn't there when this run began") == true, "\(error?.description ?? "")")
      #expect(try String(contentsOfFile: out + "/consolidated.00.pth", encoding: .utf8) == "mine" && listing(out).count == 1)
      #expect(try listing(folder) == (kind == "replaced" ? ["moved", "out", "source"] : ["out", "source"]))
    }
  }

  /// The second of two runs into one place ends before it works.
  @Test(arguments: ["out", "link", "./link/../out"]) func twoRunsIntoOnePlace(_ other: String) throws {
    try withTemporaryFolder { folder in
      try SmallModel.write(to: folder + "/source")
      mkdir(folder + "/out", 0o755)
      symlink("out", folder + "/link")
      let second = Mutex<(any Error)?>(nil)
      try Self.reshard(folder + "/source", folder + "/out") {
        do { try Self.reshard(folder + "/source", "\(folder)/\(other)") { second.withLock { $0 = CocoaError(.featureUnsupported) } } } catch { second.withLock { $0 = $0 ?? error } }
      }
      let error = second.withLock { $0 } as? CheckpointError
      #expect(error?.reason == .output && error?.message.contains("another drover") == true, "\(String(describing: error))")
      #expect(try listing(folder + "/out") == Self.ours && listing(folder) == ["link", "out", "source"])
    }
  }

  // MARK: On the way to it

  @Test func aParentThatIsRenamed() throws {
    try withTemporaryFolder { folder in
      try SmallModel.write(to: folder + "/source")
      mkdir(folder + "/a", 0o755)
      let notes = try Self.reshard(folder + "/source", folder + "/a/out") { rename(folder + "/a", folder + "/b") }
      #expect(try listing(folder + "/b/out") == Self.ours && listing(folder + "/b") == ["out"])
      #expect(notes.count == 1 && notes[0].contains(folder + "/b/out"), "\(notes)")
      // And where the run fails, nothing is left where the folder is now.
      #expect(throws: CheckpointError.self) {
        try Self.reshard(folder + "/source", folder + "/b/more") {
          rename(folder + "/b", folder + "/c")
          truncate(folder + "/source/model.safetensors", 20_000)
        }
      }
      #expect(try listing(folder) == ["c", "source"] && listing(folder + "/c") == ["out"])
    }
  }

  // MARK: To the source

  struct Write: Sendable, CustomTestStringConvertible {
    var name: String
    var script: String
    var testDescription: String { name }
  }

  static let writes = [
    Write(name: "written to", script: "printf x | dd of=model.safetensors bs=1 seek=1500000 conv=notrunc"),
    Write(name: "longer", script: "printf x >> model.safetensors"),
    Write(name: "shorter by what no tensor needs", script: "truncate -s -1 model.safetensors"),
    Write(name: "copied over", script: "head -c $(stat -c %s model.safetensors) /dev/zero | dd of=model.safetensors bs=1M conv=notrunc"),
  ]

  /// A mixture of two versions would have a valid receipt.
  @Test(arguments: writes) func sourcesThatAreWrittenTo(_ write: Write) throws {
    try withTemporaryFolder { folder in
      let source = folder + "/source"
      try SmallModel.write(to: source)
      let error = #expect(throws: CheckpointError.self) {
        try Self.reshard(source, folder + "/out") { _ = try? run("/bin/sh", ["-c", write.script], in: source) }
      }
      #expect(error?.reason == .corrupt && error?.file == FilePath(source + "/model.safetensors"), "\(error?.description ?? "")")
      #expect(try listing(folder) == ["source"])
      // The same for a fingerprint.
      try SmallModel.write(to: source)
      let isDone = Atomic(false)
      let checkpoint = try Checkpoint.open(at: FilePath(source))
      #expect(throws: CheckpointError.self) {
        _ = try checkpoint.fingerprint(progress: { _ in if !isDone.exchange(true, ordering: .relaxed) { _ = try? run("/bin/sh", ["-c", write.script], in: source) } })
      }
    }
  }

  // MARK: To the run itself

  /// What a run leaves that was killed is swept by the next one to the same place.
  @Test func killedRunsAreSwept() throws {
    try withTemporaryFolder { folder in
      try SmallModel.write(to: folder + "/source", vocabulary: 32_768)
      // A machine may be so quick that the run is done before it is killed: then once more.
      for _ in 0..<20 where try listing(folder) != [".out.partial-drover", "source"] {
        try? FileManager.default.removeItem(atPath: folder + "/out")
        let process = try Child(droverPath, ["reshard", folder + "/source", folder + "/out", "--mp", "1", "--quiet"])
        #expect(waitUntil { FileManager.default.fileExists(atPath: folder + "/.out.partial-drover/new/consolidated.00.pth") || !process.isRunning })
        process.signal(SIGKILL)
        process.wait()
      }
      try #require(try listing(folder) == [".out.partial-drover", "source"])
      try Self.reshard(folder + "/source", folder + "/out") {}
      #expect(try listing(folder) == ["out", "source"] && listing(folder + "/out") == Self.ours)
    }
  }

  struct Leftover: Sendable, CustomTestStringConvertible {
    var name: String
    /// Files and folders that are there.
    var paths: [String]
    /// What the refusal says; nil where the run succeeds.
    var refusal: String?
    /// What is there in the end.
    var left: [String]
    var testDescription: String { name }
  }

  static let leftovers = [
    Leftover(name: "a lock alone", paths: [".out.partial-drover/lock"], left: ["out", "source"]),
    Leftover(
      name: "an interrupted pull", paths: [".out.partial-drover/lock", ".out.partial-drover/pull", ".out.partial-drover/new/consolidated.00.pth"], refusal: "drover pull",
      left: [".out.partial-drover", "source"]),
    Leftover(name: "a pull whose output has its name", paths: [".out.partial-drover/lock", ".out.partial-drover/pull"], left: ["out", "source"]),
    Leftover(name: "somebody's journal", paths: [".out.partial-drover/lock", ".out.partial-drover/journal"], refusal: "journal", left: [".out.partial-drover", "source"]),
    Leftover(name: "something else", paths: [".out.partial-drover/mine/"], refusal: "mine", left: [".out.partial-drover", "source"]),
    Leftover(name: "in the folder that was being filled", paths: ["out/.out.partial-drover/lock"], left: ["out", "source"]),
    // The lock doesn't say that it is the run's own.
    Leftover(name: "a folder that was replaced", paths: [".out.partial-drover/lock", ".out.partial-drover/new/consolidated.00.pth"], left: ["out", "out.orig", "source"]),
    Leftover(name: "a file of that name", paths: [".out.partial-drover"], refusal: "can't be written", left: [".out.partial-drover", "source"]),
  ]

  @Test(arguments: leftovers) func onlyLeftoversAreSwept(_ leftover: Leftover) throws {
    try withTemporaryFolder { folder in
      try SmallModel.write(to: folder + "/source")
      for path in leftover.paths { try put(folder + "/" + path) }
      if let refusal = leftover.refusal {
        let error = #expect(throws: CheckpointError.self) { try Self.reshard(folder + "/source", folder + "/out") {} }
        #expect(error?.reason == .output && error?.message.contains(refusal) == true, "\(error?.description ?? "")")
        for path in leftover.paths { #expect(FileManager.default.fileExists(atPath: folder + "/" + path), "\(path)") }
      } else {
        try Self.reshard(folder + "/source", folder + "/out") {}
        #expect(try listing(folder + "/out") == Self.ours)
      }
      #expect(try listing(folder) == leftover.left)
    }
  }

  /// Where nothing can be locked, a work folder that is there may be somebody's; one that isn't is nobody's.
  @Test func withoutLocks() throws {
    try withTemporaryFolder { folder in
      try SmallModel.write(to: folder + "/source")
      let environment = try preload("#include <errno.h>\nint flock(int a, int b) { errno = ENOLCK; return -1; }", in: folder)
      let arguments = ["reshard", folder + "/source", folder + "/out", "--mp", "2", "--quiet"]
      try put(folder + "/.out.partial-drover/lock")
      let refused = try run(droverPath, arguments, environment: environment)
      #expect(refused.status == 73 && refused.errors.contains(".out.partial-drover is there already"), "\(refused.errors)")
      try FileManager.default.removeItem(atPath: folder + "/.out.partial-drover")
      #expect(try run(droverPath, arguments, environment: environment).status == 0 && listing(folder) == ["out", "preload.so", "source"])
    }
  }

  /// NFS and others can't exchange two names: the old checkpoint is out of the way first, and removed last.
  @Test(arguments: [false, true]) func withoutExchange(comesIn: Bool) throws {
    try withTemporaryFolder { folder in
      try SmallModel.write(to: folder + "/source", vocabulary: comesIn ? 32_768 : 1024)
      let preload = try preload(
        """
        #include <errno.h>
        int renameat2(int a, const char *b, int c, const char *d, unsigned e) { errno = EINVAL; return -1; }
        """, in: folder)
      for name in ["consolidated.00.pth", "params.json"] { try put("\(folder)/out/\(name)") }
      let process = try Child(droverPath, ["reshard", folder + "/source", folder + "/out", "--mp", "2", "--force", "--quiet"], environment: preload)
      if comesIn {
        #expect(waitUntil { FileManager.default.fileExists(atPath: folder + "/.out.partial-drover/new/consolidated.00.pth") || !process.isRunning })
        try put(folder + "/out/results.csv", "precious")
      }
      #expect(process.wait() == 0)
      #expect(try listing(folder + "/out") == Self.ours)
      #expect(try listing(folder) == ["out"] + (comesIn ? ["out.orig"] : []) + ["preload.so", "source"])
      if comesIn { #expect(try String(contentsOfFile: folder + "/out.orig/results.csv", encoding: .utf8) == "precious") }
    }
  }
}
