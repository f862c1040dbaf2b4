import Foundation
import TestSupport
import Testing

/// Some file systems behind FUSE refuse maps that are shared, and allow private ones: every command works there.
@Test(arguments: [["inspect"], ["verify"], ["fingerprint"], ["reshard", "--mp", "1"], ["complete", "--prompt", "Once", "--max-gen-len", "4", "--temperature", "0"]])
func sharedMapsMayBeRefused(_ command: [String]) throws {
  try withTemporaryFolder { folder in
    let environment = try preload(
      """
      #include <errno.h>
      #include <sys/mman.h>
      #include <sys/syscall.h>
      #include <unistd.h>
      void *mmap(void *at, size_t count, int protection, int flags, int file, off_t offset) {
        if (file >= 0 && (flags & MAP_TYPE) != MAP_PRIVATE) { errno = ENODEV; return MAP_FAILED; }
        return (void *)syscall(SYS_mmap, at, count, protection, flags, file, offset);
      }
      void *mmap64(void *at, size_t count, int protection, int flags, int file, off_t offset) { return mmap(at, count, protection, flags, file, offset); }
      """, in: folder)
    let model = Peer.packageRoot + "/Sources/CDemoModel/model"
    let output = command[0] == "reshard" ? [folder + "/out"] : []
    let outcome = try run(droverPath, [command[0], model] + output + command.dropFirst(), environment: environment)
    #expect(outcome.status == 0, "\(outcome.errors)")
  }
}
