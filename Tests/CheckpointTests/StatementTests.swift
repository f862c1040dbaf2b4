import Checkpoint
import Foundation
import SystemPackage
import TestSupport
import Testing

/// What a description says and the tensors don't bear out is an error that names both; what it leaves out is told by what lies beside it, or isn't.
@Suite(.needs(.python)) struct StatementTests {
  /// Changes keys of a JSON file; nil removes one.
  private func change(_ path: String, _ keys: [String: Any?]) throws {
    let url = URL(filePath: path)
    var object = try #require(try JSONSerialization.jsonObject(with: Data(contentsOf: url)) as? [String: Any])
    for (key, value) in keys { object[key] = value }
    try JSONSerialization.data(withJSONObject: object).write(to: url)
  }

  // MARK: Shapes

  struct Statement: Sendable, CustomTestStringConvertible {
    /// In `params.json` and in `config.json`; 0 stands for a key that is left out.
    let meta: [String: Int]
    let huggingFace: [String: Int]
    /// The number that is said, and the one that the shapes have.
    let numbers: (Int, Int)
    var testDescription: String { "\(meta)" }
  }

  /// Of a model of 8 heads of 8, 4 for keys and values, dim 64, hidden 96, vocabulary 160.
  static let statements = [
    Statement(meta: ["n_heads": 16], huggingFace: ["num_attention_heads": 16], numbers: (4, 8)),
    Statement(meta: ["n_heads": 4], huggingFace: ["num_attention_heads": 4], numbers: (4, 2)),
    Statement(meta: ["n_kv_heads": 8], huggingFace: ["num_key_value_heads": 8], numbers: (8, 4)),
    Statement(meta: ["n_kv_heads": 2], huggingFace: ["num_key_value_heads": 2], numbers: (2, 4)),
    Statement(meta: ["n_kv_heads": 0], huggingFace: ["num_key_value_heads": 0], numbers: (8, 4)),
    Statement(meta: ["n_heads": 16, "n_kv_heads": 0], huggingFace: ["num_attention_heads": 16, "num_key_value_heads": 0], numbers: (16, 8)),
    Statement(meta: ["dim": 128], huggingFace: ["hidden_size": 128], numbers: (128, 64)),
    Statement(meta: ["hidden_dim": 192], huggingFace: ["intermediate_size": 192], numbers: (192, 96)),
    Statement(meta: ["vocab_size": 320], huggingFace: ["vocab_size": 320], numbers: (320, 160)),
    Statement(meta: ["n_layers": 3], huggingFace: ["num_hidden_layers": 3], numbers: (3, 2)),
    Statement(meta: ["head_dim": 16], huggingFace: ["head_dim": 16], numbers: (16, 8)),
    // The reference's own formula: two thirds of 4 · 64, rounded up.
    Statement(meta: ["hidden_dim": 0, "multiple_of": 32], huggingFace: ["intermediate_size": 64], numbers: (0, 96)),
  ]

  @Test func contradictionsAreBadData() throws {
    try withTemporaryFolder { folder in
      _ = try ReferenceModel.write(to: folder)
      for (statement, (layout, file)) in Self.statements.flatMap({ statement in
        [("mp1", "params.json"), ("mp2", "params.json"), ("mp8", "params.json"), ("hf", "config.json")].map { (statement, $0) }
      }) {
        let path = "\(folder)/\(layout)/\(file)"
        let whole = try Data(contentsOf: URL(filePath: path))
        defer { try? whole.write(to: URL(filePath: path)) }
        // On 8 ranks, two of which share a head, 8 counts the copies.
        if layout == "mp8", statement.meta == ["n_kv_heads": 8] || statement.meta == ["n_kv_heads": 0] { continue }
        try change(path, (layout == "hf" ? statement.huggingFace : statement.meta).mapValues { $0 == 0 ? nil : $0 })
        do {
          _ = try Checkpoint.open(at: FilePath("\(folder)/\(layout)"))
          Issue.record("\(layout), \(statement): was opened")
        } catch let error as CheckpointError {
          #expect(error.reason == .corrupt, "\(layout), \(statement): \(error)")
          let (said, found) = statement.numbers
          let numbers = error.description.split { !$0.isNumber }
          #expect(layout == "mp8" || numbers.contains("\(found)") && (said == 0 || numbers.contains("\(said)")), "\(layout), \(statement): \(error)")
        }
      }
      // Every command ends so.
      try change(folder + "/mp2/params.json", ["n_kv_heads": 8])
      for arguments in [["inspect"], ["fingerprint"], ["bench"], ["complete", "--prompt", "a"], ["reshard", folder + "/out", "--mp", "1"]] {
        let outcome = try run(droverPath, [arguments[0], folder + "/mp2"] + arguments.dropFirst())
        #expect(outcome.status == 65 && outcome.errors.contains("says key and value heads 8, the shapes of the tensors say 4"), "\(outcome.errors)")
      }
    }
  }

  @Test func whatIsLeftOutIsFilledIn() throws {
    try withTemporaryFolder { folder in
      _ = try ReferenceModel.write(to: folder)
      let before = try Checkpoint.open(at: FilePath(folder + "/mp1"))
      try change(folder + "/mp1/params.json", ["dim": nil, "hidden_dim": nil, "n_layers": nil, "vocab_size": -1])
      let after = try Checkpoint.open(at: FilePath(folder + "/mp1"))
      #expect(before.params == after.params && before.companions.notes.isEmpty)
      #expect(after.companions.notes.count == 1 && after.companions.notes[0].contains("doesn't say dim, the number of layers, the feed-forward width"))
    }
  }

  /// What a release says of itself, though its shapes say otherwise, the catalog lists.
  @Test(arguments: [(32000, true), (31999, false)]) func vocabulariesWithoutAddedTokens(_ said: Int, isListed: Bool) throws {
    try withTemporaryFolder { folder in
      try ReleaseShapes.write(
        to: folder + "/CodeLlama-7b", dim: 4096, layers: 32, heads: (32, 32), hidden: 11008, vocabulary: 32016, params: #"{"vocab_size": \#(said)}"#)
      let outcome = try drover("inspect", folder + "/CodeLlama-7b", "--json")
      #expect(outcome.status == (isListed ? 0 : 65), "\(outcome.errors)")
      #expect(outcome.errors.contains("\(said)") && outcome.errors.contains("32016"), "\(outcome.errors)")
    }
  }

  // MARK: RoPE

  struct Theta: Sendable, CustomTestStringConvertible {
    /// Of the `rope.freqs` in the file; nil where there are none.
    let carried: Double?
    let said: Double?
    /// nil where it must be refused.
    let used: Double?
    var vocabulary = 64
    var testDescription: String { "rope.freqs of \(carried.map { "\($0)" } ?? "none"), rope_theta \(said.map { "\($0)" } ?? "unsaid"), vocabulary \(vocabulary)" }
  }

  static let thetas = [
    Theta(carried: 1e6, said: 1e6, used: 1e6), Theta(carried: 1e6, said: nil, used: 1e6), Theta(carried: 5e5, said: nil, used: 5e5),
    Theta(carried: 8e4, said: nil, used: 8e4), Theta(carried: 1e4, said: nil, used: 1e4), Theta(carried: nil, said: nil, used: 1e4),
    Theta(carried: 1e6, said: 1e4, used: nil), Theta(carried: 1e4, said: 1e6, used: nil), Theta(carried: 5e5, said: 6e5, used: nil),
    Theta(carried: nil, said: nil, used: nil, vocabulary: 128_256), Theta(carried: 5e5, said: nil, used: 5e5, vocabulary: 128_256),
    Theta(carried: nil, said: 5e5, used: 5e5, vocabulary: 128_256), Theta(carried: 0, said: nil, used: nil),
  ]

  /// As Llama 2's files carry `rope.freqs`, once, and as Llama 1's, in every layer.
  @Test(arguments: ["float32", "bfloat16", "float16"], ["rope.freqs", "layers.{}.attention.inner_attention.rope.freqs"])
  func frequenciesBesideTheWeights(dtype: String, name: String) throws {
    try withTemporaryFolder { folder in
      let cases = Self.thetas.map { #"{"carried": \#($0.carried.map { "\($0)" } ?? "null"), "said": \#($0.said.map { "\($0)" } ?? "null"), "vocab": \#($0.vocabulary)}"# }
      try python(
        """
        import json, os, sys, torch
        root, dtype, name = sys.argv[1], getattr(torch, sys.argv[2]), sys.argv[3]
        dim, hd, hidden, layers = 64, 32, 32, 2
        for i, case in enumerate(json.loads(sys.argv[4])):
            w = {"tok_embeddings.weight": torch.zeros(case["vocab"], dim), "norm.weight": torch.zeros(dim), "output.weight": torch.ones(case["vocab"], dim)}
            for l in range(layers):
                p = f"layers.{l}."
                for n in ["wq", "wk", "wv", "wo"]: w[p + f"attention.{n}.weight"] = torch.zeros(dim, dim)
                for n in ["w1", "w3"]: w[p + f"feed_forward.{n}.weight"] = torch.zeros(hidden, dim)
                w |= {p + "feed_forward.w2.weight": torch.zeros(dim, hidden), p + "attention_norm.weight": torch.zeros(dim), p + "ffn_norm.weight": torch.zeros(dim)}
            w = {n: t.to(torch.bfloat16) for n, t in w.items()}
            if case["carried"] is not None:
                # The reference's own line.
                freqs = 1.0 / (case["carried"] ** (torch.arange(0, hd, 2)[: (hd // 2)].float() / hd)) if case["carried"] else torch.rand(hd // 2)
                for l in range(layers): w[name.replace("{}", str(l))] = freqs.to(dtype)
            os.makedirs(f"{root}/{i}")
            torch.save(w, f"{root}/{i}/consolidated.00.pth")
            params = {"dim": dim, "n_layers": layers, "n_heads": dim // hd, "hidden_dim": hidden, "norm_eps": 1e-5, "vocab_size": case["vocab"]}
            if case["said"]: params["rope_theta"] = case["said"]
            json.dump(params, open(f"{root}/{i}/params.json", "w"))
        """, folder, dtype, name, "[" + cases.joined(separator: ",") + "]")
      for (index, test) in Self.thetas.enumerated() {
        do {
          let checkpoint = try Checkpoint.open(at: FilePath("\(folder)/\(index)"))
          #expect(checkpoint.params.ropeTheta == test.used, "\(test)")
          // What isn't the reference's default is said.
          #expect(checkpoint.companions.notes.contains { $0.contains("rope_theta") } == (test.said == nil && test.used != 1e4), "\(checkpoint.companions.notes)")
        } catch let error as CheckpointError {
          #expect(test.used == nil && error.reason == .corrupt, "\(test): \(error)")
          for value in [test.carried, test.said].compactMap({ $0 }) where value > 0 { #expect(error.description.contains("\(value)"), "\(test): \(error)") }
        }
      }
    }
  }

  struct Release: Sendable, CustomTestStringConvertible {
    let folder: String
    let shape: (dim: Int, layers: Int, heads: (Int, Int), hidden: Int, vocabulary: Int)
    let theta: Double
    var testDescription: String { folder }
  }

  /// A theta that nobody states is the release's, told by shapes, and by the folder's name where two have the same.
  @Test(arguments: [
    Release(folder: "any", shape: (4096, 32, (32, 8), 14336, 128_256), theta: 500_000), Release(folder: "any", shape: (8192, 48, (64, 8), 22016, 32000), theta: 1_000_000),
    Release(folder: "CodeLlama-7b-Python", shape: (4096, 32, (32, 32), 11008, 32000), theta: 1_000_000),
    Release(folder: "llama-2-7b", shape: (4096, 32, (32, 32), 11008, 32000), theta: 10000),
  ])
  func aReleaseHasItsTheta(_ release: Release) throws {
    try withTemporaryFolder { folder in
      let (dim, layers, heads, hidden, vocabulary) = release.shape
      try ReleaseShapes.write(to: "\(folder)/\(release.folder)", dim: dim, layers: layers, heads: heads, hidden: hidden, vocabulary: vocabulary)
      #expect(try Checkpoint.open(at: FilePath("\(folder)/\(release.folder)")).params.ropeTheta == release.theta)
    }
  }

  // MARK: Which files

  /// transformers loads `model.safetensors` where both are there.
  @Test func aStaleIndexIsAnError() throws {
    try withTemporaryFolder { folder in
      _ = try ReferenceModel.write(to: folder)
      let index = folder + "/hf/model.safetensors.index.json"
      for (names, isGood) in [(["model.safetensors"], true), (["model-00001-of-00002.safetensors"], false), (["model.safetensors", "other.safetensors"], false)] {
        let map = names.enumerated().map { #""tensor\#($0.offset)": "\#($0.element)""# }.joined(separator: ", ")
        try #"{"weight_map": {\#(map)}}"#.write(toFile: index, atomically: false, encoding: .utf8)
        let outcome = try drover("fingerprint", folder + "/hf", "--progress", "none")
        #expect(outcome.status == (isGood ? 0 : 65), "\(names): \(outcome.errors)")
        if !isGood { #expect(outcome.errors.contains("model.safetensors lies beside it") && outcome.errors.contains(names.last ?? ""), "\(outcome.errors)") }
      }
    }
  }

  /// A file that is named is what is shown or read, not what lies beside it.
  @Test func aNamedFileIsMeant() throws {
    struct Report: Decodable {
      struct Tensor: Decodable { let name: String; let shape: [Int] }
      let modelParallel: Int
      let tensors: [Tensor]
      var embedding: [Int]? { tensors.first { $0.name == "tok_embeddings.weight" }?.shape }
    }
    try withTemporaryFolder { folder in
      _ = try ReferenceModel.write(to: folder)
      try python(
        """
        import sys, torch
        root = sys.argv[1]
        w = torch.load(root + "/mp1/consolidated.00.pth")
        torch.save({"layers.0.attention.wq.lora_A.weight": w["layers.0.attention.wq.weight"]}, root + "/mp2/lora.pth")
        torch.save({n: t * 2 for n, t in w.items() if n != "rope.freqs"}, root + "/mp2/doubled.pth")
        torch.save({n: t * 2 for n, t in w.items() if n != "rope.freqs"}, root + "/mp2/doubled.pt")
        """, folder)
      func report(_ name: String) throws -> Report {
        try JSONDecoder().decode(Report.self, from: Data(drover("inspect", "\(folder)/mp2/\(name)", "--json").output.utf8))
      }
      for name in ["doubled.pth", "doubled.pt"] {
        #expect(try report(name).modelParallel == 1 && report(name).embedding == [160, 64])
        #expect(try Checkpoint.open(at: FilePath("\(folder)/mp2/\(name)")).files.map(\.path.lastComponent?.string) == [name])
      }
      // A shard by itself has its own shapes; for who reads weights it stands for the row that it is of.
      #expect(try report("consolidated.01.pth").modelParallel == 2 && report("consolidated.01.pth").embedding == [160, 32])
      #expect(try Checkpoint.open(at: FilePath(folder + "/mp2/consolidated.01.pth")).modelParallel == 2)
      for arguments in [["inspect"], ["fingerprint"], ["reshard", folder + "/out", "--mp", "1"], ["complete", "--prompt", "a"]] {
        let outcome = try run(droverPath, [arguments[0], folder + "/mp2/lora.pth"] + arguments.dropFirst())
        #expect(outcome.status == 65 && outcome.errors.contains("lora.pth") && outcome.errors.contains("lora_A"), "\(outcome.errors)")
      }
    }
  }

  // MARK: Tokenizers

  /// Of the releases of Llama 1 and 2 the catalog says that they share the tokenizer above their folders. No other folder takes it.
  @Test(arguments: [
    ("llama-2-7b", (4096, 32, (32, 32), 11008, 32000), true), ("7B", (4096, 32, (32, 32), 11008, 32000), true),
    ("Meta-Llama-3-8B", (4096, 32, (32, 8), 14336, 128_256), false), ("CodeLlama-7b-Python", (4096, 32, (32, 32), 11008, 32000), false),
    ("mine", (4096, 32, (32, 32), 11008, 32000), false), ("llama-2-7b", (4096, 32, (32, 8), 14336, 128_256), false),
  ])
  func tokenizersAbove(_ name: String, _ shape: (Int, Int, (Int, Int), Int, Int), isShared: Bool) throws {
    try withTemporaryFolder { root in
      let folder = "\(root)/\(name)"
      try ReleaseShapes.write(to: folder, dim: shape.0, layers: shape.1, heads: shape.2, hidden: shape.3, vocabulary: shape.4)
      try FileManager.default.copyItem(atPath: Peer.packageRoot + "/Sources/CDemoModel/model/tokenizer.model", toPath: root + "/tokenizer.model")
      let checkpoint = try Checkpoint.open(at: FilePath(folder))
      #expect((checkpoint.companions.tokenizer != nil) == isShared)
      let note = try #require(checkpoint.companions.notes.first { $0.contains("tokenizer.model") })
      #expect(note.contains(isShared ? "shares with the other models of Llama" : "isn't taken"), "\(note)")
      // From within the folder too.
      let inside = try run(droverPath, ["inspect", "."], in: folder)
      #expect(inside.status == 0 && inside.errors.contains(isShared ? "shares with" : "isn't taken"), "\(inside.errors)")
      // One of its own is its own.
      try "IQ== 0\nIg== 1\n".write(toFile: folder + "/tokenizer.model", atomically: false, encoding: .utf8)
      let own = try Checkpoint.open(at: FilePath(folder)).companions
      var path: FilePath?
      if case .file(let file)? = own.tokenizer { path = file }
      #expect(path == FilePath(folder + "/tokenizer.model") && !own.notes.contains { $0.contains("tokenizer") })
    }
  }
}
