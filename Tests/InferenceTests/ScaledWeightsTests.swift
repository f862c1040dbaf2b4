import Checkpoint
import Foundation
import Inference
import SystemPackage
import TestSupport
import Testing

/// Weights that Meta ships as codes with scales: what torch makes of them in bfloat16 is the truth.
@Suite(.serialized, .needs(.currentTorch)) struct ScaledWeightsTests {
  /// Random models as codes, in `coded`, and what they stand for, in `plain`. Numbers are such that float32 has no rounding to do on the way.
  private static let script = """
    import json, os, sys, torch
    from safetensors.torch import save_file
    root = sys.argv[1]
    dim, heads, kv, hidden, vocab, layers = 64, 8, 4, 128, 160, 4
    def write(folder, shards, params, format="pth"):
        os.makedirs(f"{root}/{folder}", exist_ok=True)
        json.dump(dict(dim=dim, n_heads=heads, n_kv_heads=kv, n_layers=layers, hidden_dim=hidden, norm_eps=1e-5, vocab_size=vocab) | params, open(f"{root}/{folder}/params.json", "w"))
        for rank, shard in enumerate(shards):
            if format == "pth": torch.save(shard, f"{root}/{folder}/consolidated.{rank:02}.pth")
            else: save_file({k: t.contiguous() for k, t in shard.items()}, f"{root}/{folder}/consolidated.{rank:02}.safetensors")
    def base():
        def t(*shape): return (torch.randn(*shape) / 8).bfloat16()
        w = {"tok_embeddings.weight": t(vocab, dim), "norm.weight": t(dim), "output.weight": t(vocab, dim)}
        for l in range(layers):
            p = f"layers.{l}."
            w |= {p + "attention.wq.weight": t(dim, dim), p + "attention.wk.weight": t(dim // 2, dim), p + "attention.wv.weight": t(dim // 2, dim), p + "attention.wo.weight": t(dim, dim),
                  p + "feed_forward.w1.weight": t(hidden, dim), p + "feed_forward.w2.weight": t(dim, hidden), p + "feed_forward.w3.weight": t(hidden, dim),
                  p + "attention_norm.weight": t(dim), p + "ffn_norm.weight": t(dim)}
        return w
    def cut(w, rank, ranks):
        def axis(n): return 1 if "wo." in n or "w2." in n else 0
        return {n: t.clone() if "norm" in n else t.chunk(ranks, axis(n))[rank].clone() for n, t in w.items()}

    """

  private static let float8 = """
    torch.manual_seed(1)
    for ranks in (1, 2, 4):
        for format in ("pth", "safetensors"):
            w, coded, plain = base(), [], []
            for rank in range(ranks):
                c, p, scales = cut(w, rank, ranks), cut(w, rank, ranks), {}
                for l in range(1, layers - 1):
                    for m in ("w1", "w2", "w3"):
                        name = f"layers.{l}.feed_forward.{m}.weight"
                        t = c[name].float()
                        s = t.abs().amax(1) / 448
                        q = (t / s[:, None]).to(torch.float8_e4m3fn)
                        c[name], p[name] = q, (q.float() * s[:, None]).bfloat16()
                        scales[f"{l}_feed_forward.{m}_{rank}"] = s if m == "w1" else s[:, None]
                coded.append(c); plain.append(p)
                os.makedirs(f"{root}/coded-{ranks}-{format}", exist_ok=True)
                torch.save(scales, f"{root}/coded-{ranks}-{format}/fp8_scales_{rank}.pt")
            write(f"coded-{ranks}-{format}", coded, {}, format); write(f"plain-{ranks}-{format}", plain, {})
    """

  private static let int8 = """
    torch.manual_seed(2)
    def hadamard(n):
        h = torch.ones(1, 1, dtype=torch.float64)
        while h.shape[0] < n: h = torch.cat([torch.cat([h, h], 1), torch.cat([h, -h], 1)])
        return h / n ** 0.5
    def whole(low, high, *shape): return torch.randint(low, high, shape)
    for name, group, spin, rank, zeros, format in [("spin", 32, True, None, False, "pth"), ("qlora", 16, False, 4, False, "pth"), ("all", 32, True, 4, True, "pth"), ("safe", 64, False, None, True, "safetensors")]:
        global_hidden = hidden
        hidden = 64
        w = base()
        coded, plain = dict(w), dict(w)
        for key, t in w.items():
            if t.dim() == 1: continue
            stem, (rows, columns) = key.removesuffix("weight"), t.shape
            isWhole = not key.startswith("layers.")
            q = whole(-127, 128, rows, columns) if isWhole else whole(-8, 8, rows, columns)
            groups = 1 if isWhole else columns // group
            s = 2.0 ** whole(-9, -5, rows, groups)
            z = whole(-2, 3, rows, groups) if zeros and not isWhole else torch.zeros(rows, groups, dtype=torch.int64)
            value = (q - z.repeat_interleave(columns // groups, 1)).double() * s.double().repeat_interleave(columns // groups, 1)
            coded[key] = q.to(torch.int8); coded[stem + "scales"] = s.float()
            if zeros and not isWhole: coded[stem + "zeros"] = z.float()
            if rank and not isWhole:
                a, b = whole(-4, 5, rank, columns) / 8, whole(-4, 5, rows, rank) / 64
                coded[stem + "adaptor.A.weight"], coded[stem + "adaptor.B.weight"] = a.bfloat16(), b.bfloat16()
                value = value + 2 * (b.double() @ a.double())
            if spin and "w2" in key: value = value @ hadamard(columns)
            plain[key] = value.float().bfloat16()
        params = {"quantization_args": {"scheme": "int4_weight_int8_dynamic_activation", "group_size": group, "spinquant": spin}} | ({"lora_args": {"rank": rank, "scale": 2.0}} if rank else {})
        write("coded-" + name, [coded], params, format); write("plain-" + name, [plain], {})
        hidden = global_hidden
    """

  @Test(arguments: [float8, int8]) func codesAreWhatTorchMakesOfThem(_ script: String) throws {
    try withTemporaryFolder { root in
      try python(Self.script + script, root, with: .currentTorch)
      let names = try FileManager.default.contentsOfDirectory(atPath: root).filter { $0.hasPrefix("coded-") }
      #expect(names.count >= 4)
      let tokens = (0..<30).map { ($0 * 37) % 160 }
      func logits(_ folder: String) throws -> [UInt32] {
        let model = try Transformer(Checkpoint.open(at: FilePath(folder)), maxBatchSize: 1, maxSequenceLength: 30, threads: 2)
        return try allLogits(model, tokens, passes: [tokens.indices]).map(\.bitPattern)
      }
      for name in names {
        let (coded, plain) = ("\(root)/\(name)", "\(root)/\(name.replacing("coded", with: "plain"))")
        let checkpoint = try Checkpoint.open(at: FilePath(coded))
        #expect(checkpoint.unhonoured.isEmpty && checkpoint.companions.notes.contains { $0.contains("bfloat16") }, "\(name): \(checkpoint.unhonoured)")
        #expect(try checkpoint.fingerprint() == Checkpoint.open(at: FilePath(plain)).fingerprint(), "\(name)")
        #expect(try logits(coded) == logits(plain), "\(name)")
        for (count, format) in [(1, Checkpoint.Format.pth), (4, .pth), (2, .safetensors), (1, .hf)] {
          try reshard(coded, "\(coded)-out-\(count)-\(format)", modelParallel: count, format: format)
          try reshard(plain, "\(plain)-out-\(count)-\(format)", modelParallel: count, format: format)
        }
      }
      // Byte for byte the files that come of torch's bfloat16, and torch reads in them what it wrote.
      try python(
        """
        import glob, sys, torch
        count = 0
        for folder in glob.glob(sys.argv[1] + "/coded-*-out-*"):
            for file in glob.glob(folder + "/*.pth") + glob.glob(folder + "/*.safetensors"):
                assert open(file, "rb").read() == open(file.replace("/coded-", "/plain-"), "rb").read(), file
                count += 1
        for source in sum((glob.glob(f"{sys.argv[1]}/plain-{name}") for name in ("1-pth", "spin", "all", "qlora")), []):
            want = torch.load(source + "/consolidated.00.pth")
            got = torch.load(source.replace("/plain-", "/coded-") + "-out-1-pth/consolidated.00.pth")
            for name, t in want.items():
                assert got[name].dtype == torch.bfloat16 and torch.equal(got[name].view(torch.int16), t.view(torch.int16)), (source, name)
            count += 100
        assert count > 100, count
        """, root, with: .currentTorch)
    }
  }

  /// Python that spoils one thing, and what is said then.
  static let spoilt: [(name: String, script: String, words: [String])] = [
    ("no scales", "os.remove(folder + '/fp8_scales_1.pt')", ["float8_e4m3fn", "a dtype that drover lacks"]),
    ("a scale less", "del scales['1_feed_forward.w2_0']", ["fp8_scales_0.pt", "has no 1_feed_forward.w2_0"]),
    ("a scale more", "scales['0_feed_forward.w2_0'] = torch.ones(64)", ["fp8_scales_0.pt", "0_feed_forward.w2_0", "no weight in float8"]),
    ("another rank's", "scales = torch.load(folder + '/fp8_scales_1.pt')", ["fp8_scales_0.pt", "has no 1_feed_forward.w1_0"]),
    ("too few", "scales['1_feed_forward.w1_0'] = torch.ones(63)", ["fp8_scales_0.pt", "[63]", "[64, 64]"]),
    ("integers", "scales['1_feed_forward.w1_0'] = torch.ones(64, dtype=torch.int64)", ["fp8_scales_0.pt", "has no 1_feed_forward.w1_0"]),
    ("code in the scales", "import argparse; scales = argparse.Namespace()", ["fp8_scales_0.pt", "argparse.Namespace", "nothing was run"]),
    ("no file of torch's", "open(folder + '/fp8_scales_0.pt', 'w').write('<html></html>'); scales = None", ["fp8_scales_0.pt"]),
    ("groups of another size", "w['layers.0.attention.wq.scales'] = torch.ones(64, 4)", ["layers.0.attention.wq.scales", "16 columns", "group_size 32"]),
    ("groups that don't divide", "w['layers.0.attention.wq.scales'] = torch.ones(64, 3)", ["layers.0.attention.wq.scales", "[64, 64]"]),
    ("scales of another matrix", "w['layers.0.attention.wq.scales'] = torch.ones(63, 2)", ["layers.0.attention.wq.scales"]),
    ("zeros of another matrix", "w['layers.0.attention.wq.zeros'] = torch.ones(64, 1)", ["layers.0.attention.wq.zeros"]),
    ("no scales beside codes", "del w['layers.0.attention.wq.scales']", ["layers.0.attention.wq.weight", "layers.0.attention.wq.scales isn't there"]),
    ("scales without codes", "w['norm.scales'] = torch.ones(64, 1)", ["norm.scales"]),
    ("an adaptor that nothing is said of", "p.pop('lora_args')", ["adaptor.A.weight", "lora_args"]),
    ("an adaptor of another rank", "p['lora_args']['rank'] = 5", ["adaptor.A.weight", "rank 5"]),
    ("half an adaptor", "del w['layers.0.attention.wq.adaptor.B.weight']", ["adaptor.B.weight"]),
    ("another scheme", "p['quantization_args']['scheme'] = 'int3'", ["quantization_args.scheme"]),
  ]

  @Test func whatDoesntFitIsRefused() throws {
    try withTemporaryFolder { root in
      try python(
        Self.script + Self.float8 + "\n" + Self.int8 + """

          import shutil
          for number, script in enumerate(json.loads(sys.argv[2])):
              fp8 = "scales" in script and "fp8" in script or "scales[" in script or "scales =" in script
              folder = f"{root}/spoilt-{number}"
              shutil.copytree(f"{root}/coded-2-pth" if fp8 else f"{root}/coded-all", folder)
              scales = torch.load(folder + "/fp8_scales_0.pt") if fp8 else None
              w, p = torch.load(folder + "/consolidated.00.pth"), json.load(open(folder + "/params.json"))
              exec(script)
              if fp8:
                  if scales is not None and "os.remove" not in script: torch.save(scales, folder + "/fp8_scales_0.pt")
              else: torch.save(w, folder + "/consolidated.00.pth"); json.dump(p, open(folder + "/params.json", "w"))
          """, root, String(decoding: JSONEncoder().encode(Self.spoilt.map(\.script)), as: UTF8.self), with: .currentTorch)
      for (number, test) in Self.spoilt.enumerated() {
        let outcome = try drover("bench", "\(root)/spoilt-\(number)", "--prompt-tokens", "1", "--gen-tokens", "1")
        #expect(outcome.status == 65, "\(test.name): \(outcome.status) \(outcome.errors)")
        for words in test.words { #expect(outcome.errors.contains(words), "\(test.name): \(outcome.errors)") }
      }
    }
  }
}
