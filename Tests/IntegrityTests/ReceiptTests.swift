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
    var original = receipt(files: [.init(path: "a/b.pth", bytes: 7, md5: MD5.hash([]), sha256: SHA256.hash([]))], origin: .checkpoint(at: "/secret/place/model/"))
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
    #expect(throws: ReceiptError.self) { try receipt(files: [.init(path: "a", bytes: 0, md5: MD5.hash([]))], options: options).encoded() }
  }

  /// A folder is held against its receipt: size, digest, what is missing, what nobody speaks of.
  @Test func verifies() throws {
    try withTemporaryFolder { folder in
      func add(_ name: String, _ text: String, _ claimed: String? = nil, bytes: Int? = nil) throws -> Receipt.File {
        try write(text, "\(folder)/\(name)")
        let claimed = Array((claimed ?? text).utf8)
        return Receipt.File(path: FilePath(name), bytes: bytes ?? claimed.count, md5: MD5.hash(claimed), sha256: SHA256.hash(claimed))
      }
      var files = [try add("good", "good"), try add("bad", "bad", "bap"), try add("longer", "same", bytes: 9)]
      files.append(.init(path: "absent", bytes: 1, md5: MD5.hash([1])))
      try write("nobody's", folder + "/extra")
      try receipt(files: files).write(into: FilePath(folder))
      for path in [folder, folder + "/drover-receipt.json"] {
        let verification = try Verification(of: [FilePath(path)])
        let findings = verification.run()
        #expect(findings.map(\.status) == [.ok, .mismatch, .mismatch, .missing])
        #expect(findings.map(\.claim.digest.algorithm) == [.sha256, .sha256, .sha256, .md5])
        #expect(verification.unlisted.map { $0.lastComponent?.string } == (path == folder ? ["extra"] : []))
      }
      let outcome = try drover("verify", folder)
      #expect(outcome.status == 65)
      #expect(outcome.output.contains("bad") && outcome.output.contains("absent"))
    }
  }

  /// Receipts that must not be believed, and a word of the message.
  @Test(arguments: [
    ("", "isn't JSON"), ("<html>", "isn't JSON"), ("[]", "wrong kind"), ("{}", "receipt is missing"),
    (#""receipt": 1"# + " -> " + #""receipt": 2"#, "version 2"),
    (#""path": "a""# + " -> " + #""path": "../a""#, "leads out"),
    (#""path": "a""# + " -> " + #""path": "/etc/passwd""#, "leads out"),
    (#""path": "a""# + " -> " + #""path": """#, "no file's name"),
    (#""path": "b""# + " -> " + #""path": "./a""#, "twice"),
    (#""bytes": 3"# + " -> " + #""bytes": -3"#, "-3 bytes"),
    (#""bytes": 3"# + " -> " + #""bytes": 1e99"#, "files.0.bytes"),
    (#""bytes": 3"# + " -> " + #""bytes": 1.5"#, "files.0.bytes"),
    (#""bytes": 0"# + " -> " + #""bytes": 18446744073709551616"#, "files.1.bytes"),
    (#""receipt": 1"# + " -> " + #""receipt": 1.5"#, "receipt makes no sense"),
    ("2026-11-23T08" + " -> " + "2026-11-23 at 8", "created makes no sense"),
    (#""bytes": 3"# + " -> " + #""bytes": "3""#, "files.0.bytes"),
    (#""md5": "9"# + " -> " + #""md5": "z9"#, "files.0.md5"),
    (#""sha256": "# + " -> " + #""sha512": "#, "neither"),
    (#""release": "r""# + " -> " + #""else": "r""#, "source"),
  ])
  func refuses(change: String, words: String) throws {
    var text = """
      {"receipt": 1, "tool": "t", "created": "2026-11-23T08:00:00Z", "operation": "download", "source": {"release": "r"}, "options": {}, "files": [
      {"path": "a", "bytes": 3, "md5": "900150983cd24fb0d6963f7d28e17f72"}, {"path": "b", "bytes": 0, "sha256": "\(Self.empty)"}]}
      """
    _ = try Receipt(parsing: Array(text.utf8), path: "r")
    let sides = change.components(separatedBy: " -> ")
    text = sides.count == 2 ? text.replacingOccurrences(of: sides[0], with: sides[1]) : change
    let error = #expect(throws: ReceiptError.self) { try Receipt(parsing: Array(text.utf8), path: "r") }
    #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
  }
}

/// Checklists and receipts that were damaged at random: read, or refused, and never anything outside of the folder.
@Suite struct MutationTests {
  private static let receipt = """
    {"receipt": 1, "tool": "t", "created": "2026-11-23T08:00:00Z", "operation": "download", "source": {"release": "r"}, "options": {"mp": "2"},
    "files": [{"path": "a/./b", "bytes": 3, "md5": "900150983cd24fb0d6963f7d28e17f72"}, {"path": "sub/x", "bytes": 0, "sha256":
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}], "fingerprint": null}
    """
  private static let checklist = """
    d41d8cd98f00b204e9800998ecf8427e  consolidated.00.pth\r
    \\d41d8cd98f00b204e9800998ecf8427e *od\\\\d\\nname
    MD5 (./a) = b) = d41d8cd98f00b204e9800998ecf8427e
    e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  sub/x/./y
    # remark
    """
  /// What mutations put in, beside random bytes.
  private static let words = ["..", "/", "\\", "\0", "\n", "\r", " ", "*", "\"", "{", "[", "}", "]", "-", "9", "1e9", "null", "MD5 (", ") = ", "\u{FEFF}", "ü", "\\u0000"]

  private func mutate(_ text: String, _ random: inout SplitMix64) -> [UInt8] {
    var bytes = Array(text.utf8)
    for _ in 0..<Int.random(in: 1...3, using: &random) where !bytes.isEmpty {
      let at = Int.random(in: 0..<bytes.count, using: &random)
      let end = min(bytes.count, at + Int.random(in: 0...12, using: &random))
      switch Int.random(in: 0...7, using: &random) {
      case 0, 6, 7: bytes[at] ^= 1 << UInt8.random(in: 0...7, using: &random)
      case 1: bytes.removeSubrange(at..<end)
      case 2: bytes.insert(contentsOf: bytes[at..<end], at: Int.random(in: 0...bytes.count, using: &random))
      case 3: bytes.removeLast(bytes.count - at)
      default: bytes.insert(contentsOf: (Self.words.randomElement(using: &random) ?? "").utf8, at: at)
      }
    }
    return bytes
  }

  private func isContained(_ path: FilePath) -> Bool {
    path.isRelative && !path.isEmpty && path.components.allSatisfy { $0.kind == .regular }
  }

  @Test func checklistsAreReadOrRefused() throws {
    _ = try Checklist(parsing: Array(Self.checklist.utf8), path: "list")
    var random = SplitMix64(state: 11)
    var read = 0
    for _ in 0..<20_000 {
      guard let list = try? Checklist(parsing: mutate(Self.checklist, &random), path: "list") else { continue }
      read += 1
      #expect(list.entries.allSatisfy { isContained($0.path) })
      // Written and read again, it is the same; names that aren't text are written as text can say them.
      if list.text.contains("\u{FFFD}") { continue }
      #expect(try! Checklist(parsing: Array(list.text.utf8), path: "list") == list)
    }
    #expect(read > 500)
  }

  @Test func receiptsAreReadOrRefused() throws {
    _ = try Receipt(parsing: Array(Self.receipt.utf8), path: "receipt")
    var random = SplitMix64(state: 12)
    var read = 0
    for _ in 0..<20_000 {
      guard let receipt = try? Receipt(parsing: mutate(Self.receipt, &random), path: "receipt") else { continue }
      read += 1
      #expect(receipt.files.allSatisfy { isContained($0.path) && $0.bytes >= 0 })
      guard let bytes = try? receipt.encoded() else { continue }
      #expect(try! Receipt(parsing: bytes, path: "receipt") == receipt)
    }
    #expect(read > 500)
  }
}
