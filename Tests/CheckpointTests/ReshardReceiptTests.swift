import Checkpoint
import Foundation
import Integrity
import Synchronization
import SystemPackage
import TestSupport
import Testing

@Suite(.needs(.python)) struct ReceiptCompletionTests {
  /// Stopped at any time there is no receipt, and what was read is what was announced.
  @Test(arguments: [0, 1, 5, 9]) func stops(after questions: Int) throws {
    try withTemporaryFolder { folder in
      try PythonModels.write(.init(), to: folder, modelParallel: 2)
      let names = ["params.json", "consolidated.00.pth", "consolidated.01.pth"]
      let sums = try run("/usr/bin/md5sum", names, in: folder).output.split(separator: "\n").compactMap { Digest(hex: $0.prefix(32)) }
      let files = try zip(names, sums).map { name, md5 in
        Receipt.File(path: FilePath(name), bytes: try #require(try FileManager.default.attributesOfItem(atPath: folder + "/" + name)[.size] as? Int), md5: ChainedDigest(md5))
      }
      let receipt = Receipt(tool: "t", operation: "download", origin: .release("r"), files: files)
      let asked = Atomic(0)
      let error = #expect(throws: CheckpointError.self) {
        try receipt.complete(in: FilePath(folder), isCancelled: { asked.add(1, ordering: .relaxed).oldValue >= questions })
      }
      #expect(error?.reason == .cancelled)
      #expect(!FileManager.default.fileExists(atPath: folder + "/drover-receipt.json"))

      let total = Mutex(0)
      let read = Atomic(0)
      let completion = try receipt.complete(
        in: FilePath(folder), willRead: { bytes in total.withLock { $0 = bytes } }, progress: { _ = read.add($0, ordering: .relaxed) })
      #expect(completion == .written)
      #expect(total.withLock { $0 } == read.load(ordering: .relaxed) && read.load(ordering: .relaxed) > 0)
      #expect(try receipt.complete(in: FilePath(folder)) == .present)
    }
  }
}
