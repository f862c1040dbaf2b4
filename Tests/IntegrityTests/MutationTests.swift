import Foundation
import Integrity
import SystemPackage
import Testing

/// Checklists and receipts that were damaged at random: read, or refused, and never anything outside of the folder.
@Suite struct MutationTests {
  private static let receipt = """
    {"receipt": 2, "tool": "t", "created": "2026-11-23T08:00:00Z", "operation": "download", "source": {"release": "r"}, "options": {"mp": "2"},
    "files": [{"path": "a/./b", "bytes": 3, "md5": "900150983cd24fb0d6963f7d28e17f72"}, {"path": "sub/x", "bytes": 0, "sha256":
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}, {"path": "w", "bytes": 520, "weights": [{"tensor": "norm.weight", "dtype": "f32",
    "shape": [128], "cut": "whole", "offset": 8, "rows": [0, 1], "columns": [0, 128], "digests": [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]}], "rest": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}],
    "fingerprint": null}
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
