import Checkpoint
import Foundation
import SystemPackage
import TestSupport
import Testing

/// `--dtype` by tensor: what torch makes of each number, and what becomes of those that don't fit.
@Suite(.needs(.currentTorch)) struct DTypeRulesTests {
  private static let write = """
    import json, sys, torch
    folder, kind = sys.argv[1], getattr(torch, sys.argv[2])
    torch.manual_seed(11)
    dim, hidden, vocab = 64, 96, 160
    # Any bits, so that there are ties, numbers below the least normal one, NaNs and infinities; and some too large for float16 that are none of these.
    def t(*shape):
        bits = torch.randint(-2**31, 2**31 - 1, shape, dtype=torch.int64).to(torch.int32)
        x = bits.view(torch.float32)
        ties = (torch.randn(shape).bfloat16().float().view(torch.int32) | 0x8000).view(torch.float32)
        x = torch.where(torch.rand(shape) < 0.5, ties, x).to(kind)
        x.view(-1)[:6] = torch.tensor([float("nan"), float("inf"), -float("inf"), -0.0, 65504, 1e-8]).to(kind)
        return x
    w = {"tok_embeddings.weight": t(vocab, dim), "norm.weight": t(dim), "output.weight": t(vocab, dim)}
    for l in range(2):
        p = f"layers.{l}."
        for n in ("wq", "wk", "wv", "wo"): w[p + f"attention.{n}.weight"] = t(dim, dim)
        w |= {p + "feed_forward.w1.weight": t(hidden, dim), p + "feed_forward.w2.weight": t(dim, hidden), p + "feed_forward.w3.weight": t(hidden, dim),
              p + "attention_norm.weight": t(dim), p + "ffn_norm.weight": t(dim)}
    torch.save(w, folder + "/consolidated.00.pth")
    json.dump({"dim": dim, "n_heads": 8, "n_layers": 2, "hidden_dim": hidden, "norm_eps": 1e-5, "vocab_size": vocab}, open(folder + "/params.json", "w"))
    """

  private static let check = """
    import fnmatch, json, sys, torch
    source, out, rules = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    want, got = (torch.load(f + "/consolidated.00.pth") for f in (source, out))
    integer = {torch.float64: torch.int64, torch.float32: torch.int32, torch.float16: torch.int16, torch.bfloat16: torch.int16}
    overflows = {}
    for name, t in want.items():
        bare = name.split(".", 2)[2] if name.startswith("layers.") else name
        kind = next((d for p, d in rules if fnmatch.fnmatchcase(name, p) or fnmatch.fnmatchcase(bare, p)), "keep")
        due = t if kind == "keep" else t.to(getattr(torch, kind))
        assert got[name].dtype == due.dtype, (name, got[name].dtype, due.dtype)
        assert torch.equal(got[name].isnan(), due.isnan()), name
        a, b = got[name][~due.isnan()], due[~due.isnan()]
        assert torch.equal(a.view(integer[a.dtype]), b.view(integer[b.dtype])), name
        count = (due.isinf() & t.isfinite()).sum().item()
        if count: overflows[name] = count
    print(json.dumps(overflows))
    """

  @Test(arguments: ["float32", "float64", "float16", "bfloat16"]) func everyNumberIsWhatTorchMakesOfIt(kind: String) throws {
    let all: [(text: String, rules: [(String, String)])] = [
      ("*norm*=f32,tok*=f16,layers.0.*=keep,*=bf16", [("*norm*", "float32"), ("tok*", "float16"), ("layers.0.*", "keep"), ("*", "bfloat16")]),
      ("attention.w?.weight=f16,*.weight=f64", [("attention.w?.weight", "float16"), ("*.weight", "float64")]), ("f16", [("*", "float16")]), ("bf16", [("*", "bfloat16")]),
      ("output.weight=f16", [("output.weight", "float16")]), ("keep", []), ("layers.*.feed_forward.*=bf16,*=f32", [("layers.*.feed_forward.*", "bfloat16"), ("*", "float32")]),
    ]
    try withTemporaryFolder { root in
      try FileManager.default.createDirectory(atPath: root + "/source", withIntermediateDirectories: false)
      try python(Self.write, root + "/source", kind, with: .currentTorch)
      for (number, (text, rules)) in all.enumerated() {
        let out = "\(root)/\(number)"
        let outcome = try drover("reshard", root + "/source", out, "--mp", "1", "--dtype", text)
        #expect(outcome.status == 0, "\(text): \(outcome.errors)")
        let json = String(decoding: try JSONEncoder().encode(rules.map { [$0.0, $0.1] }), as: UTF8.self)
        let overflows = try JSONDecoder().decode([String: Int].self, from: Data(python(Self.check, root + "/source", out, json, with: .currentTorch).utf8))
        for (name, count) in overflows { #expect(outcome.errors.contains("\(name): \(count) number"), "\(text): \(name) \(count), \(outcome.errors)") }
        #expect(outcome.errors.components(separatedBy: "and infinite there").count - 1 == overflows.count, "\(text): \(outcome.errors)")
        #expect(try drover("verify", out).status == 0)
      }
    }
  }

  @Test(arguments: ["x*=f32", "norm.weight=f7", "=f32", "f32,bf16", "norm.weight=f32,", "norm.weight=q4_0", "a=b=f32", ""]) func rulesThatSayNothing(_ text: String) throws {
    try withTemporaryFolder { root in
      let outcome = try drover("reshard", Peer.packageRoot + "/Sources/CDemoModel/model", root + "/out", "--mp", "1", "--dtype", text)
      #expect(outcome.status == 64, "\(outcome.status) \(outcome.errors)")
      #expect(!FileManager.default.fileExists(atPath: root + "/out"))
    }
  }
}
