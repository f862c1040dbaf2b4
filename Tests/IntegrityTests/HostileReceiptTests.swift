import Foundation
import Integrity
import SystemPackage
import TestSupport
import Testing

/// Receipts that must not be believed: one that is right, changed in one place, and a word of the message.
@Suite struct HostileReceiptTests {
  private static let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
  /// Stands for any digest.
  private static let node = String(repeating: "ab", count: 32)

  /// A downloaded file of 40 MiB with the two states that it has, a small one, and one that drover wrote: two norms and half of a matrix.
  private static let right = """
    {"receipt": 2, "tool": "t", "created": "2026-11-23T08:00:00Z", "operation": "download", "source": {"release": "r"}, "options": {}, "files": [
    {"path": "a", "bytes": 3, "md5": "900150983cd24fb0d6963f7d28e17f72"}, {"path": "b", "bytes": 0, "sha256": "\(empty)"},
    {"path": "c", "bytes": 41943040, "md5": "900150983cd24fb0d6963f7d28e17f72", "md5States": "\(String(repeating: "0f", count: 32))"},
    {"path": "w", "bytes": 9000, "weights": [
    {"tensor": "norm.weight", "dtype": "bf16", "shape": [128], "cut": "whole", "offset": 8, "rows": [0, 1], "columns": [0, 128], "digests": ["\(node)"]},
    {"tensor": "wo", "dtype": "f16", "shape": [32, 256], "cut": "columns", "offset": 264, "rows": [0, 32], "columns": [0, 128], "digests": ["\(node)", "\(node)"]}],
    "rest": "\(empty)"}]}
    """

  @Test(arguments: [
    ("", "isn't valid JSON"), ("<html>", "is a web page"), ("nonsense", "isn't valid JSON"), ("[]", "wrong kind"), ("{}", "receipt is missing"),
    (#""receipt": 2 -> "receipt": 1"#, "version 1"),
    (#""receipt": 2, "tool": "t" -> "receipt": 3"#, "version 3"),
    (#""path": "a" -> "path": "../a""#, "leads out"),
    (#""path": "a" -> "path": "/etc/passwd""#, "leads out"),
    (#""path": "a" -> "path": """#, "no file's name"),
    (#""path": "b" -> "path": "./a""#, "twice"),
    (#""bytes": 3 -> "bytes": -3"#, "-3 bytes"),
    (#""bytes": 3 -> "bytes": 1e99"#, "files.0.bytes"),
    (#""bytes": 3 -> "bytes": 1.5"#, "files.0.bytes"),
    (#""bytes": 0 -> "bytes": 18446744073709551616"#, "files.1.bytes"),
    (#""receipt": 2 -> "receipt": 1.5"#, "receipt makes no sense"),
    ("2026-11-23T08 -> 2026-11-23 at 8", "created makes no sense"),
    (#""bytes": 3 -> "bytes": "3""#, "files.0.bytes"),
    (#""md5": "9 -> "md5": "z9"#, "files.0.md5"),
    (#""sha256":  -> "sha512": "#, "neither"),
    (#""release": "r" -> "else": "r""#, "source"),
    // States.
    (#""bytes": 41943040 -> "bytes": 16777216"#, "2 states, and with 16777216 bytes it should have 0"),
    (#""bytes": 41943040 -> "bytes": 33554432"#, "should have 1"),
    (#""bytes": 41943040 -> "bytes": 50331649"#, "should have 3"),
    (#""bytes": 41943040 -> "bytes": 9223372036854775807"#, "should have"),
    (#""md5States": "0f -> "md5States": "0"#, "hexadecimal digits of whole values"),
    (#""md5States": "0f -> "md5States": "0g"#, "hexadecimal digits of whole values"),
    (#""md5": "900150983cd24fb0d6963f7d28e17f72", "md5States" -> "md5States""#, "states of md5 and no digest"),
    // Weights.
    (#""rest": -> "remainder":"#, "no digest of the rest"),
    (#""offset": 264 -> "offset": 263"#, "norm.weight and wo overlap"),
    (#""offset": 264 -> "offset": 809"#, "wo in w doesn't lie in the file's 9000 bytes"),
    (#""offset": 264 -> "offset": 9223372036854775807"#, "doesn't lie in the file"),
    (#""offset": 264 -> "offset": -1"#, "doesn't lie in the file"),
    (#""offset": 264 -> "offset": 1e30"#, "files.3.weights.1.offset"),
    (#"[32, 256] -> [0, 256]"#, "can't have the shape"),
    (#"[32, 256] -> [-32, 256]"#, "can't have the shape"),
    (#"[32, 256] -> [4611686018427387904, 256]"#, "can't have the shape"),
    (#"[32, 256] -> [4294967296, 4294967296]"#, "can't have the shape"),
    (#"[32, 256] -> [32, 256, 1]"#, "3 dimensions"),
    (#""rows": [0, 32] -> "rows": [0, 33]"#, "don't lie in its shape"),
    (#""rows": [0, 32] -> "rows": [32, 32]"#, "don't lie in its shape"),
    (#""rows": [0, 32] -> "rows": [-1, 32]"#, "don't lie in its shape"),
    (#""rows": [0, 32] -> "rows": [0]"#, "don't lie in its shape"),
    (#""columns": [0, 128], "digests": ["\#(node)", -> "columns": [0, 127], "digests": ["#, "1 digests, and should have 2"),
    (#", "\#(node)"]}] -> ]}]"#, "wo in w has 1 digests, and should have 2"),
    (#""f16", "shape": [32, 256] -> "q8_0", "shape": [32, 250]"#, "rows of q8_0 blocks"),
    (#""bf16" -> "q4_0""#, "rows of q4_0 blocks"),
    (#""f16" -> "f8""#, "files.3.weights.1.dtype"),
    (#""cut": "columns" -> "cut": "diagonal""#, "files.3.weights.1.cut"),
    (#""cut": "columns" -> "headDim": 3, "cut": "columns""#, "heads of 3 rows"),
    (#""cut": "columns" -> "headDim": 24, "cut": "columns""#, "heads of 24 rows"),
    (#""cut": "columns" -> "headDim": 0, "cut": "columns""#, "heads of 0 rows"),
    (#""tensor": "wo" -> "tensor": """#, "no name"),
    (#""tensor": "norm.weight", "dtype": "bf16", "shape": [128] -> "tensor": "wo", "dtype": "f16", "shape": [128]"#, "parts of wo differ"),
    (#""\#(node)"]}, -> "900150983cd24fb0d6963f7d28e17f72"]},"#, "wrong length"),
    (#""options": {}, -> "options": {}, "fingerprint": {"checkpoint": "\#(empty)", "tensors": {}},"#, "no fingerprint"),
    (#""options": {}, -> "options": {}, "fingerprint": {"checkpoint": "\#(node)", "tensors": {}},"#, "not that of its tensors"),
  ])
  func refuses(change: String, words: String) throws {
    _ = try Receipt(parsing: Array(Self.right.utf8), path: "r")
    let sides = change.components(separatedBy: " -> ")
    let text = sides.count == 2 ? Self.right.replacingOccurrences(of: sides[0], with: sides[1]) : change
    #expect(text != Self.right)
    let error = #expect(throws: ReceiptError.self) { try Receipt(parsing: Array(text.utf8), path: "r") }
    #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
  }

  /// Where all nodes of a tensor are there, its fingerprint has to be theirs, and copies have to agree.
  @Test func rootsFollowFromNodes() throws {
    let node = SHA256.hash([1])
    let line = Array("f32 128 whole\n".utf8)
    let root = SHA256.hash(line + node.bytes)
    func receipt(_ root: Digest, _ nodes: Digest...) throws -> Receipt {
      let weights = nodes.enumerated().map { index, node in
        WeightProof(tensor: "norm.weight", dtype: .bf16, shape: [128], cut: .whole, rows: 0..<1, columns: 0..<128, offset: 256 * index, digests: [node])
      }
      let file = Receipt.File(path: "w", bytes: 1000, content: .init(weights: weights, rest: SHA256.hash([])))
      let made = Receipt(
        tool: "t", operation: "reshard", origin: .checkpoint("m"), files: [file], fingerprint: CheckpointFingerprint(tensors: ["norm.weight": root]))
      let read = try Receipt(parsing: made.encoded(), path: "r")
      #expect(read == made)
      return read
    }
    _ = try receipt(root, node)
    _ = try receipt(root, node, node)
    let wrong = #expect(throws: ReceiptError.self) { try receipt(SHA256.hash([2]), node) }
    #expect(wrong?.description.contains("the fingerprint of norm.weight") == true)
    let copies = #expect(throws: ReceiptError.self) { try receipt(root, node, SHA256.hash([2])) }
    #expect(copies?.description.contains("copies of norm.weight") == true)
  }

  /// A receipt's time can be fixed from outside.
  @Test func honoursTheSourceDate() throws {
    try withTemporaryFolder { folder in
      let model = Peer.packageRoot + "/Sources/CDemoModel/model"
      for out in ["1", "2"] {
        let outcome = try run(droverPath, ["reshard", model, folder + "/" + out, "--mp", "1", "--quiet"], environment: ["SOURCE_DATE_EPOCH": "1700000000"])
        try #require(outcome.status == 0, "\(outcome.errors)")
      }
      let receipts = try ["1", "2"].map { try String(contentsOfFile: "\(folder)/\($0)/drover-receipt.json", encoding: .utf8) }
      #expect(receipts[0] == receipts[1] && receipts[0].contains("2023-11-14T22:13:20Z"))
    }
  }
}
