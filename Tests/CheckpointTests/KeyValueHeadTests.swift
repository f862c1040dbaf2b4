import Checkpoint
import Foundation
import SystemPackage
import TestSupport
import Testing

/// How many key and value heads a model has whose ranks have one each: told by the catalog, by `--kv-heads`, or by a row that every layer bears out.
@Suite(.needs(.python)) struct KeyValueHeadTests {
  /// Four heads of 4 on 16 ranks, as Meta's own 405B at MP 16 has eight: `n_kv_heads` counts the copies.
  static let sixteen = PythonModels.Shape(dim: 64, heads: 16, kvHeads: 4, hidden: 32, layers: 3, vocabulary: 64)

  struct Flip: Sendable, CustomTestStringConvertible {
    let tensor: String
    let row: Int
    var rank = 6
    /// Must be in the message.
    let says: [String]
    var testDescription: String { "\(tensor), row \(row) of rank \(rank)" }
  }

  static let flips = [
    // The row that is looked at: no number of heads fits.
    Flip(tensor: "layers.0.attention.wk.weight", row: 0, says: ["layers.0.attention.wk.weight", "{4, 5, 7} {6}", "--kv-heads"]),
    Flip(tensor: "layers.0.attention.wk.weight", row: 3, says: ["consolidated.06.pth, byte ", "layers.0.attention.wk.weight", "shards 4 and 6"]),
    Flip(tensor: "layers.0.attention.wv.weight", row: 0, says: ["consolidated.06.pth, byte ", "layers.0.attention.wv.weight", "shards 4 and 6"]),
    Flip(tensor: "layers.2.attention.wk.weight", row: 0, says: ["consolidated.06.pth, byte ", "layers.2.attention.wk.weight", "shards 4 and 6"]),
    Flip(tensor: "layers.1.attention.wv.weight", row: 2, rank: 15, says: ["consolidated.15.pth, byte ", "layers.1.attention.wv.weight", "shards 12 and 15"]),
  ]

  @Test(arguments: flips) func aFlippedBitInACopyIsBadData(_ flip: Flip) throws {
    try withTemporaryFolder { folder in
      let source = folder + "/source"
      try PythonModels.write(Self.sixteen, to: source, modelParallel: 16)
      let whole = try Checkpoint.open(at: FilePath(source))
      #expect(whole.params.kvHeads == 4)
      try whole.checkCopies(threads: 1)
      let file = "\(source)/consolidated.\(flip.rank < 10 ? "0" : "")\(flip.rank).pth"
      try python(
        """
        import sys, torch
        w = torch.load(sys.argv[1])
        w[sys.argv[2]].view(torch.int16)[int(sys.argv[3]), 5] ^= 4
        torch.save(w, sys.argv[1])
        """, file, flip.tensor, String(flip.row))
      try FileManager.default.copyItem(atPath: Peer.packageRoot + "/Sources/CDemoModel/model/tokenizer.model", toPath: source + "/tokenizer.model")
      for said in [[], ["--kv-heads", "4"]] {
        for arguments in [
          ["reshard", source, folder + "/out", "--mp", "1", "--progress", "none"], ["fingerprint", source, "--progress", "none"],
          ["complete", source, "--prompt", "a", "--max-gen-len", "1"], ["bench", source, "--prompt-tokens", "1", "--gen-tokens", "1"],
        ] {
          let outcome = try run(droverPath, arguments + said)
          #expect(outcome.status == 65 && outcome.output.isEmpty, "\(arguments[0]) \(said): \(outcome.output)\(outcome.errors)")
          // Who says how many heads there are learns which copy differs.
          let says = said.isEmpty ? flip.says : [flip.tensor, "consolidated.", "byte "]
          for words in says { #expect(outcome.errors.contains(words), "\(arguments[0]): \(outcome.errors)") }
        }
      }
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["source"])
    }
  }

  /// Heads that are alike by chance, as those that were set to zero are in one layer, are no copies; all layers together or the user says so.
  @Test(arguments: [[0], [1], [0, 2]]) func headsAlikeByChance(_ layers: [Int]) throws {
    try withTemporaryFolder { folder in
      let source = folder + "/source"
      try PythonModels.write(.init(layers: 3), to: source, modelParallel: 8)
      try python(
        """
        import json, sys, torch
        for rank in range(8):
            file = f"{sys.argv[1]}/consolidated.{rank:02}.pth"
            w = torch.load(file)
            for layer in json.loads(sys.argv[2]):
                for name in ["wk", "wv"]: w[f"layers.{layer}.attention.{name}.weight"].zero_()
            torch.save(w, file)
        """, source, "\(layers)")
      let outcome = try drover("reshard", source, folder + "/out", "--mp", "1", "--progress", "none")
      #expect(outcome.status == 65 && outcome.errors.contains("--kv-heads") && (outcome.errors.contains("attention.wk.weight") || outcome.errors.contains("attention.wv.weight")), "\(outcome.errors)")
      #expect(throws: CheckpointError.self) { try Checkpoint.open(at: FilePath(source)).checkCopies(threads: 2) }
      #expect(throws: CheckpointError.self) { try Checkpoint.open(at: FilePath(source)).fingerprint() }
      let said = Checkpoint.OpenOptions(keyValueHeads: 8)
      let checkpoint = try Checkpoint.open(at: FilePath(source), said)
      #expect(checkpoint.params.kvHeads == 8)
      try checkpoint.checkCopies(threads: 2)
      _ = try ReshardPlan(checkpoint, .init(modelParallel: 1)).write(to: FilePath(folder + "/out"))
      #expect(try Checkpoint.open(at: FilePath(folder + "/out")).fingerprint() == checkpoint.fingerprint())
    }
  }

  /// All weights are zero, so that any head is like any other: the catalog says how many there are.
  @Test func theCatalogDecidesFirst() throws {
    try withTemporaryFolder { folder in
      try ReleaseShapes.write(
        to: folder + "/405B", dim: 16384, layers: 126, heads: (128, 8), hidden: 53248, vocabulary: 128_256, modelParallel: 16, params: #"{"rope_theta": 500000.0}"#)
      try ReleaseShapes.write(to: folder + "/70B", dim: 8192, layers: 80, heads: (64, 8), hidden: 28672, vocabulary: 32000, modelParallel: 8)
      for name in ["405B", "70B"] {
        #expect(try Checkpoint.open(at: FilePath("\(folder)/\(name)")).params.kvHeads == 8, "\(name)")
        let outcome = try drover("inspect", "\(folder)/\(name)", "--kv-heads", "4")
        #expect(outcome.status == 64 && outcome.errors.contains("says 4") && outcome.errors.contains("have 8"), "\(outcome.errors)")
      }
      // Of a release that nobody knows the user must say it, for nothing bears out the row of the first layer.
      try ReleaseShapes.write(to: folder + "/other", dim: 512, layers: 2, heads: (8, 8), hidden: 1024, vocabulary: 64, modelParallel: 8)
      let outcome = try drover("fingerprint", folder + "/other", "--kv-heads", "8", "--progress", "none")
      #expect(outcome.status == 0, "\(outcome.errors)")
    }
  }

  @Test(arguments: [("3", 64, "3 key and value heads"), ("0", 64, "at least 1"), ("32", 64, "32 key and value heads")])
  func numbersThatCantBe(_ heads: String, status: Int32, says: String) throws {
    try withTemporaryFolder { folder in
      try PythonModels.write(Self.sixteen, to: folder + "/16", modelParallel: 16)
      try PythonModels.write(Self.sixteen, to: folder + "/2", modelParallel: 2)
      for name in ["16", "2"] {
        let outcome = try drover("inspect", "\(folder)/\(name)", "--kv-heads", heads)
        #expect(outcome.status == status, "\(outcome.errors)")
        #expect(outcome.errors.contains(says) || outcome.errors.contains("--kv-heads says \(heads)"), "\(outcome.errors)")
      }
    }
  }
}
