import Foundation
import Glibc
import TestSupport
import Testing

/// Many small files: they get their names together, and each only once its bytes are safe.
@Suite(.serialized) struct SmallFilesTests {
  private static let names = (0..<150).map { "f/\($0 % 2)/\($0).txt" }

  /// A server's folder, and the manifest of it; a third of the files have no digest.
  private func fill(_ folder: String) throws {
    let list = try withTemporaryFolder { _ in
      for (index, name) in Self.names.enumerated() {
        let file = URL(filePath: folder + "/root/" + name)
        try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data((0..<1000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ index &* 7 &+ $0 / 256 &* index) }).write(to: file)
      }
      return try run("/usr/bin/sha256sum", Self.names, in: folder + "/root").output
    }
    let entries = list.split(separator: "\n").enumerated().map { index, line in
      let digest = index % 3 == 0 ? "" : #", "sha256": "\#(line.prefix(64))""#
      return #"{"path": "\#(line.dropFirst(66))"\#(digest)}"#
    }
    try #"{"id": "small", "files": [\#(entries.joined(separator: ","))]}"#.write(toFile: folder + "/m.json", atomically: true, encoding: .utf8)
  }

  private func arguments(_ folder: String) -> [String] { ["download", "--manifest", folder + "/m.json", "--output", folder + "/out", "--yes", "--json", "--retries", "1"] }

  private func same(_ folder: String, _ name: String) -> Bool {
    FileManager.default.contents(atPath: folder + "/out/" + name) == FileManager.default.contents(atPath: folder + "/root/" + name)
  }

  /// The order of calls, as the C library sees them: after the last write to a file a sync comes that reaches it, and only then its name.
  @Test(.needsCompiler) func aNameComesAfterItsBytesAreSafe() throws {
    try withTemporaryFolder { folder in
      try fill(folder)
      let nginx = try Nginx(root: folder + "/root")
      defer { nginx.stop() }
      var environment = try preload(
        """
        #include <dlfcn.h>
        #include <fcntl.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <unistd.h>
        #include <sys/syscall.h>
        static void note(const char *what, const char *name) {
          char line[5000];
          int count = snprintf(line, sizeof line, "%s %s\\n", what, name);
          int log = open(getenv("ORDER_LOG"), O_WRONLY | O_APPEND | O_CREAT, 0644);
          syscall(SYS_write, log, line, count);
          close(log);
        }
        static void of(const char *what, int descriptor) {
          char link[64], name[4096];
          snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
          ssize_t count = readlink(link, name, sizeof name - 1);
          if (count < 0) return;
          name[count] = 0;
          note(what, name);
        }
        ssize_t pwrite(int f, const void *b, size_t n, off_t o) { of("write", f); return syscall(SYS_pwrite64, f, b, n, o); }
        ssize_t pwrite64(int f, const void *b, size_t n, off_t o) { return pwrite(f, b, n, o); }
        int fsync(int f) { int r = syscall(SYS_fsync, f); of("sync", f); return r; }
        int fdatasync(int f) { int r = syscall(SYS_fdatasync, f); of("sync", f); return r; }
        int syncfs(int f) { int r = syscall(SYS_syncfs, f); note("syncfs", ""); return r; }
        int rename(const char *a, const char *b) { note("rename", a); return syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 0); }
        """, in: folder)
      environment["ORDER_LOG"] = folder + "/order"
      environment["DROVER_URL"] = "http://127.0.0.1:\(nginx.port)/*"
      let outcome = try run(droverPath, arguments(folder), environment: environment)
      #expect(outcome.status == 0, "\(outcome.errors)")
      #expect(Self.names.allSatisfy { same(folder, $0) })
      var (unsafe, written, syncs, renamed): (Set<Substring>, Set<Substring>, Int, Int) = ([], [], 0, 0)
      for line in try String(contentsOfFile: folder + "/order", encoding: .utf8).split(separator: "\n") {
        let parts = line.split(separator: " ", maxSplits: 1)
        let name = parts.count > 1 ? parts[1] : ""
        switch parts[0] {
        case "write":
          unsafe.insert(name)
          written.insert(name)
        case "sync":
          unsafe.remove(name)
          syncs += 1
        case "syncfs":
          unsafe = []
          syncs += 1
        case "rename" where name.hasSuffix(".txt.part"):
          renamed += 1
          #expect(written.contains(name) && !unsafe.contains(name), "\(name) got its name too early")
        default: break
        }
      }
      #expect(renamed == Self.names.count && syncs < Self.names.count / 2, "\(renamed) renamed with \(syncs) syncs")
    }
  }

  /// Killed at any moment: what has its name is right, and the next run ends with all files and nothing else.
  @Test(arguments: [200, 700, 1500, 3000]) func killedInTheMiddle(milliseconds: UInt32) throws {
    try withTemporaryFolder { folder in
      try fill(folder)
      let nginx = try Nginx(root: folder + "/root")
      defer { nginx.stop() }
      let process = try Child(droverPath, arguments(folder), environment: ["DROVER_URL": "http://127.0.0.1:\(nginx.port)/*"])
      usleep(milliseconds * 1000)
      process.signal(SIGKILL)
      process.wait()
      let here = Self.names.filter { FileManager.default.fileExists(atPath: folder + "/out/" + $0) }
      #expect(here.allSatisfy { same(folder, $0) })
      let outcome = try run(droverPath, arguments(folder), environment: ["DROVER_URL": "http://127.0.0.1:\(nginx.port)/*"])
      #expect(outcome.status == 0, "\(outcome.errors)")
      #expect(Self.names.allSatisfy { same(folder, $0) })
      let left = try FileManager.default.subpathsOfDirectory(atPath: folder + "/out").filter { !$0.hasSuffix(".txt") && $0.contains(".") }
      #expect(left.count == 1 && left[0].hasSuffix("drover-receipt.json"), "\(left)")
    }
  }
}
