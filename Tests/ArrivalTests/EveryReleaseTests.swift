import Catalog
import Foundation
import TestSupport
import Testing

/// Every release of the catalog, played by nginx with small stand-ins of its files: fetched, verified, inspected.
@Suite(.serialized, .needs(.currentTorch), .needs(.nginx)) struct EveryReleaseTests {
  /// What a stand-in is made of: the tensors' names and dtypes are those of llama-models; their shapes are small.
  private static let script = #"""
    import hashlib, json, os, sys, torch
    from safetensors.torch import save_file
    root = sys.argv[1]
    releases = json.load(open(sys.argv[2]))
    dim, heads, vocab, hidden = 64, 16, 96, 64
    def rand(*shape): return torch.randn(*shape).to(torch.bfloat16)
    def llama(mp, rank, rows_split):
        p = "layers.0."
        n = lambda k: k // mp
        w = {"tok_embeddings.weight": rand(n(vocab), dim) if rows_split else rand(vocab, n(dim)), "output.weight": rand(n(vocab), dim)}
        for name in "wq", "wk", "wv": w[p + f"attention.{name}.weight"] = rand(n(dim), dim)
        w[p + "attention.wo.weight"] = rand(dim, n(dim))
        for name in "w1", "w3": w[p + f"feed_forward.{name}.weight"] = rand(n(hidden), dim)
        w[p + "feed_forward.w2.weight"] = rand(dim, n(hidden))
        # Alike in every shard.
        for name in "norm.weight", p + "attention_norm.weight", p + "ffn_norm.weight": w[name] = torch.ones(dim, dtype=torch.bfloat16)
        return w
    def shard(release, rank):
        id, mp = release["id"], release["modelParallel"]
        w = llama(mp, rank, release["family"] not in ("Llama 1", "Llama 2", "Code Llama"))
        p = "layers.0."
        if "Vision" in id:
            w = {"text_model." + k: v for k, v in w.items()} | {"vision_model.vision_encoder.conv1._linear.weight": rand(8, 12), "text_model.cross_attention_layers.0.gate_attn": rand(1)}
        elif "Guard-4" in id:
            e = "vision_embeddings.vision_encoder."
            w |= {e + "conv1._linear.weight": rand(8, 12), e + "class_embedding": rand(8), e + "positional_embedding_vlm": rand(5, 8), "vision_projection.weight": rand(dim, 16),
                  "vision_embeddings.vision_adapter.mlp.c_fc.weight": rand(16, 32), "vision_embeddings.vision_adapter.mlp.c_proj.weight": rand(16, 16)}
            for name in "ln_pre", "ln_post": w |= {e + name + ".weight": rand(8), e + name + ".bias": rand(8)}
            p = e + "transformer.resblocks.0."
            for name in "wq", "wk", "wv", "wo": w |= {p + f"attn.{name}.weight": rand(8, 8), p + f"attn.{name}.bias": rand(8)}
            w |= {p + "mlp.c_fc.weight": rand(16, 8), p + "mlp.c_fc.bias": rand(16), p + "mlp.c_proj.weight": rand(8, 16), p + "mlp.c_proj.bias": rand(8)}
            for name in "ln_1", "ln_2": w |= {p + name + ".weight": rand(8), p + name + ".bias": rand(8)}
        elif release["family"] == "Llama 4":
            for name in "w1", "w2", "w3": del w[p + f"feed_forward.{name}.weight"]
            f = 64 // mp
            w |= {p + "feed_forward.experts.moe_w_in_eD_F": rand(4 * dim, f), p + "feed_forward.experts.moe_w_swiglu_eD_F": rand(4 * dim, f), p + "feed_forward.experts.moe_w_out_eF_D": rand(4 * f, dim),
                  p + "feed_forward.router_DE": torch.ones(dim, 4, dtype=torch.bfloat16), p + "feed_forward.w_in_shared_FD.weight": rand(f, dim),
                  p + "feed_forward.w_swiglu_FD.weight": rand(f, dim), p + "feed_forward.w_out_shared_DF.weight": rand(dim, f)}
            if "FP8" in id: w[p + "feed_forward.experts.moe_w_in_eD_F"] = w[p + "feed_forward.experts.moe_w_in_eD_F"].to(torch.float8_e4m3fn)
        elif "FP8" in id:
            for name in "w1", "w2", "w3": w[p + f"feed_forward.{name}.weight"] = w[p + f"feed_forward.{name}.weight"].to(torch.float8_e4m3fn)
        elif "INT4" in id:
            for name in [k for k in w if "feed_forward" in k or "attention.w" in k]:
                w[name], w[name.replace(".weight", ".scales")] = w[name].mul(7).to(torch.int8), torch.ones(w[name].shape[0], 1)
        return w
    def write(path, release, seen):
        name = path.rsplit("/", 1)[-1]
        if name.endswith(".pth"):
            w = shard(release, int(name.split(".")[1]))
            seen |= set(w)
            torch.save(w, root + "/" + path)
        elif name.startswith("fp8_scales"):
            rank, mp = int(name[len("fp8_scales_"):-len(".pt")]), release["modelParallel"]
            if release["family"] == "Llama 4": w = {"layers.0.feed_forward.w1.weight_scale": torch.ones(64)}
            else: w = {f"0_feed_forward.{m}_{rank}": torch.ones(dim, 1) if m == "w2" else torch.ones(hidden // mp, *([1] if m == "w3" else [])) for m in ("w1", "w2", "w3")}
            seen |= set(w)
            torch.save(w, root + "/" + path)
        elif name.endswith(".safetensors"):
            prefix = "deberta.encoder" if "Prompt" in release["id"] else "model"
            w = {f"{prefix}.layers.{name[6:11]}.weight": torch.ones(4, 4, dtype=torch.int8), f"{prefix}.layers.{name[6:11]}.SCB": torch.ones(4)}
            seen |= set(w)
            save_file(w, root + "/" + path)
        else:
            more = dict(moe_args=dict(num_experts=4)) if release["family"] == "Llama 4" else dict(vision_args=dict(n_heads=2)) if "Guard-4" in release["id"] else {}
            text = {"params.json": json.dumps(dict(dim=dim, n_layers=1, n_heads=heads, vocab_size=vocab, hidden_dim=hidden, norm_eps=1e-5) | more), "LICENSE": f"The licence of {release['family']}\n",
                    "model.safetensors.index.json": json.dumps({"weight_map": {k: f"model-0000{1 + (('.00002' in k))}-of-00002.safetensors" for k in sorted(seen)}})}.get(name)
            open(root + "/" + path, "w").write(text or ("{}" if name.endswith(".json") else f"stands for {name}\n"))
    truth = {}
    for release in releases:
        seen = set()
        lists = []
        files = sorted(release["files"], key=lambda f: (f["path"].endswith(".chk"), f["path"].endswith("index.json")))
        for file in files:
            remote = root + "/" + file["remote"]
            os.makedirs(os.path.dirname(remote), exist_ok=True)
            if file["path"].endswith(".chk"):
                # What Meta's lists have: the files beside them.
                beside = [f for f in files if os.path.dirname(f["path"]) == os.path.dirname(file["path"]) and not f.get("optional") and not f["path"].endswith(".chk")]
                if "tokenizer" in file["path"]: beside = [f for f in beside if f["path"] == "tokenizer.model"]
                with open(remote, "w") as out:
                    for f in beside: out.write(hashlib.md5(open(root + "/" + f["remote"], "rb").read()).hexdigest() + "  " + os.path.basename(f["path"]) + "\n")
            elif not (os.path.dirname(file["remote"]) == "" and os.path.exists(remote)):
                write(file["remote"], release, seen)
        truth[release["id"]] = sorted(seen)
    json.dump(truth, open(sys.argv[3], "w"))
    """#

  private struct Report: Decodable {
    struct Tensor: Decodable { let name: String }
    let format: String
    let modelParallel: Int
    let tensors: [Tensor]
    let legal: [String]
  }

  /// Which releases aren't read further than their headers.
  private static func isOther(_ release: Release) -> Bool {
    release.family == "Prompt Guard" || ["Vision", "Maverick-17B-128E-Instruct-FP8", "Guard-3-1B-INT4"].contains { release.id.contains($0) }
  }

  @Test func isFetchedVerifiedAndInspected() throws {
    try withTemporaryFolder { folder in
      let catalog = try drover("catalog", "--json").output
      try catalog.write(toFile: folder + "/catalog.json", atomically: true, encoding: .utf8)
      try FileManager.default.createDirectory(atPath: folder + "/www", withIntermediateDirectories: true)
      try python(Self.script, folder + "/www", folder + "/catalog.json", folder + "/truth.json", with: .currentTorch)
      let truth = try JSONDecoder().decode([String: [String]].self, from: Data(contentsOf: URL(filePath: folder + "/truth.json")))
      let releases = try Catalog.builtIn().releases
      #expect(releases.count == truth.count)
      let nginx = try Nginx(root: folder + "/www")
      defer { nginx.stop() }
      let link = ["DROVER_URL": "http://127.0.0.1:\(nginx.port)/*?sig=sEcReTsIgNaTuRe&se=2099-01-01"]
      for release in releases {
        let out = folder + "/out"
        let model = "\(out)/\(release.folder)"
        let download = try drover("download", release.id, "--output", out, "--yes", "-q", environment: link)
        #expect(download.status == 0, "\(release.id): \(download.errors)")
        for file in release.files { #expect(FileManager.default.fileExists(atPath: out + "/" + file.path), "\(file.path)") }
        let verify = try drover("verify", out, "-q")
        #expect(verify.status == 0, "\(release.id): \(verify.output) \(verify.errors)")
        let inspect = try drover("inspect", model, "--json", "-q")
        #expect(inspect.status == 0, "\(release.id): \(inspect.errors)")
        let report = try JSONDecoder().decode(Report.self, from: Data(inspect.output.utf8))
        #expect(report.modelParallel == release.modelParallel, "\(release.id)")
        if Self.isOther(release) {
          #expect(report.tensors.map(\.name).sorted() == truth[release.id], "\(release.id)")
          let complete = try drover("complete", model, "--prompt", "x")
          #expect(complete.status == 65 || complete.status == 66, "\(release.id): \(complete.status) \(complete.errors)")
        } else {
          #expect(Set(report.tensors.map(\.name)).isSubset(of: truth[release.id] ?? []) && !report.tensors.isEmpty, "\(release.id)")
        }
        if release.family != "Llama 1" {
          let licence = try drover("catalog", release.id, "--licence", "--output", out)
          #expect(licence.status == 0 && licence.output.contains("The licence of"), "\(release.id): \(licence.errors)")
          if !release.files.contains(where: { $0.path == "LICENSE" }) { #expect(report.legal == ["LICENSE", "USE_POLICY.md"]) }
        } else {
          #expect(try drover("catalog", release.id, "--license", "--output", out).status == 66)
        }
        try FileManager.default.removeItem(atPath: out)
      }
    }
  }

  /// A link of another family is named before anything is sent: the proxy that all would go through is never asked.
  @Test(arguments: [
    ("llama4.llamameta.net", "Llama-3.2-1B", "llama3-2-lightweight.llamameta.net"), ("llama3-1.llamameta.net", "Llama-3.3-70B-Instruct", "llama3-3.llamameta.net"),
    ("llama3-2-multimodal.llamameta.net", "Llama-3.2-3B", "llama3-2-lightweight.llamameta.net"), ("download6.llamameta.net", "Llama-3.1-8B", "llama3-1.llamameta.net"),
    ("llama4.llamameta.net", "7B", "download.llamameta.net"),
  ])
  func aLinkOfAnotherFamilyIsNamed(host: String, release: String, right: String) throws {
    let proxy = try FaultServer { _ in FaultServer.status(403) }
    defer { proxy.stop() }
    let policy = Data(#"{"Statement":[{"Resource":"https:\/\/\#(host)\/*","Condition":{"DateLessThan":{"AWS:EpochTime":4102444800}}}]}"#.utf8).base64EncodedString()
      .replacingOccurrences(of: "=", with: "_")
    let query = "?Policy=\(policy)&Signature=sEcReT&Key-Pair-Id=K"
    // The policy counts where somebody has changed the address.
    for address in [host, right] {
      let environment = ["DROVER_URL": "https://\(address)/*\(query)", "https_proxy": "http://127.0.0.1:\(proxy.port)"]
      for command in [["download", release, "--output", "/nonexistent/out"], ["inspect", "--model", release]] {
        let outcome = try run(droverPath, command + ["--retries", "0"], environment: environment)
        #expect(outcome.status == 77 && outcome.errors.contains(host.replacingOccurrences(of: "download6", with: "download")) && outcome.errors.contains(right), "\(outcome.errors)")
        #expect(!outcome.errors.contains("sEcReT"))
      }
    }
    #expect(proxy.requests == 0)
  }
}
