import Checkpoint
import Foundation
import SystemPackage
import TestSupport
import Testing

/// Files of weights under the names, and with the names of tensors, that other programs give: a file is known by what is in it.
@Suite(.needs(.currentTorch)) struct NamedFilesTests {
  static let shapes = [
    PythonModels.Shape(dim: 96, heads: 6, kvHeads: 3, hidden: 192, vocabulary: 300, embeddingAxis: 0),
    PythonModels.Shape(dim: 64, heads: 4, kvHeads: 1, hidden: 160, layers: 1, vocabulary: 48, embeddingAxis: 0, dtype: "float32"),
  ]

  /// Each is read, runs over to Meta's layout in all sizes that its heads allow, and torch finds there what it wrote, bit for bit.
  @Test(arguments: shapes) func everyNameBitForBit(_ shape: PythonModels.Shape) throws {
    try withTemporaryFolder { root in
      let cases = try PythonModels.writeNamed(shape, to: root)
      #expect(cases.count > 35)
      try PythonModels.write(shape, to: root + "/plain", modelParallel: 1)
      let plain = try Checkpoint.open(at: FilePath(root + "/plain")).fingerprint()
      var outputs: [PythonModels.Folder] = []
      for (name, words) in cases.sorted(by: { $0.key < $1.key }) {
        let checkpoint = try Checkpoint.open(at: FilePath("\(root)/\(name)"))
        #expect(try checkpoint.fingerprint() == plain, "\(name)")
        // What is left out is said, and nothing else is.
        let notes = checkpoint.companions.notes
        #expect(words.isEmpty ? notes.allSatisfy { !$0.contains("left out") } : notes.contains { $0.contains("left out") && $0.contains(words) }, "\(name): \(notes)")
        for count in [1, shape.heads] where shape.vocabulary % count == 0 && shape.hidden % count == 0 {
          let output = PythonModels.Folder(path: "\(root)/out/\(name)/named-\(count)", modelParallel: count)
          try FileManager.default.createDirectory(atPath: "\(root)/out/\(name)", withIntermediateDirectories: true)
          try reshard("\(root)/\(name)", output.path, modelParallel: count)
          outputs.append(output)
        }
        // The file by its name is the same as the folder.
        guard let file = try FileManager.default.contentsOfDirectory(atPath: "\(root)/\(name)").sorted().first(where: { !$0.hasSuffix(".json") && !["optimizer.pt", "training_args.bin"].contains($0) })
        else { continue }
        #expect(try Checkpoint.open(at: FilePath("\(root)/\(name)/\(file)")).fingerprint() == plain, "\(name)/\(file)")
        guard shape.dtype == "bfloat16" else { continue }
        let outcome = try drover("inspect", "\(root)/\(name)/\(file)")
        #expect(outcome.status == 0, "\(name)/\(file): \(outcome.errors)")
      }
      try PythonModels.check(shape, outputs, with: .currentTorch)
    }
  }

  /// With --keep-extra what isn't a Llama's goes along as it is, through every format and back, next to the weights.
  @Test func extrasThatAreKept() throws {
    try withTemporaryFolder { root in
      try python(
        """
        import json, os, sys, torch
        from safetensors.torch import save_file
        root = sys.argv[1]
        torch.manual_seed(4)
        dim, hidden, vocab = 64, 96, 160
        w = {"tok_embeddings.weight": torch.randn(vocab, dim), "norm.weight": torch.ones(dim), "output.weight": torch.randn(vocab, dim)}
        p = "layers.0."
        for n in ("wq", "wk", "wv", "wo"): w[p + f"attention.{n}.weight"] = torch.randn(dim, dim)
        w |= {p + "feed_forward.w1.weight": torch.randn(hidden, dim), p + "feed_forward.w2.weight": torch.randn(dim, hidden), p + "feed_forward.w3.weight": torch.randn(hidden, dim),
              p + "attention_norm.weight": torch.ones(dim), p + "ffn_norm.weight": torch.ones(dim)}
        extra = {"freqs_cis": torch.randn(6, 4, dtype=torch.complex64), "layers.0.attention.mask": torch.rand(1, 1, 5, 5) < 0.5, "layers.0.attention.cache_k": torch.randint(-128, 127, (2, 3, 2, 8), dtype=torch.int8),
                 "layers.0.attention.wq.lora_A.weight": torch.randn(3, dim).bfloat16(), "layers.0.attention.wq.lora_B.weight": torch.randn(3, dim).double().t(), "score.weight": torch.randn(2, dim, 2)[:, :, 1],
                 "norm.num_batches_tracked": torch.tensor(7), "position_ids": torch.arange(9), "cache": torch.zeros(0, 3), "quo\\"ted.mask": torch.ones(3, dtype=torch.float16)}
        for name, save in [("zip", lambda t, f: torch.save(t, f + "/model.pth")), ("legacy", lambda t, f: torch.save(t, f + "/model.pt", _use_new_zipfile_serialization=False)),
                           ("safe", lambda t, f: save_file({k: v.contiguous() for k, v in t.items()}, f + "/model.safetensors"))]:
            os.makedirs(f"{root}/{name}"); save(w | extra, f"{root}/{name}")
            json.dump({"dim": dim, "n_heads": 8, "n_layers": 1, "hidden_dim": hidden, "norm_eps": 1e-5, "vocab_size": vocab}, open(f"{root}/{name}/params.json", "w"))
        torch.save(extra, root + "/extra")
        """, root, with: .currentTorch)
      for source in ["zip", "legacy", "safe"] {
        var from = "\(root)/\(source)"
        for (number, (format, count)) in [("pth", "1"), ("safetensors", "1"), ("hf", "1"), ("pth", "1"), ("pth", "2")].enumerated() {
          let to = "\(root)/\(source)-\(number)-\(format)"
          let outcome = try drover("reshard", from, to, "--mp", count, "--format", format, "--keep-extra")
          #expect(outcome.status == 0 && !outcome.errors.contains("left out"), "\(outcome.errors)")
          #expect(try drover("verify", to).status == 0)
          from = to
        }
        #expect(try drover("reshard", from, from + "-x", "--mp", "1", "--keep-extra").status == 64)
        let without = try drover("reshard", "\(root)/\(source)", "\(root)/\(source)-without", "--mp", "1")
        #expect(without.status == 0 && without.errors.contains("left out") && without.errors.contains("lora_A"), "\(without.errors)")
      }
      try python(
        """
        import glob, sys, torch
        from safetensors.torch import load_file
        want = torch.load(sys.argv[1] + "/extra")
        files = sum((glob.glob(f"{sys.argv[1]}/*-[0-9]-*/*.{e}") for e in ("pth", "safetensors")), [])
        assert len(files) == 3 * 6, files
        for file in files:
            got = torch.load(file, weights_only=True) if file.endswith("pth") else load_file(file)
            for name, t in want.items():
                g = got[name]
                assert g.dtype == t.dtype and g.shape == t.shape and g.is_contiguous() and torch.equal(g, t), (file, name, g.dtype, g.shape)
        assert not any("lora" in k for k in torch.load(sys.argv[1] + "/zip-without/consolidated.00.pth"))
        """, root, with: .currentTorch)
    }
  }

  struct Refusal: Sendable, CustomTestStringConvertible {
    let name: String
    /// Python that puts files into `folder`; `w` has Meta's names, `hf` Hugging Face's.
    let script: String
    let words: [String]
    var testDescription: String { name }
  }

  static let refusals = [
    Refusal(name: "two models", script: "torch.save(w, folder + '/a.pt'); torch.save(w, folder + '/b.pth')", words: ["a.pt, b.pth", "name the one that is meant"]),
    Refusal(name: "no model", script: "torch.save({'state': {}, 'param_groups': [1]}, folder + '/optimizer.pt')", words: ["no tensor in optimizer.pt is called as a Llama's"]),
    Refusal(name: "two states", script: "torch.save({'model': w, 'state_dict': w}, folder + '/a.pt')", words: ["under model and under state_dict"]),
    Refusal(name: "one rank twice", script: "torch.save(w, folder + '/consolidated.0.pth'); torch.save(w, folder + '/consolidated.00.pth')", words: ["both of rank 0"]),
    Refusal(name: "one of two files", script: "torch.save(w, folder + '/x-00001-of-00002.bin')", words: ["x-00002-of-00002.bin", "a file is missing"]),
    Refusal(name: "only a class", script: "import argparse; torch.save({'model': w, 'args': argparse.Namespace(lr=1)}, folder + '/a.pt')", words: ["argparse.Namespace", "nothing was run"]),
    Refusal(
      name: "heads of another model", script: "w['layers.0.attention.wqkv.weight'] = torch.zeros(130, 64); torch.save(w, folder + '/model.pth')",
      words: ["layers.0.attention.wqkv.weight", "[130, 64]", "8 heads", "params.json"]),
    Refusal(
      name: "one tensor under two names", script: "torch.save(w | {'module.norm.weight': w['norm.weight']}, folder + '/a.pt')", words: ["norm.weight", "a second time"]),
    Refusal(name: "a tensor of another model", script: "torch.save(w | {'layers.0.attention.q_norm.weight': torch.ones(8)}, folder + '/a.pt')", words: ["q_norm"]),
    Refusal(name: "adapters alone", script: "torch.save({'layers.0.attention.wq.lora_A.weight': torch.ones(2, 8)}, folder + '/consolidated.pth')", words: ["consolidated.pth"]),
  ]

  @Test func whatCantBeKnownIsRefused() throws {
    try withTemporaryFolder { root in
      let start = """
        import json, os, sys, torch
        dim, hidden, vocab = 64, 96, 160
        def model():
            w = {"tok_embeddings.weight": torch.randn(vocab, dim), "norm.weight": torch.ones(dim), "output.weight": torch.randn(vocab, dim)}
            p = "layers.0."
            for n in ("wq", "wk", "wv", "wo"): w[p + f"attention.{n}.weight"] = torch.randn(dim, dim)
            w |= {p + "feed_forward.w1.weight": torch.randn(hidden, dim), p + "feed_forward.w2.weight": torch.randn(dim, hidden), p + "feed_forward.w3.weight": torch.randn(hidden, dim),
                  p + "attention_norm.weight": torch.ones(dim), p + "ffn_norm.weight": torch.ones(dim)}
            return w
        for number, script in enumerate(json.loads(sys.argv[2])):
            folder = f"{sys.argv[1]}/{number}"; os.makedirs(folder)
            json.dump({"dim": dim, "n_heads": 8, "n_layers": 1, "hidden_dim": hidden, "norm_eps": 1e-5, "vocab_size": vocab}, open(folder + "/params.json", "w"))
            w = model(); exec(script)
        """
      try python(start, root, String(decoding: JSONEncoder().encode(Self.refusals.map(\.script)), as: UTF8.self), with: .currentTorch)
      for (number, refusal) in Self.refusals.enumerated() {
        let error = #expect(throws: CheckpointError.self, "\(refusal.name)") { try Checkpoint.open(at: FilePath("\(root)/\(number)")) }
        for words in refusal.words { #expect(error?.description.contains(words) == true, "\(refusal.name): \(String(describing: error))") }
      }
    }
  }
}
