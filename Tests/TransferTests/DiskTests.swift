import Foundation
import Glibc
import Synchronization
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
      let content = [UInt8](try Data(contentsOf: URL(filePath: stage.root + "/m/consolidated.00.pth")))
      // It sends 4 MB a second, and nothing while something is done to the disk.
      let isHeld = Mutex(false)
      let slow = try FaultServer { request in
        guard request.path.hasSuffix(".pth") || request.path.hasSuffix(".bin"), let range = request.range?.clamped(to: 0..<size) else {
          return FaultServer.good(request, FileManager.default.contents(atPath: stage.root + "/" + request.path).map { [UInt8]($0) })
        }
        let head = FaultServer.partHead(range.lowerBound, range.count, of: size, tag: "ETag: \"one\"\r\n")
        return [.send(head)] + stride(from: range.lowerBound, to: range.upperBound, by: 100_000).flatMap { start -> [FaultServer.Step] in
          [.hold { isHeld.withLock { $0 } }, .wait(0.025), .send(Array(content[start..<min(start + 100_000, range.upperBound)]))]
        }
      }
      defer { slow.stop() }
      func whileNothingComes<R>(_ body: () throws -> R) rethrows -> R {
        isHeld.withLock { $0 = true }
        defer { isHeld.withLock { $0 = false } }
        return try body()
      }
      try FileManager.default.createDirectory(atPath: stage.output, withIntermediateDirectories: true)
      let disk = try Mount(on: stage.output, megabytes: 64)
      defer { disk.stop() }
      let part = disk.path + "/m/consolidated.00.pth.part"
      let journal = part + ".journal"
      let drover = try stage.start(slow.port, ["--connections", "1", "--output", disk.path])
      // Room was promised when more is safe than what told the file's length.
      #expect(waitUntil { (Journaled(journal)?.bytes ?? 0) > 300_000 })
      // A small file is in memory until it has its name.
      #expect(waitUntil { FileManager.default.fileExists(atPath: disk.path + "/m/params.json") })
      let half = size / 2
      if how == .inMidFile {
        let before = try whileNothingComes {
          // The last megabyte, a zip's directory, is here before the rest.
          _ = try run("/usr/bin/fallocate", ["--punch-hole", "--offset", "\(half)", "--length", "\(size - half - 2_000_000)", part])
          return try #require(Journaled(journal)).bytes
        }
        // Until it journals again, that was another's touch, and what no hash has seen is in doubt.
        #expect(waitUntil { (Journaled(journal)?.bytes ?? 0) > before })
      }
      let before = try whileNothingComes {
        if how == .inMidFile { try #require(Journaled(journal).map { $0.bytes < half } == true, "more has come than this test expects") }
        try fill(disk.path)
        return FileManager.default.contents(atPath: journal)
      }
      var safe = 0
      if how == .forJournals {
        usleep(700_000)
        drover.signal(SIGKILL)
        drover.wait()
        #expect(FileManager.default.contents(atPath: journal) == before)
      } else {
        #expect(drover.wait() == 73)
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
        #expect(bytesSent(fast) == size - safe, "\(bytesSent(fast)) of \(size - safe) \(outcome.errors)")
      }
    }
  }

  /// A file system that reports no blocks isn't full; and where no room can be promised to a file, so that it grows, a kill costs no more than elsewhere.
  @Test(.needs(.nginx), .needsMounts) func aFileSystemThatSaysNothingOfItself() throws {
    try withTemporaryFolder { folder in
      let stage = try ResumeTests.Stage(folder, megabytes: 40)
      let slow = try Nginx(root: stage.root, directives: "limit_rate 4m;")
      defer { slow.stop() }
      try FileManager.default.createDirectory(atPath: stage.output, withIntermediateDirectories: true)
      let disk = try Mount(ramfsOn: stage.output)
      defer { disk.stop() }
      let journal = disk.path + "/m/consolidated.00.pth.part.journal"
      let drover = try stage.start(slow.port, ["--connections", "3", "--output", disk.path])
      #expect(waitUntil { (Journaled(journal)?.ranges.count ?? 0) > 1 && (Journaled(journal)?.bytes ?? 0) > 12_000_000 || !drover.isRunning })
      drover.signal(SIGKILL)
      drover.wait()
      let safe = try #require(Journaled(journal)).bytes
      let fast = try Nginx(root: stage.root)
      defer { fast.stop() }
      let outcome = try download(stage, fast, to: disk.path)
      #expect(outcome.status == 0 && outcome.output.contains("\"resumed\"") && !outcome.errors.contains("touched"), "\(outcome.errors)")
      #expect(bytesSent(fast) == stage.megabytes * 1_000_000 + 17 - safe, "\(bytesSent(fast)), \(safe) were safe")
      #expect(try run("/usr/bin/md5sum", ["-c", "--quiet", "checklist.chk"], in: disk.path + "/m").status == 0)
    }
  }

  /// What a file system, or a limit, takes no file of is said before it is fetched, with advice that helps.
  @Test(.needs(.nginx)) func aFileThatIsTooLargeIsSaidSo() throws {
    try withTemporaryFolder { folder in
      let stage = try ResumeTests.Stage(folder, megabytes: 40)
      let nginx = try Nginx(root: stage.root, directives: "limit_rate 2m;")
      defer { nginx.stop() }
      let outcome = try run(
        "/usr/bin/prlimit", ["--fsize=30000000", droverPath, "download", "--manifest", stage.manifest, "--output", stage.output, "--yes"],
        environment: ["DROVER_URL": "http://127.0.0.1:\(nginx.port)/*"])
      #expect(outcome.status == 73 && outcome.errors.contains("ulimit -f") && !outcome.errors.contains("run the same command again"), "\(outcome.errors)")
      #expect(bytesSent(nginx) < 30_000_000)
    }
  }

  /// Where threads would find no address space a download says so; it neither waits without an end nor is killed.
  @Test(.needs(.nginx), arguments: [120_000, 180_000, 500_000]) func littleAddressSpace(kilobytes: Int) throws {
    try withTemporaryFolder { folder in
      let stage = try ResumeTests.Stage(folder, megabytes: 20)
      let nginx = try Nginx(root: stage.root)
      defer { nginx.stop() }
      let outcome = try run(
        "/bin/bash", ["-c", "ulimit -v \(kilobytes); exec timeout 60 \"$@\"", "bash", droverPath, "download", "--manifest", stage.manifest, "--output", stage.output, "--yes", "--retries", "1"],
        environment: ["DROVER_URL": "http://127.0.0.1:\(nginx.port)/*"])
      #expect(outcome.status == 1 && outcome.errors.contains("ulimit -v"), "\(outcome.status) \(outcome.errors)")
    }
  }

  /// Calls that fail in ways that a kernel or a file system of this machine doesn't.
  enum Odd: String, CaseIterable {
    /// No error, and nothing written.
    case writesNothing
    /// Between opening and locking, another drover finishes the file.
    case isFinishedMeanwhile
  }

  /// Says which file a descriptor is of.
  private static let openPaths = """
    #include <dlfcn.h>
    #include <stdio.h>
    #include <string.h>
    #include <unistd.h>
    static const char *path_of(int fd) {
      static __thread char path[4096]; char link[64]; snprintf(link, 64, "/proc/self/fd/%d", fd);
      ssize_t n = readlink(link, path, 4095); path[n < 0 ? 0 : n] = 0; return path;
    }
    static int ends(const char *text, const char *end) { size_t a = strlen(text), b = strlen(end); return a >= b && !strcmp(text + a - b, end); }

    """

  @Test(.needs(.nginx), .needsCompiler, arguments: Odd.allCases) func oddCalls(odd: Odd) throws {
    try withTemporaryFolder { folder in
      let stage = try ResumeTests.Stage(folder, megabytes: 4)
      let nginx = try Nginx(root: stage.root)
      defer { nginx.stop() }
      let code = switch odd {
      case .writesNothing:
        """
        ssize_t pwrite64(int fd, const void *p, size_t n, off64_t o) {
          if (o > 1000000 && ends(path_of(fd), ".part")) return 0;
          return ((ssize_t (*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64"))(fd, p, n, o);
        }
        ssize_t pwrite(int fd, const void *p, size_t n, off_t o) { return pwrite64(fd, p, n, o); }
        """
      case .isFinishedMeanwhile:
        """
        int flock(int fd, int how) {
          static int done; char part[4096], final[4096]; snprintf(part, 4096, "%s", path_of(fd)); snprintf(final, 4096, "%s.finished", part);
          if (!done && ends(part, "consolidated.00.pth.part")) { done = 1; rename(part, final); }
          return ((int (*)(int, int))dlsym(RTLD_NEXT, "flock"))(fd, how);
        }
        """
      }
      let environment = try preload(Self.openPaths + code, in: folder).merging(["DROVER_URL": "http://127.0.0.1:\(nginx.port)/*"]) { $1 }
      let outcome = try run(droverPath, ["download", "--manifest", stage.manifest, "--output", stage.output, "--yes"], environment: environment)
      switch odd {
      case .writesNothing: #expect(outcome.status == 73 && outcome.errors.contains("Input/output error"), "\(outcome.errors)")
      case .isFinishedMeanwhile:
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(try stage.isRight())
        #expect(try Data(contentsOf: URL(filePath: stage.part + ".finished")).isEmpty)
      }
    }
  }

  /// A journal that couldn't be written is written when it can be, though nothing more arrives.
  @Test(.needsMounts) func aJournalIsTriedAgain() throws {
    try withTemporaryFolder { folder in
      let content = [UInt8](repeating: 7, count: 12_000_000)
      let server = try FaultServer { request in
        guard let range = request.range?.clamped(to: 0..<content.count), request.turn > 0 else { return FaultServer.good(request, content) }
        let head = FaultServer.partHead(range.lowerBound, range.count, of: content.count, tag: "ETag: \"one\"\r\n")
        return [.send(head + content[range].prefix(2_000_000)), .wait(4), .send(Array(content[range].dropFirst(2_000_000).prefix(2_000_000))), .wait(60)]
      }
      defer { server.stop() }
      try #"{"id":"m","files":[{"path":"m/a.bin"}]}"#.write(toFile: folder + "/m.json", atomically: true, encoding: .utf8)
      try FileManager.default.createDirectory(atPath: folder + "/out", withIntermediateDirectories: true)
      let disk = try Mount(on: folder + "/out", megabytes: 32)
      defer { disk.stop() }
      let journal = disk.path + "/m/a.bin.part.journal"
      let process = try Child(
        droverPath, ["download", "--manifest", folder + "/m.json", "--output", disk.path, "--yes", "--connections", "1", "--quiet"],
        environment: ["DROVER_URL": "http://127.0.0.1:\(server.port)/*"])
      defer {
        process.signal(SIGTERM)
        process.wait()
      }
      #expect(waitUntil { (Journaled(journal)?.bytes ?? 0) > 2_000_000 })
      try fill(disk.path)
      let before = try #require(Journaled(journal)).bytes
      // Meanwhile the server sends on, and there is no room for a journal of it.
      usleep(6_000_000)
      #expect(Journaled(journal)?.bytes == before)
      try FileManager.default.removeItem(atPath: disk.path + "/fill")
      #expect(waitUntil { (Journaled(journal)?.bytes ?? 0) > before + 1_500_000 })
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
