import Checkpoint
import Foundation
import Inference
import SystemPackage
import TestSupport
import Testing

/// A file that is cut short while a model of it is in memory is an error of the library, and no end of the process that uses it.
@Suite(.serialized) struct LostPagesTests {
  private func logits(_ model: Transformer) throws -> [Float] {
    model.forward([Transformer.Row(token: 7, slot: 0, position: 0)])
    var kept: [Float] = []
    try model.withLogits(of: [0]) { _, logits in kept = Array(logits) }
    return kept
  }

  @Test(arguments: [1, 2]) func cutShortIsAnError(threads: Int) throws {
    try withTemporaryFolder { folder in
      try SmallModel.write(to: folder)
      let path = folder + "/model.safetensors"
      let model = try Transformer(Checkpoint.open(at: FilePath(folder)), maxBatchSize: 1, maxSequenceLength: 8, threads: threads)
      let before = try logits(model)
      let other = try Transformer(Checkpoint.open(at: FilePath(Peer.packageRoot + "/Sources/CDemoModel/model")), maxBatchSize: 1, maxSequenceLength: 8)
      let size = try #require(FileManager.default.attributesOfItem(atPath: path)[.size] as? Int)
      truncate(path, 40_000)
      for _ in 0..<2 {
        let error = #expect(throws: CheckpointError.self) { _ = try logits(model) }
        #expect(error?.reason == .corrupt && error?.file == FilePath(path), "\(error?.description ?? "")")
        // What was lost begins with the first page behind the file's new end.
        #expect((40_960..<size).contains(error?.byte ?? 0), "\(error?.description ?? "")")
        #expect(error?.message.contains("had \(size) bytes when it was opened, and has 40000 now") == true)
      }
      // Other files, and the same one when it is whole again and opened afresh, are none the worse.
      _ = try logits(other)
      try SmallModel.write(to: folder)
      #expect(try logits(Transformer(Checkpoint.open(at: FilePath(folder)), maxBatchSize: 1, maxSequenceLength: 8, threads: threads)) == before)
    }
  }

  /// The guard by itself, among handlers of SIGBUS that others have, one program a case: it prints and returns as the last column says.
  static let programs: [(name: String, body: String, status: Int32, says: String)] = [
    ("a watched page reads as zero", "char *m = map(); mapguard_range *r = mapguard_watch(m, SIZE); cut(); say(m[5 * PAGE + 7]); say((int)mapguard_lost(r));", 0, "0 20487 "),
    ("the first lost byte counts", "char *m = map(); mapguard_range *r = mapguard_watch(m, SIZE); cut(); say(m[9 * PAGE] + m[5 * PAGE + 1] + m[7 * PAGE]); say((int)mapguard_lost(r));", 0, "0 20481 "),
    ("what is there is there", "char *m = map(); mapguard_range *r = mapguard_watch(m, SIZE); cut(); say(m[PAGE - 1]); say((int)mapguard_lost(r));", 0, "120 -1 "),
    ("another's page goes to another's handler", "others(0); char *m = map(); mapguard_watch(map(), SIZE); cut(); if (!sigsetjmp(back, 1)) say(m[5 * PAGE]); else say(99);", 0, "99 "),
    ("and to one without details", "plain(); char *m = map(); mapguard_watch(map(), SIZE); cut(); if (!sigsetjmp(back, 1)) say(m[5 * PAGE]); else say(98);", 0, "98 "),
    ("a handler of later hands on", "char *m = map(); mapguard_watch(m, SIZE); others(1); cut(); say(m[5 * PAGE]);", 0, "1 0 "),
    ("nobody else's page ends the program", "char *m = map(); mapguard_watch(map(), SIZE); cut(); say(m[5 * PAGE]);", 135, ""),
    ("a page no more watched does", "char *m = map(); mapguard_unwatch(mapguard_watch(m, SIZE)); cut(); say(m[5 * PAGE]);", 135, ""),
    ("a signal that was sent ends the program", "mapguard_watch(map(), SIZE); kill(getpid(), SIGBUS); say(1);", 135, ""),
    ("unless it is ignored", "signal(SIGBUS, SIG_IGN); mapguard_watch(map(), SIZE); kill(getpid(), SIGBUS); say(1);", 0, "1 "),
    ("many ranges, used again", "for (int i = 0; i < 3000; i++) mapguard_unwatch(mapguard_watch(map(), SIZE)); char *m = map(); mapguard_range *r = mapguard_watch(m, SIZE); cut(); say(m[5 * PAGE]); say(mapguard_lost(r) == 5 * PAGE);", 0, "0 1 "),
    ("in many threads", "shared = map(); mapguard_range *r = mapguard_watch(shared, SIZE); cut(); pthread_t t[8]; for (long i = 0; i < 8; i++) pthread_create(&t[i], 0, reads, (void *)i); for (int i = 0; i < 8; i++) pthread_join(t[i], 0); say(mapguard_lost(r) == 5 * PAGE);", 0, "1 "),
  ]

  @Test(.needsCompiler, arguments: programs) func guardAmongOthers(_ program: (name: String, body: String, status: Int32, says: String)) throws {
    try withTemporaryFolder { folder in
      let source = """
        #include "CMapGuard.h"
        #include <fcntl.h>
        #include <pthread.h>
        #include <setjmp.h>
        #include <signal.h>
        #include <stdio.h>
        #include <sys/mman.h>
        #include <unistd.h>
        #define PAGE 4096
        #define SIZE (10 * PAGE)
        static sigjmp_buf back;
        static struct sigaction before;
        static char *volatile shared;
        static void say(int n) { printf("%d ", n); fflush(stdout); }
        static char *map(void) {
          int f = open("file", O_RDWR);
          char *m = mmap(0, SIZE, PROT_READ, MAP_PRIVATE, f, 0);
          close(f);
          return m;
        }
        static void cut(void) { if (truncate("file", 5 * PAGE)) _exit(1); }
        static void jump(int s) { (void)s; siglongjmp(back, 1); }
        static void jumpDetailed(int s, siginfo_t *i, void *c) { (void)s; (void)i; (void)c; siglongjmp(back, 1); }
        static void handOn(int s, siginfo_t *i, void *c) { say(1); before.sa_sigaction(s, i, c); }
        static void others(int handsOn) {
          struct sigaction a = {.sa_sigaction = handsOn ? handOn : jumpDetailed, .sa_flags = SA_SIGINFO};
          sigaction(SIGBUS, &a, &before);
        }
        static void plain(void) { signal(SIGBUS, jump); }
        static void *reads(void *n) { for (long i = 9; i >= 0; i--) (void)*(volatile char *)(shared + (i + (long)n) % 10 * PAGE); return 0; }
        int main(void) {
          (void)others; (void)plain; (void)reads; (void)back;
          int f = open("file", O_RDWR | O_CREAT, 0600);
          for (int i = 0; i < SIZE; i++) if (write(f, "x", 1) != 1) return 1;
          close(f);
          \(program.body)
          return 0;
        }
        """
      let sources = Peer.packageRoot + "/Sources/CMapGuard"
      let compiled = try run("/usr/bin/cc", ["-std=gnu17", "-pthread", "-I", sources + "/include", "-o", folder + "/program", sources + "/mapguard.c", "-x", "c", "-"], input: source)
      try #require(compiled.status == 0, "\(compiled.errors)")
      let outcome = try run(folder + "/program", [], in: folder)
      #expect(outcome.status == program.status && outcome.output == program.says, "\(program.name): \(outcome)")
    }
  }
}
