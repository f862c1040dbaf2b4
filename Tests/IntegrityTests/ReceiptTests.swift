import Foundation
import Integrity
import SystemPackage
import TestSupport
import Testing

@Suite struct ReceiptTests {
  private static let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

  private func receipt(files: [Receipt.File], options: [String: String] = ["mp": "1"], origin: Receipt.Origin = .release("llama-2-7b")) -> Receipt {
    Receipt(tool: "drover 1.0", operation: "reshard", origin: origin, options: options, files: files)
  }

  private func write(_ text: String, _ path: String) throws { try Data(text.utf8).write(to: URL(filePath: path)) }

  /// What is written is what is read, and what any JSON reader finds.
  @Test func survivesItsFile() throws {
    let fingerprint = CheckpointFingerprint(tensors: ["norm.weight": SHA256.hash([1]), "output.weight": SHA256.hash([2])])
    var original = receipt(files: [.init(path: "a/b.pth", bytes: 7, md5: ChainedDigest(of: [], .md5), sha256: ChainedDigest(of: [], .sha256))], origin: .checkpoint(at: "/secret/place/model/"))
    original.fingerprint = fingerprint
    try withTemporaryFolder { folder in
      try original.write(into: FilePath(folder))
      #expect(try! Receipt(contentsOf: FilePath(folder + "/drover-receipt.json")) == original)
      let text = try String(contentsOfFile: folder + "/drover-receipt.json", encoding: .utf8)
      #expect(!text.contains("secret") && !text.contains("place"))
      let json = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
      #expect((json["source"] as? [String: String]) == ["checkpoint": "model"])
      #expect(((json["files"] as? [[String: Any]])?.first?["sha256"] as? String) == Self.empty)
      #expect(((json["fingerprint"] as? [String: Any])?["checkpoint"] as? String) == fingerprint.whole.hex)
      #expect(try! FileManager.default.contentsOfDirectory(atPath: folder) == ["drover-receipt.json"])
    }
  }

  /// A source is called by its own name, however it was pointed at.
  @Test(arguments: [[".", "../out"], ["../model", "../out"], ["sub/..", "../out"], ["consolidated.00.pth", "../out"], ["../model/sub/../.", "../out"]])
  func namesItsSource(arguments: [String]) throws {
    try withTemporaryFolder { folder in
      try FileManager.default.copyItem(atPath: Peer.packageRoot + "/Sources/CDemoModel/model", toPath: folder + "/model")
      try FileManager.default.createDirectory(atPath: folder + "/model/sub", withIntermediateDirectories: false)
      let outcome = try run(droverPath, ["reshard"] + arguments + ["--mp", "1", "--quiet"], in: folder + "/model")
      try #require(outcome.status == 0, "\(outcome.errors)")
      #expect(try Receipt(contentsOf: FilePath(folder + "/out/drover-receipt.json")).origin == .checkpoint("model"))
    }
  }

  @Test(arguments: [["url": "https://download.example/*?Signature=x"], ["output": "/home/someone/models"]])
  func keepsSecrets(options: [String: String]) {
    #expect(throws: ReceiptError.self) { try receipt(files: [.init(path: "a", bytes: 0, md5: ChainedDigest(of: [], .md5))], options: options).encoded() }
  }

  /// A folder is held against its receipt: size, digest, what is missing, what nobody speaks of.
  @Test func verifies() throws {
    try withTemporaryFolder { folder in
      func add(_ name: String, _ text: String, _ claimed: String? = nil, bytes: Int? = nil) throws -> Receipt.File {
        try write(text, "\(folder)/\(name)")
        let claimed = Array((claimed ?? text).utf8)
        return Receipt.File(path: FilePath(name), bytes: bytes ?? claimed.count, md5: ChainedDigest(of: claimed, .md5), sha256: ChainedDigest(of: claimed, .sha256))
      }
      var files = [try add("good", "good"), try add("bad", "bad", "bap"), try add("longer", "same", bytes: 9)]
      files.append(.init(path: "absent", bytes: 1, md5: ChainedDigest(of: [1], .md5)))
      try write("nobody's", folder + "/extra")
      try receipt(files: files).write(into: FilePath(folder))
      for path in [folder, folder + "/drover-receipt.json"] {
        let verification = Verification(of: [FilePath(path)])
        let findings = verification.run().findings
        #expect(findings.map(\.status) == [.ok, .mismatch, .mismatch, .missing])
        #expect(findings.map(\.algorithm) == [.sha256, .sha256, .sha256, .md5])
        #expect(verification.unlisted.map { $0.lastComponent?.string } == (path == folder ? ["extra"] : []))
      }
      let outcome = try drover("verify", folder)
      #expect(outcome.status == 65)
      #expect(outcome.output.contains("bad") && outcome.output.contains("absent"))
    }
  }
}
