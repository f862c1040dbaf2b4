import Checkpoint
import Foundation
import Glibc
import Synchronization
import SystemPackage
import TestSupport
import Testing

/// Where an output goes: what is there is replaced only if it is a checkpoint, keeps its owner and mode, and is never mistaken for something else.
@Suite(.serialized) struct PlaceTests {
  // MARK: What may be replaced

  struct Contents: Sendable, CustomTestStringConvertible {
    /// A slash at the end makes a folder with a file in it.
    var names: [String]
    /// What the refusal says; nil where the folder is replaced.
    var refusal: String?
    var testDescription: String { names.joined(separator: " ") }
  }

  static let contents = [
    Contents(names: ["consolidated.00.pth", "params.json", "tokenizer.model", "checklist.chk", "LICENSE", "USE_POLICY.md", "Notice"]),
    Contents(names: ["model-00001-of-00002.safetensors", "model.safetensors.index.json", "config.json", "tokenizer_config.json", "drover-receipt.json"]),
    Contents(names: ["model.gguf"]),
    Contents(names: ["consolidated.00.pth", "model-runs/"], refusal: "holds model-runs, which is neither a file nor a link"),
    Contents(names: ["consolidated.00.pth", "consolidated.old/"], refusal: "holds consolidated.old"),
    Contents(names: ["consolidated.00.pth", "tokenizer-of-mine.txt"], refusal: "holds tokenizer-of-mine.txt, which isn't part of a checkpoint"),
    Contents(names: ["consolidated.00.pth", "model-card.md"], refusal: "holds model-card.md"),
    Contents(names: ["consolidated.00.pth", "drover-notes.txt"], refusal: "holds drover-notes.txt"),
    Contents(names: ["consolidated.00.pth", ".git/"], refusal: "holds .git"),
    Contents(names: ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"]),
    Contents(names: ["a.gguf", "b.gguf"], refusal: "isn't one checkpoint"),
    Contents(names: ["m-00001-of-00002.gguf", "n-00002-of-00002.gguf"], refusal: "isn't one checkpoint"),
    Contents(names: ["LICENSE", "config.json"], refusal: "holds no weights"),
  ]

  @Test(arguments: contents) func onlyCheckpointsAreReplaced(_ test: Contents) throws {
    try withTemporaryFolder { folder in
      try SmallModel.write(to: folder + "/source")
      let out = folder + "/out"
      for name in test.names { try put(out + "/" + name) }
      let before = try listing(out)
      if let refusal = test.refusal {
        let error = #expect(throws: CheckpointError.self) { try reshard(folder + "/source", out, modelParallel: 1, .init(replacing: true)) }
        #expect(error?.reason == .output && error?.message.contains(refusal) == true, "\(error?.description ?? "")")
        #expect(try listing(out) == before)
      } else {
        try reshard(folder + "/source", out, modelParallel: 1, .init(replacing: true))
        #expect(try listing(out) == ["consolidated.00.pth", "params.json"])
      }
      #expect(try listing(folder) == ["out", "source"])
    }
  }

  @Test func theSourceIsNotReplaced() throws {
    try withTemporaryFolder { folder in
      try SmallModel.write(to: folder + "/source")
      symlink("source", folder + "/link")
      for name in ["source", "link", "source/../source"] {
        let error = #expect(throws: CheckpointError.self) { try reshard(folder + "/source", "\(folder)/\(name)", modelParallel: 2, .init(replacing: true)) }
        #expect(error?.message.contains("where the source lies") == true, "\(name)")
      }
      #expect(try listing(folder + "/source") == ["config.json", "model.safetensors"])
    }
  }

  // MARK: Mode, owner and group

  /// Folders that are there, empty or with a checkpoint, and those that are made: as `mkdir` makes them, or as they were.
  @Test(arguments: [0o700, 0o750, 0o2775, 0o1777, 0o555], [false, true]) func foldersKeepTheirModes(_ mode: mode_t, isFull: Bool) throws {
    try withTemporaryFolder { folder in
      try SmallModel.write(to: folder + "/source")
      let out = folder + "/out"
      try FileManager.default.createDirectory(atPath: out, withIntermediateDirectories: false)
      if isFull { try put(out + "/consolidated.00.pth") }
      // Somebody else's, where that can be arranged.
      if getuid() == 0 { chown(out, 65534, 65533) }
      chmod(out, mode)
      let before = try FilePath(out).stat()
      try reshard(folder + "/source", out, modelParallel: 2, .init(replacing: isFull))
      let after = try FilePath(out).stat()
      #expect(after.permissions == before.permissions && after.userID == before.userID && after.groupID == before.groupID, "\(after.permissions)")
      #expect(try listing(out) == ["consolidated.00.pth", "consolidated.01.pth", "params.json"])
      // What is in it belongs to the group where the folder says so.
      if mode & 0o2000 != 0 { #expect(try FilePath(out + "/params.json").stat().groupID == before.groupID) }
    }
  }

  @Test func newFoldersAreAsMkdirMakesThem() throws {
    try withTemporaryFolder { folder in
      try SmallModel.write(to: folder + "/source")
      let shared = folder + "/shared"
      try FileManager.default.createDirectory(atPath: shared, withIntermediateDirectories: false)
      if getuid() == 0 { chown(shared, 65534, 65533) }
      chmod(shared, 0o2775)
      mkdir(shared + "/plain", 0o777)
      try reshard(folder + "/source", shared + "/out", modelParallel: 1)
      let (plain, out) = (try FilePath(shared + "/plain").stat(), try FilePath(shared + "/out").stat())
      #expect(out.permissions == plain.permissions && out.groupID == plain.groupID && out.permissions.contains(.setGroupID))
      #expect(try FilePath(shared + "/out/params.json").stat().groupID == plain.groupID)
    }
  }

  // MARK: Places that are special

  @Test func linksStandForWhatTheyLeadTo() throws {
    try withTemporaryFolder { folder in
      try SmallModel.write(to: folder + "/source")
      for name in ["elsewhere/real", "elsewhere/full"] { try FileManager.default.createDirectory(atPath: "\(folder)/\(name)", withIntermediateDirectories: true) }
      try put(folder + "/elsewhere/full/consolidated.00.pth")
      for (link, target) in [("empty", "elsewhere/real"), ("full", "elsewhere/full"), ("dangling", "elsewhere/none")] { symlink(target, "\(folder)/\(link)") }
      try reshard(folder + "/source", folder + "/empty", modelParallel: 1)
      try reshard(folder + "/source", folder + "/full", modelParallel: 1, .init(replacing: true))
      for name in ["real", "full"] { #expect(try listing("\(folder)/elsewhere/\(name)") == ["consolidated.00.pth", "params.json"]) }
      for link in ["empty", "full"] { #expect(try Stat(FilePath("\(folder)/\(link)"), followTargetSymlink: false).type == .symbolicLink) }
      let error = #expect(throws: CheckpointError.self) { try reshard(folder + "/source", folder + "/dangling", modelParallel: 1) }
      #expect(error?.message.contains("leads nowhere") == true)
      #expect(try listing(folder) == ["dangling", "elsewhere", "empty", "full", "source"])
    }
  }

  /// A container's volume: nothing can take its place, so it is filled; and a full one is refused before any work.
  @Test(.needsMounts) func mountPointsAreFilled() throws {
    try withTemporaryFolder { folder in
      try SmallModel.write(to: folder + "/source")
      try FileManager.default.createDirectory(atPath: folder + "/out", withIntermediateDirectories: false)
      let mount = try Mount(on: folder + "/out", megabytes: 64)
      defer { mount.stop() }
      // As the root of an ext4 has it.
      mkdir(mount.path + "/lost+found", 0o700)
      try reshard(folder + "/source", mount.path, modelParallel: 2)
      #expect(try listing(mount.path) == ["consolidated.00.pth", "consolidated.01.pth", "lost+found", "params.json"])
      let error = #expect(throws: CheckpointError.self) { try reshard(folder + "/source", mount.path, modelParallel: 1, .init(replacing: true)) }
      #expect(error?.message.contains("root of a file system") == true, "\(error?.description ?? "")")
      #expect(try listing(folder + "/out") == [])
      // Room is asked of the disk that a link leads to.
      // The link's path is looked up outside of the mount's namespace too.
      for name in ["small", "small/out"] { mkdir("\(folder)/\(name)", 0o755) }
      let small = try Mount(on: folder + "/small", megabytes: 1)
      defer { small.stop() }
      mkdir(small.path + "/out", 0o755)
      symlink(small.path + "/out", folder + "/link")
      let full = #expect(throws: CheckpointError.self) { try reshard(folder + "/source", folder + "/link", modelParallel: 1) }
      #expect(full?.message.contains("and the disk has") == true, "\(full?.description ?? "")")
      #expect(try listing(small.path) == ["out"] && listing(small.path + "/out") == [])
    }
  }

  /// A run that is killed while its files take their names, one after the other, leaves some of them: the next run knows them, unless somebody touched them.
  @Test(.needsCompiler) func whatAKillLeftInAFilledFolderIsSwept() throws {
    try withTemporaryFolder { folder in
      try SmallModel.write(to: folder + "/source")
      let whole = ["consolidated.00.pth", "drover-receipt.json", "params.json"]
      func killed(renaming: String, removing: String = "0", in place: String) throws {
        mkdir(place, 0o755)
        let environment = try preload(
          """
          #include <fcntl.h>
          #include <signal.h>
          #include <sys/syscall.h>
          #include <unistd.h>
          static int renames;
          int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
            renames++;
            if (\(renaming)) kill(getpid(), SIGKILL);
            return syscall(SYS_renameat2, a, from, b, to, flags);
          }
          int unlinkat(int a, const char *name, int flags) {
            if (flags == AT_REMOVEDIR && \(removing)) kill(getpid(), SIGKILL);
            return syscall(SYS_unlinkat, a, name, flags);
          }
          """, in: folder)
        let outcome = try run(droverPath, ["reshard", folder + "/source", ".", "--mp", "1", "--quiet"], environment: environment, in: place)
        try #require(outcome.status == 137, "\(outcome)")
      }
      for count in 0..<3 {
        let place = "\(folder)/\(count)"
        try killed(renaming: "renames > \(count)", in: place)
        #expect(try listing(place) == [".\(count).partial-drover"] + whole.filter { $0 != "params.json" }.prefix(count))
        let again = try drover("reshard", folder + "/source", ".", "--mp", "1", "--quiet", in: place)
        #expect(try again.status == 0 && listing(place) == whole, "\(again)")
        #expect(try drover("verify", place).status == 0)
      }
      for (name, change) in [("other", "echo mine > notes"), ("touched", "touch -d 2001-01-01 consolidated.00.pth"), ("replaced", "cp consolidated.00.pth a; mv a consolidated.00.pth")] {
        let place = "\(folder)/\(name)"
        try killed(renaming: "renames > 1", in: place)
        _ = try run("/bin/sh", ["-c", change], in: place)
        let before = try listing(place)
        let again = try drover("reshard", folder + "/source", ".", "--mp", "1", "--quiet", in: place)
        #expect(try again.status == 73 && listing(place) == before, "\(again)")
      }
      // All of them had their names: that is an output, though the work folder is left.
      let place = folder + "/all"
      try killed(renaming: "0", removing: "renames == 3", in: place)
      let again = try drover("reshard", folder + "/source", ".", "--mp", "1", "--quiet", in: place)
      #expect(try again.status == 73 && listing(place).filter { !$0.hasPrefix(".") } == whole, "\(again)")
      #expect(try drover("verify", place).status == 0)
    }
  }

  /// One's own empty folder in a folder where nothing can be made, and the folder that one is in.
  @Test func foldersThatCannotGiveWayAreFilled() throws {
    try withTemporaryFolder { folder in
      try SmallModel.write(to: folder + "/source")
      for name in ["fixed", "fixed/mine", "fixed/full", "here"] { mkdir("\(folder)/\(name)", 0o755) }
      try put(folder + "/fixed/full/consolidated.00.pth")
      chmod(folder + "/fixed", 0o555)
      defer { chmod(folder + "/fixed", 0o755) }
      let filled = try droverWithoutPrivileges("reshard", folder + "/source", folder + "/fixed/mine", "--mp", "1", "--quiet")
      #expect(filled.status == 0, "\(filled.errors)")
      #expect(try listing(folder + "/fixed/mine") == ["consolidated.00.pth", "drover-receipt.json", "params.json"])
      let refused = try droverWithoutPrivileges("reshard", folder + "/source", folder + "/fixed/full", "--mp", "1", "--force", "--quiet")
      #expect(refused.status == 73 && refused.errors.contains("no permission"), "\(refused.errors)")
      #expect(try listing(folder + "/fixed/full") == ["consolidated.00.pth"])
      // Not even the names in the folder around it can be seen.
      try FileManager.default.removeItem(atPath: folder + "/fixed/mine/params.json")
      for name in ["consolidated.00.pth", "drover-receipt.json"] { try FileManager.default.removeItem(atPath: folder + "/fixed/mine/" + name) }
      chmod(folder + "/fixed", 0o111)
      let unseen = try droverWithoutPrivileges("reshard", folder + "/source", folder + "/fixed/mine", "--mp", "1", "--quiet")
      #expect(unseen.status == 0, "\(unseen.errors)")
      // The folder is the same one afterwards.
      let before = try FilePath(folder + "/here").stat().inode
      let here = try drover("reshard", folder + "/source", ".", "--mp", "1", "--quiet", in: folder + "/here")
      #expect(try here.status == 0 && FilePath(folder + "/here").stat().inode == before, "\(here.errors)")
      #expect(try listing(folder + "/here") == ["consolidated.00.pth", "drover-receipt.json", "params.json"])
      let again = try drover("reshard", folder + "/source", ".", "--mp", "1", "--force", "--quiet", in: folder + "/here")
      #expect(again.status == 73 && again.errors.contains("from outside"), "\(again.errors)")
    }
  }

  /// Names are bytes.
  @Test func namesThatAreNotUTF8() throws {
    try withTemporaryFolder { folder in
      try SmallModel.write(to: folder + "/source")
      let name = Array(folder.utf8CString.dropLast()) + [0x2F, 0x6F, -1, 0x74, 0]
      let out = name.withUnsafeBufferPointer { FilePath(platformString: $0.baseAddress.unsafelyUnwrapped) }
      for replacing in [false, true] {
        _ = try ReshardPlan(Checkpoint.open(at: FilePath(folder + "/source")), .init(modelParallel: 1)).write(to: out, .init(replacing: replacing))
        #expect(try out.appending("params.json").stat().type == .regular)
      }
      #expect(try python("import os, sys; print(sorted(os.listdir(os.fsencode(sys.argv[1]))))", folder) == "[b'o\\xfft', b'source']\n")
    }
  }
}

/// The names in a folder, hidden ones too.
func listing(_ folder: String) throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: folder).sorted() }

/// Writes a file that says `mine`, or a folder that holds one.
func put(_ path: String, _ text: String = "mine") throws {
  let file = path.hasSuffix("/") ? path + "file" : path
  try FileManager.default.createDirectory(at: URL(filePath: file).deletingLastPathComponent(), withIntermediateDirectories: true)
  try text.write(toFile: file, atomically: false, encoding: .utf8)
}
