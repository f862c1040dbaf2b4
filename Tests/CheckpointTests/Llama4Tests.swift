import Checkpoint
import Foundation
import Integrity
import SystemPackage
import TestSupport
import Testing

/// Llama 4's checkpoints, cut by `reshard_mp` of Meta's own llama-models: inspected, fingerprinted and resharded to what it makes, bit for bit.
@Suite(.needs(.currentTorch), .needs(.llamaModels)) struct Llama4Tests {
  private static let sizes = [1, 2, 4]

  /// Writes each model at each size, as `NAME/mpN`, with the tensors' names as Meta's files have them.
  ///
  /// `scout` has experts in all layers and a part for images, `maverick` experts in every second layer, `guard` none, and the names of the reference's own
  /// modules.
  private static let script = #"""
    import io, json, os, sys, types
    import torch
    root, package = sys.argv[1:]
    def module(name, **members):
        m = types.ModuleType(name); m.__dict__.update(members); sys.modules[name] = m
    for name in ("fairscale", "fairscale.nn", "fairscale.nn.model_parallel"): module(name, __path__=[])
    module("fairscale.nn.model_parallel.initialize", get_model_parallel_rank=lambda: 0, get_model_parallel_world_size=lambda: 1)
    module("llama_models", __path__=[package])
    from llama_models.checkpoint import convert_moe_weights, reshard_mp
    torch.manual_seed(4)
    D, E, F, H, heads, kv, vocab, layers = 64, 4, 32, 96, 8, 4, 80, 2
    hd = D // heads
    def rand(*shape): return torch.randn(*shape).to(torch.bfloat16)
    def experts(p): return {p + "router_DE": rand(D, E), p + "experts.moe_w_in_eD_F": rand(E * D, F), p + "experts.moe_w_out_eF_D": rand(E * F, D), p + "experts.moe_w_swiglu_eD_F": rand(E * D, F),
                            p + "w_in_shared_FD.weight": rand(F, D), p + "w_out_shared_DF.weight": rand(D, F), p + "w_swiglu_FD.weight": rand(F, D),
                            p + "norm.weight": rand(D), p + "global_gate_stats_3E": rand(3, E)}
    def dense(p): return {p + "mlp.fc1_weight": rand(2 * H, D), p + "mlp.fc2_weight": rand(D, H), p + "mlp.layer_norm_weight": rand(D)}
    def vision(dim, out, hidden, count):
        e, a = "vision_embeddings.vision_encoder.", "vision_embeddings.vision_adapter."
        w = {e + "conv1._linear.weight": rand(dim, 12), e + "class_embedding": rand(dim), e + "positional_embedding_vlm": rand(5, dim), a + "mlp.c_fc.weight": rand(out, dim * 4),
             a + "mlp.c_proj.weight": rand(out, out), "vision_projection.weight": rand(D, out)}
        for name in "ln_pre", "ln_post": w |= {e + name + ".weight": rand(dim), e + name + ".bias": rand(dim)}
        for layer in range(count):
            p = f"{e}transformer.resblocks.{layer}."
            for name in "wq", "wk", "wv", "wo": w |= {p + f"attn.{name}.weight": rand(dim, dim), p + f"attn.{name}.bias": rand(dim)}
            w |= {p + "mlp.c_fc.weight": rand(hidden, dim), p + "mlp.c_fc.bias": rand(hidden), p + "mlp.c_proj.weight": rand(dim, hidden), p + "mlp.c_proj.bias": rand(dim)}
            for name in "ln_1", "ln_2": w |= {p + name + ".weight": rand(dim), p + name + ".bias": rand(dim)}
        return w
    def model(kind):
        w = {"tok_embeddings.weight": rand(vocab, D), "norm.weight": rand(D), "output.weight": rand(vocab, D)}
        for layer in range(layers):
            p = f"layers.{layer}."
            w[p + "attention.wo.weight"] = rand(D, D)
            if kind == "guard":
                w |= {p + "attention.wq.weight": rand(D, D), p + "attention.wk.weight": rand(kv * hd, D), p + "attention.wv.weight": rand(kv * hd, D), p + "attention_norm.weight": rand(D),
                      p + "ffn_norm.weight": rand(D), p + "feed_forward.w1.weight": rand(H, D), p + "feed_forward.w2.weight": rand(D, H), p + "feed_forward.w3.weight": rand(H, D)}
                continue
            w |= {p + "attention.wqkv.weight": rand((heads + 2 * kv) * hd, D), p + "attention.wqkv.layer_norm_weight": rand(D)}
            w |= dense(p + "feed_forward.") if kind == "maverick" and layer % 2 == 0 else experts(p + "feed_forward.")
        return w if kind == "maverick" else w | vision(16, 24, 32, 3)
    # What reshard_mp makes of the whole, as files have it: experts one below the other.
    def cut(w, mp, rank):
        made = reshard_mp([convert_moe_weights(dict(w), E)], mp, rank)
        return {k: made[k].flatten(0, 1).contiguous() if made[k].dim() == 3 else made[k].contiguous() for k in w}
    for kind in "scout", "maverick", "guard":
        w = model(kind)
        params = dict(dim=D, n_layers=layers, n_heads=heads, n_kv_heads=kv, vocab_size=vocab, norm_eps=1e-5, rope_theta=500000.0, use_scaled_rope=kind == "scout",
                      multiple_of=16, ffn_dim_multiplier=0.55, ffn_exp=2.0, use_qk_norm=True, nope_layer_interval=4, attention_chunk_size=8192)
        if kind == "guard": params |= dict(multiple_of=96, ffn_dim_multiplier=0.5, moe_args=None)
        if kind == "maverick": params |= dict(multiple_of=32, moe_args=dict(num_experts=E, interleave_moe_layer_step=2, auto_scale_F=True, capacity_factor=1.0, top_k=1))
        if kind == "scout": params |= dict(multiple_of=32, moe_args=dict(num_experts=E, capacity_factor=1.0, auto_scale_F=True, top_k=1))
        if kind != "maverick": params |= dict(vision_args=dict(dim=16, n_layers=3, n_heads=4, output_dim=24, mlp_ratio=2.0, pixel_shuffle_ratio=0.5, image_size=dict(height=28, width=28), patch_size=dict(height=14, width=14)))
        for mp in 1, 2, 4:
            folder = f"{root}/{kind}/mp{mp}"
            os.makedirs(folder)
            json.dump(params, open(folder + "/params.json", "w"))
            for rank in range(mp):
                state = dict(w) if mp == 1 else cut(w, mp, rank)
                # As Transformer Engine leaves it.
                if kind == "scout": state["layers.0.attention.wo._extra_state"] = io.BytesIO(b"state")
                torch.save(state, f"{folder}/consolidated.{rank:02d}.pth")
    """#

  /// Compares a folder with one that the script wrote: every tensor, under the same name, but for what isn't a weight.
  private static let compare = #"""
    import glob, io, os, sys
    import torch
    from safetensors.torch import load_file
    truth, made = sys.argv[1:]
    torch.serialization.add_safe_globals([io.BytesIO])
    weights = 0
    shards = sorted(glob.glob(truth + "/*.pth"))
    assert len(glob.glob(made + "/consolidated.*")) == len(shards)
    for path in shards:
        name = os.path.basename(path)[:-4]
        expected = {k: v for k, v in torch.load(path, weights_only=True).items() if isinstance(v, torch.Tensor) and "stats" not in k}
        got = torch.load(f"{made}/{name}.pth", weights_only=True, mmap=True) if os.path.exists(f"{made}/{name}.pth") else load_file(f"{made}/{name}.safetensors")
        assert set(got) == set(expected), (set(got) ^ set(expected))
        for key, value in expected.items():
            assert got[key].dtype == value.dtype and torch.equal(got[key].view(torch.int16), value.view(torch.int16)), key
            weights += 1
    print(weights)
    """#

  private func withModels(_ body: (String) throws -> Void) throws {
    try withTemporaryFolder { root in
      let package = FilePath(Peer.llamaModels.path).removingLastComponent().string
      try python(Self.script, root, package, with: .currentTorch)
      try body(root)
    }
  }

  @Test func everySizeBecomesEveryOther() throws {
    try withModels { root in
      for kind in ["scout", "maverick", "guard"] {
        var fingerprints = Set<Digest>()
        for from in Self.sizes {
          let source = try Checkpoint.open(at: FilePath("\(root)/\(kind)/mp\(from)"))
          fingerprints.insert(try source.fingerprint().whole)
          for to in Self.sizes {
            for format in ["pth", "safetensors"] {
              let made = "\(root)/made-\(kind)-\(from)-\(to)-\(format)"
              let outcome = try drover("reshard", "\(root)/\(kind)/mp\(from)", made, "--mp", "\(to)", "--format", format, "--quiet")
              try #require(outcome.status == 0, "\(outcome.errors)")
              let compared = try python(Self.compare, "\(root)/\(kind)/mp\(to)", made, with: .currentTorch)
              #expect((Int(compared.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0) >= 20 * to)
              fingerprints.insert(try Checkpoint.open(at: FilePath(made)).fingerprint().whole)
              #expect(try drover("verify", made, "--quiet").status == 0)
            }
          }
        }
        #expect(fingerprints.count == 1, "\(kind)")
      }
    }
  }

  private struct Report: Decodable {
    struct Tensor: Decodable { let name: String, shape: [Int], split: String, parts: Int }
    struct Params: Decodable {
      struct Experts: Decodable { let count: Int, hiddenDim: Int, interval: Int }
      struct Vision: Decodable { let layers: Int, heads: Int }
      let hiddenDim: Int
      let experts: Experts?
      let vision: Vision?
    }
    let modelParallel: Int
    let params: Params
    let tensors: [Tensor]
    let notes: [String]
  }

  @Test func isInspectedAndRefusedByTheEngine() throws {
    try withModels { root in
      let outcome = try drover("inspect", root + "/scout/mp2", "--tensors", "--json")
      try #require(outcome.status == 0, "\(outcome.errors)")
      let report = try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8))
      #expect(report.modelParallel == 2 && report.params.experts?.count == 4 && report.params.experts?.hiddenDim == 32 && report.params.experts?.interval == 1)
      #expect(report.params.vision?.layers == 3 && report.params.vision?.heads == 4)
      let out = report.tensors.first { $0.name == "layers.1.feed_forward.experts.moe_w_out_eF_D" }
      #expect(out?.shape == [128, 64] && out?.split == "axis 0" && out?.parts == 8)
      #expect(report.tensors.first { $0.name == "layers.0.attention.wk.weight" }?.shape == [32, 64])
      #expect(report.notes.contains { $0.contains("4 experts a layer and a part for images") } && report.notes.contains { $0.contains("global_gate_stats_3E") })
      for arguments in [["complete", root + "/scout/mp2", "--prompt", "a"], ["reshard", root + "/scout/mp2", root + "/hf", "--mp", "1", "--format", "hf"],
        ["reshard", root + "/guard/mp1", root + "/gguf", "--mp", "1", "--format", "gguf"]] {
        let refused = try run(droverPath, arguments)
        #expect(refused.status == 65 && refused.errors.contains("which drover inspects, fingerprints and reshards"), "\(arguments): \(refused.errors)")
      }
      let three = try drover("reshard", root + "/scout/mp2", root + "/three", "--mp", "3")
      #expect(three.status == 64 && three.errors.contains("Sizes that work: 1, 2, 4"), "\(three.errors)")
      let mixed = try drover("reshard", root + "/scout/mp2", root + "/mixed", "--mp", "1", "--dtype", "*wq*=f32")
      #expect(mixed.status == 64 && mixed.errors.contains("both lie in layers.0.attention.wqkv.weight"), "\(mixed.errors)")
    }
  }

  /// A description and tensors that contradict each other, and tensors that lack others.
  private static let faults: [(change: String, words: String)] = [
    ("p['moe_args']['num_experts'] = 8", "params.json says experts 8, the shapes of the tensors say 4"),
    ("p['moe_args']['interleave_moe_layer_step'] = 2", "lacks layers.0.feed_forward.w1.weight"),
    ("p['moe_args']['interleave_moe_layer_step'] = 0", "interleave_moe_layer_step is 0"),
    ("del p['moe_args']", "says nothing of experts (moe_args)"),
    ("p['multiple_of'] = 48", "the width of an expert 48"),
    ("p['vision_args']['n_heads'] = 3", "the 3 heads of vision_args"),
    ("del p['vision_args']", "how many heads there are for images"),
    ("del w['layers.1.feed_forward.w_in_shared_FD.weight']", "lacks layers.1.feed_forward.w_in_shared_FD.weight"),
    ("del w['layers.1.feed_forward.router_DE']", "lacks layers.1.feed_forward.router_DE"),
    ("del w['vision_embeddings.vision_encoder.transformer.resblocks.1.ln_1.bias']", "lacks vision_embeddings.vision_encoder.transformer.resblocks.1.ln_1.bias"),
    ("w['layers.1.feed_forward.experts.moe_w_out_eF_D'] = w['layers.1.feed_forward.experts.moe_w_out_eF_D'][1:]", "moe_w_out_eF_D of"),
    ("w['layers.1.feed_forward.router_DE'] = w['layers.1.feed_forward.router_DE'][:, 1:]", "layers.1.feed_forward.router_DE of shape [64, 3]"),
    ("w['layers.0.feed_forward.norm.weight2'] = w.pop('layers.0.feed_forward.norm.weight')", "isn't one of a Llama"),
    ("w['layers.0.attention.wqkv.weight'] = w['layers.0.attention.wqkv.weight'][1:]", "isn't that of 8 heads and twice 4"),
    ("w['layers.0.ffn_norm.weight'] = w['layers.0.feed_forward.norm.weight']", "a second time"),
  ]

  @Test func contradictionsAreNamed() throws {
    try withModels { root in
      let script = """
        import io, json, os, shutil, sys, torch
        torch.serialization.add_safe_globals([io.BytesIO])
        source, to, change = sys.argv[1:]
        w, p = torch.load(source + "/consolidated.00.pth", weights_only=True), json.load(open(source + "/params.json"))
        exec(change)
        shutil.rmtree(to, ignore_errors=True)
        os.makedirs(to)
        torch.save({k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in w.items()}, to + "/consolidated.00.pth")
        json.dump(p, open(to + "/params.json", "w"))
        """
      for (change, words) in Self.faults {
        try python(script, root + "/scout/mp1", root + "/fault", change, with: .currentTorch)
        let error = #expect(throws: CheckpointError.self, "\(change)") { try Checkpoint.open(at: FilePath(root + "/fault")) }
        #expect(error?.description.contains(words) == true, "\(change): \(String(describing: error))")
      }
    }
  }
}
