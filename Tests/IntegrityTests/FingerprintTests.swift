import Foundation
import Integrity
import SystemPackage
import TestSupport
import Testing

/// `drover fingerprint` against twenty lines of Python, on one model in every layout and format.
@Suite(.needs(.python)) struct FingerprintTests {
  private func fingerprint(_ path: String) throws -> ReferenceModel.Fingerprint {
    let outcome = try drover("fingerprint", path, "--json", "--progress", "none")
    try #require(outcome.status == 0, "\(path): \(outcome.errors)")
    return try JSONDecoder().decode(ReferenceModel.Fingerprint.self, from: Data(outcome.output.utf8))
  }

  private static let layouts = ["mp1", "mp2", "mp4", "mp8", "strided", "safetensors", "hf", "model.gguf"]

  @Test(arguments: [("bfloat16", "untied"), ("float16", "untied"), ("float32", "tied")])
  func isTheSameInEveryLayout(dtype: String, tied: String) throws {
    try withTemporaryFolder { folder in
      let expected = try ReferenceModel.write(to: folder, dtype: dtype, tied: tied)["keep"]
      for layout in Self.layouts { #expect(try fingerprint("\(folder)/\(layout)") == expected, "\(layout)") }
    }
  }

  /// What drover makes of MP 8 is the same as what Python wrote, by one command; one flipped bit is not, in any format, and the tensor is named.
  @Test func comparesEveryFormat() throws {
    try withTemporaryFolder { folder in
      let expected = try #require(try ReferenceModel.write(to: folder)["keep"])
      var layouts = ["mp8", "mp2", "safetensors", "hf", "model.gguf"].map { folder + "/" + $0 }
      for (format, ranks) in [("pth", "1"), ("pth", "2"), ("pth", "8"), ("safetensors", "1"), ("hf", "1")] {
        let path = "\(folder)/made-\(format)-\(ranks)"
        try #require(try drover("reshard", folder + "/mp8", path, "--mp", ranks, "--format", format, "--quiet").status == 0)
        layouts += [path, path + "/drover-receipt.json"]
      }
      let same = try run(droverPath, ["fingerprint", "--json", "--progress", "none"] + layouts)
      #expect(same.status == 0, "\(same.errors)")
      #expect(try decode(same).others?.allSatisfy { $0.same && $0.checkpoint == expected.checkpoint } == true)
      #expect(try decode(same).checkpoint == expected.checkpoint)

      let names = ["layers.1.attention.wq.weight", "layers.0.feed_forward.w2.weight", "tok_embeddings.weight", "output.weight", "layers.1.attention.wv.weight"]
      for (turn, layout) in layouts.filter({ !$0.hasSuffix(".json") }).enumerated() {
        let name = names[turn % names.count]
        let files = layout.hasSuffix(".gguf") ? [layout] : try weights(in: layout)
        // Of key and value heads that two ranks share, one copy alone would be an error; that is another test's.
        if files.count == 8, name.contains("wv") { continue }
        try ReferenceModel.flip(name, row: 21, of: folder, in: files)
        // The first of those that Python wrote as MP 1 isn't touched.
        let outcome = try drover("fingerprint", folder + "/mp1", layout, "--json", "--progress", "none")
        #expect(outcome.status == 65)
        #expect(try decode(outcome).others?.first?.differences == [name], "\(layout)")
        let said = try drover("fingerprint", folder + "/mp1", layout, "--progress", "none")
        #expect(said.status == 65 && said.output.contains(name) && said.output.contains("1 of 21 tensors"), "\(said.output)")
      }
    }
  }

  private struct Comparison: Decodable {
    struct Other: Decodable {
      var path: String
      var same: Bool
      var differences: [String]
      var checkpoint: String
    }
    var checkpoint: String
    var others: [Other]?
  }

  private func decode(_ outcome: Outcome) throws -> Comparison { try JSONDecoder().decode(Comparison.self, from: Data(outcome.output.utf8)) }

  private func weights(in folder: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasSuffix(".pth") || $0.hasSuffix(".safetensors") }.map { folder + "/" + $0 }
  }

  /// The last line of progress says of each path that it was read.
  @Test func progressSaysWhatWasRead() throws {
    let model = Peer.packageRoot + "/Sources/CDemoModel/model"
    let outcome = try drover("fingerprint", model, model, "--progress", "json")
    let end = try #require(outcome.errors.split(separator: "\n").last { $0.contains(#""event":"end""#) })
    #expect(outcome.status == 0 && end.components(separatedBy: #""status":"read""#).count == 3, "\(end)")
  }

  /// A receipt without a fingerprint, and weights that aren't there.
  @Test func saysWhatCannotBeCompared() throws {
    try withTemporaryFolder { folder in
      let receipt = Receipt(tool: "t", operation: "download", origin: .release("r"), files: [.init(path: "a", bytes: 0, md5: ChainedDigest(of: [], .md5))])
      try receipt.write(into: FilePath(folder))
      for (path, code) in [("drover-receipt.json", Int32(65)), ("absent.json", 66), ("absent", 66)] {
        let outcome = try drover("fingerprint", folder + "/" + path)
        #expect(outcome.status == code && outcome.errors.contains(path), "\(outcome.errors)")
      }
    }
  }

  struct Making: Sendable, CustomTestStringConvertible {
    var source: String
    var mp: String
    var format: String
    var dtype = "keep"
    /// Which of the reference's fingerprints the output has.
    var expected = "keep"
    var testDescription: String { "\(source) to \(format) \(mp), \(dtype)" }
  }

  private static let makings = [
    Making(source: "mp8", mp: "1", format: "pth"), Making(source: "mp1", mp: "4", format: "pth"), Making(source: "hf", mp: "2", format: "safetensors"),
    Making(source: "model.gguf", mp: "1", format: "safetensors"),
    Making(source: "mp8", mp: "2", format: "pth", dtype: "f32", expected: "f32"),
    Making(source: "mp2", mp: "1", format: "hf", dtype: "f16", expected: "f16"),
    Making(source: "model.gguf", mp: "4", format: "safetensors", dtype: "f16", expected: "f16"),
    Making(source: "hf", mp: "8", format: "pth", dtype: "bf16", expected: "bf16"),
    Making(source: "q8_0.gguf", mp: "2", format: "pth", expected: "q8_0"),
  ]

  /// What reshard writes has a receipt with the fingerprint of what was written, computed on the way, and verifies.
  @Test(arguments: makings) func reshardLeavesAReceipt(_ making: Making) throws {
    try withTemporaryFolder { folder in
      let expected = try #require(try ReferenceModel.write(to: folder)[making.expected])
      let out = folder + "/out"
      let made = try drover(
        "reshard", "\(folder)/\(making.source)", out, "--mp", making.mp, "--format", making.format, "--dtype", making.dtype, "--progress", "none")
      try #require(made.status == 0, "\(made.errors)")
      let receipt = try Receipt(contentsOf: FilePath(out + "/drover-receipt.json"))
      #expect(receipt.fingerprint?.whole.hex == expected.checkpoint)
      #expect(receipt.fingerprint?.tensors.mapValues(\.hex) == expected.tensors)
      #expect(receipt.origin == .checkpoint(making.source) && receipt.operation == "reshard")
      let shard = making.format == "hf" ? ["max-shard-size": "5000000000"] : [:]
      #expect(receipt.options == ["mp": making.mp, "format": making.format, "dtype": making.dtype].merging(shard) { $1 })
      try expectTruth(receipt, in: out)
      #expect(try fingerprint(out) == expected)
      try expectVerified(out)
    }
  }

  @Test func copiesMustAgree() throws {
    try withTemporaryFolder { folder in
      _ = try ReferenceModel.write(to: folder)
      _ = try python(
        """
        import sys, torch
        m = torch.load(sys.argv[1])
        m["layers.1.ffn_norm.weight"][3] += 1
        torch.save(m, sys.argv[1])
        """, folder + "/mp4/consolidated.02.pth")
      let outcome = try drover("fingerprint", folder + "/mp4")
      #expect(outcome.status == 65)
      #expect(outcome.errors.contains("layers.1.ffn_norm.weight") && outcome.errors.contains("consolidated.02.pth"))
    }
  }
}
