import Arrival
import Catalog
import Checkpoint
import Foundation
import Integrity
import Synchronization
import SystemPackage
import TestSupport
import Testing

/// Receipts of downloads whose bytes couldn't be followed.
@Suite(.needs(.python)) struct ReceiptWritingTests {
  /// Stopped at any time there is no receipt, and what is read is what was announced.
  @Test(arguments: [0, 1, 5]) func stops(after questions: Int) throws {
    try withTemporaryFolder { folder in
      let expected = try #require(try ReferenceModel.write(to: folder)["keep"])
      let model = folder + "/mp2"
      let names = ["params.json", "consolidated.00.pth", "consolidated.01.pth"]
      let sums = try run("/usr/bin/md5sum", names, in: model).output.split(separator: "\n").compactMap { Digest(hex: $0.prefix(32)) }
      let files = try zip(names, sums).map { name, md5 in
        Receipt.File(path: FilePath(name), bytes: try #require(try FileManager.default.attributesOfItem(atPath: model + "/" + name)[.size] as? Int), md5: ChainedDigest(md5))
      }
      let list = names.map { #"{"path": "mp2/\#($0)"}"# }.joined(separator: ",")
      let release = try JSONDecoder().decode(Release.self, from: Data(#"{"id": "r", "files": [\#(list)]}"#.utf8))
      let receipt = DownloadReceipt(
        name: "r", folder: FilePath(model), receipt: Receipt(tool: "t", operation: "download", origin: .release("r"), files: files), follower: ReleaseFollower(release),
        followed: [:])
      let asked = Atomic(0)
      #expect(throws: ArrivalError.receiptsInterrupted) {
        try receipt.write(progress: { _, _ in }, isCancelled: { asked.add(1, ordering: .relaxed).oldValue >= questions })
      }
      #expect(!FileManager.default.fileExists(atPath: model + "/drover-receipt.json"))

      let most = Mutex((done: 0, total: 0))
      let outcome = try receipt.write(progress: { done, total in most.withLock { $0 = (max($0.done, done), total) } }, isCancelled: { false })
      let (done, total) = most.withLock { $0 }
      #expect(outcome == .written(bytesRead: total) && done == total && total > 0)
      #expect(try Receipt(contentsOf: FilePath(model + "/drover-receipt.json")).fingerprint?.whole.hex == expected.checkpoint)
      #expect(try receipt.write(progress: { _, _ in }, isCancelled: { false }) == .present)
    }
  }
}
