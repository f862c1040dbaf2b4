import Checkpoint
import Foundation
import Integrity
import SystemPackage
import TestSupport
import Testing

/// GGUF files that drover writes, read by the `gguf` package and held against ggml's quantizers.
@Suite(.needs(.python), .needs(.ggml))
struct GGUFOutputTests {
  /// Reads `.gguf` files, and says what each tensor should be: its numbers, in Meta's order, as ggml's reference puts them into blocks.
  private static let reader = """
    import ctypes, glob, json, os, sys, numpy as np, torch, gguf
    library = ctypes.CDLL(sys.argv[1])
    def bits(t, kind): return t.to(kind).contiguous().view(torch.int16).numpy().tobytes()
    def blocks(t, name):
        t = t.float().contiguous()
        if name == "F32": return t.numpy().tobytes()
        if name == "F16": return bits(t, torch.float16)
        if name == "BF16": return bits(t, torch.bfloat16)
        kind = gguf.GGMLQuantizationType[name]
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        assert t.shape[-1] % elements == 0, name
        out = np.zeros(t.numel() // elements * size, np.uint8)
        getattr(library, f"quantize_row_{name.lower().replace('_k', '_K')}_ref")(ctypes.c_void_p(t.data_ptr()), ctypes.c_void_p(out.ctypes.data), ctypes.c_int64(t.numel()))
        return out.tobytes()
    names = {"token_embd": "tok_embeddings", "output_norm": "norm", "output": "output", "attn_norm": "attention_norm", "attn_q": "attention.wq", "attn_k": "attention.wk",
             "attn_v": "attention.wv", "attn_output": "attention.wo", "ffn_norm": "ffn_norm", "ffn_gate": "feed_forward.w1", "ffn_down": "feed_forward.w2", "ffn_up": "feed_forward.w3"}
    def meta(name):
        parts = name.split(".")
        return (f"layers.{parts[1]}." if parts[0] == "blk" else "") + names[parts[-2]] + ".weight"
    def files(folder): return [gguf.GGUFReader(f) for f in sorted(glob.glob(folder + "/*.gguf"))]

    """

  /// From shards whose edges fall into blocks, from other formats, and from GGUF itself: each number goes into the block that ggml makes of it.
  @Test(arguments: ["untied", "tied"]) func everyTypeFromEveryLayout(_ tied: String) throws {
    try withTemporaryFolder { folder in
      // 512 wide, 768 in the feed-forward layer: an eighth of that is no multiple of a block.
      _ = try ReferenceModel.write(to: folder, tied: tied, scale: 8)
      let layouts = ["mp8", "hf", "model.gguf", "mp2", "safetensors", "mp4", "mp1", "strided"]
      var fingerprints: [String: String] = [:]
      for (index, mix) in (DTypeMix.allCases.filter { $0 != .f64 }.map(Optional.some) + [nil]).enumerated() {
        for layout in ["mp8", layouts[index % layouts.count]] {
          let out = "\(folder)/\(mix?.rawValue ?? "keep")-\(layout)"
          guard !FileManager.default.fileExists(atPath: out) else { continue }
          try reshard("\(folder)/\(layout)", out, modelParallel: 1, format: .gguf, dtype: mix, .init(tool: "test"))
          // A receipt proves what was written; what is read again is that.
          let receipt = try #require(try Receipt(contentsOf: FilePath(out + "/" + Receipt.fileName)).fingerprint)
          let found = try Checkpoint.open(at: FilePath(out)).fingerprint()
          #expect(receipt == found, "\(out)")
          #expect(fingerprints.updateValue(found.whole.hex, forKey: mix?.rawValue ?? "keep") ?? found.whole.hex == found.whole.hex, "\(out)")
        }
      }
      try python(
        Self.reader + """
          root, tied = sys.argv[2], sys.argv[3] == "tied"
          model = torch.load(root + "/mp1/consolidated.00.pth")
          model.pop("rope.freqs")
          seen = 0
          for mix in ["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "q4_k_s", "q4_k_m", "q5_k_s", "q5_k_m", "q6_k", "keep"]:
              for folder in glob.glob(f"{root}/{mix}-*"):
                  [file] = files(folder)
                  kinds = set()
                  assert sorted(meta(t.name) for t in file.tensors) == sorted(model), folder
                  for t in file.tensors:
                      whole = model[meta(t.name)]
                      assert list(reversed(t.shape)) == list(whole.shape), (folder, t.name)
                      assert t.data.tobytes() == blocks(whole, t.tensor_type.name), (folder, t.name, t.tensor_type)
                      assert t.data_offset % 32 == 0
                      if whole.dim() == 2: kinds.add(t.tensor_type.name.lower())
                      else: assert t.tensor_type.name == "F32"
                  assert glob.glob(folder + "/*.gguf")[0].endswith(f"-{'BF16' if mix == 'keep' else mix.upper()}.gguf")
                  assert ("bf16" if mix == "keep" else "_".join(mix.split("_")[:2])) in kinds, (folder, kinds)
                  seen += 1
          assert seen >= 26, seen
          """, Peer.ggml.path, folder, tied)
    }
  }

  /// All that llama.cpp's llama architecture reads, from Meta's description.
  @Test func descriptions() throws {
    try withTemporaryFolder { folder in
      let shape = PythonModels.Shape(dim: 256, heads: 8, kvHeads: 2, hidden: 512, layers: 2, vocabulary: 1024)
      try PythonModels.write(shape, to: folder + "/Llama of mine", modelParallel: 2)
      try python(
        """
        import json, sys
        p = json.load(open(sys.argv[1]))
        p |= {"norm_eps": 1e-6, "rope_theta": 500000.0, "use_scaled_rope": True, "rope_scaling_factor": 16.0}
        json.dump(p, open(sys.argv[1], "w"))
        for n in (0, 1):
            import torch
            file = sys.argv[1].replace("params.json", f"consolidated.0{n}.pth")
            w = torch.load(file); w.pop("rope.freqs", None); torch.save(w, file)
        """, folder + "/Llama of mine/params.json")
      let outcome = try drover("reshard", folder + "/Llama of mine", folder + "/out", "--format", "gguf", "--dtype", "bf16")
      try #require(outcome.status == 0, "\(outcome.errors)")
      #expect(outcome.errors.contains("llama.context_length is 2048") && outcome.errors.contains("no tokenizer lies beside the weights"), "\(outcome.errors)")
      try python(
        Self.reader + """
          import math
          [file] = files(sys.argv[2])
          assert os.path.basename(glob.glob(sys.argv[2] + "/*.gguf")[0]) == "Llama of mine-BF16.gguf"
          said = {k: f.contents() for k, f in file.fields.items() if not k.startswith("GGUF.")}
          expected = {
            "general.architecture": "llama", "general.type": "model", "general.name": "Llama of mine", "general.alignment": 32,
            "general.file_type": gguf.LlamaFileType.MOSTLY_BF16, "general.quantization_version": gguf.GGML_QUANT_VERSION,
            "llama.block_count": 2, "llama.context_length": 2048, "llama.embedding_length": 256, "llama.feed_forward_length": 512, "llama.attention.head_count": 8,
            "llama.attention.head_count_kv": 2, "llama.attention.key_length": 32, "llama.attention.value_length": 32, "llama.rope.dimension_count": 32,
            "llama.rope.freq_base": 500000.0, "llama.vocab_size": 1024, "tokenizer.ggml.model": "none", "llama.rope.scaling.original_context_length": 8192}
          for key, value in expected.items(): assert said[key] == value, (key, said[key])
          assert said["llama.attention.layer_norm_rms_epsilon"] == float(np.float32(1e-6))
          types = {k: f.types[0] for k, f in file.fields.items()}
          assert types["llama.block_count"] == gguf.GGUFValueType.UINT32 and types["llama.rope.freq_base"] == gguf.GGUFValueType.FLOAT32
          [factors] = [t.data for t in file.tensors if t.name == "rope_freqs.weight"]
          # As llama-models scales frequencies.
          for i, factor in enumerate(factors):
              length = 2 * math.pi * 500000.0 ** (2 * i / 32)
              smooth = (8192 / length - 1) / (4 - 1)
              scaled = 1 if length < 8192 / 4 else 16 if length > 8192 else 1 / ((1 - smooth) / 16 + smooth)
              assert abs(factor - scaled) <= 1e-6 * scaled, (i, factor, scaled)
          """, Peer.ggml.path, folder + "/out")
      let again = try Checkpoint.open(at: FilePath(folder + "/out")).params
      #expect(again.ropeScaling?.factor == 16 && again.ropeTheta == 500_000 && again.normEpsilon == 1e-6)
    }
  }

  /// Parts by the names that llama.cpp looks for, of which the first says everything.
  @Test func partsOfOneFile() throws {
    try withTemporaryFolder { folder in
      try SmallModel.write(to: folder + "/small")
      func write() throws {
        let outcome = try drover("reshard", folder + "/small", folder + "/out", "--format", "gguf", "--dtype", "q8_0", "--max-shard-size", "400k", "--force", "-q")
        try #require(outcome.status == 0, "\(outcome.errors)")
      }
      try write()
      // The parts are one checkpoint, which may be replaced.
      try write()
      try python(
        Self.reader + """
          whole, paths = files(sys.argv[2]), sorted(glob.glob(sys.argv[2] + "/*.gguf"))
          assert [os.path.basename(p) for p in paths] == [f"small-Q8_0-{i + 1:05}-of-{len(whole):05}.gguf" for i in range(len(whole))] and len(whole) > 2, paths
          for number, file in enumerate(whole):
              said = {k: f for k, f in file.fields.items() if not k.startswith("GGUF.")}
              assert (said["split.no"].contents(), said["split.count"].contents()) == (number, len(whole))
              assert said["split.tensors.count"].contents() == sum(len(f.tensors) for f in whole) == 12
              assert said["split.no"].types[0] == gguf.GGUFValueType.UINT16 and said["split.tensors.count"].types[0] == gguf.GGUFValueType.INT32
              assert ("llama.block_count" in said) == (number == 0)
              assert sum(int(t.n_bytes) for t in file.tensors) <= 400_000 or len(file.tensors) == 1
          """, Peer.ggml.path, folder + "/out")
      let verify = try drover("verify", folder + "/out", "-q")
      #expect(verify.status == 0, "\(verify.errors)")
    }
  }

  /// What blocks can't hold is refused by the name of the tensor, and nothing is written.
  @Test(arguments: [("nan", "w[5, 3] = float('nan')", 65, "has nan in row 5"), ("infinite", "w[7, 300] = -float('inf')", 65, "has -inf in row 7"), ("large", "w[2, 9] = 1e38", 64, "in row 2 that are too large for the float16 scales of q4_k")])
  func whatBlocksCantHold(_ name: String, _ damage: String, _ status: Int32, _ message: String) throws {
    try withTemporaryFolder { folder in
      let shape = PythonModels.Shape(dim: 512, heads: 8, kvHeads: 8, hidden: 512, layers: 1, vocabulary: 512)
      try PythonModels.write(shape, to: folder + "/source", modelParallel: 1)
      try python(
        """
        import sys, torch
        model = torch.load(sys.argv[1])
        model = {k: t if k == "rope.freqs" else torch.randn(t.shape).to(t.dtype) for k, t in model.items()}
        w = model["layers.0.feed_forward.w1.weight"]
        \(damage)
        torch.save(model, sys.argv[1])
        """, folder + "/source/consolidated.00.pth")
      let outcome = try drover("reshard", folder + "/source", folder + "/out", "--format", "gguf", "--dtype", "q4_k_s")
      #expect(outcome.status == status, "\(outcome.errors)")
      #expect(outcome.errors.contains("layers.0.feed_forward.w1.weight") && outcome.errors.contains(message), "\(outcome.errors)")
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["source"])
    }
  }

  @Test func namesThatAreNotFolders() throws {
    try withTemporaryFolder { folder in
      try SmallModel.write(to: folder + "/small")
      for (arguments, message) in [
        ([folder + "/x.gguf", "--format", "gguf"], "DST is a folder"), ([folder + "/x", "--mp", "1", "--dtype", "q4_k_m"], "pth has no q4_k_m; f32, f16, bf16 and f64 can be written"),
        ([folder + "/x", "--format", "pth"], "--mp says how many shards"), ([folder + "/x", "--format", "gguf", "--mp", "2"], "gguf isn't split by ranks"),
      ] {
        let outcome = try run(droverPath, ["reshard", folder + "/small"] + arguments)
        #expect(outcome.status == 64 && outcome.errors.contains(message), "\(arguments): \(outcome.status) \(outcome.errors)")
      }
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["small"])
    }
  }
}
