import Checkpoint
import Foundation
import SystemPackage
import TestSupport
import Testing

/// Distributed checkpoints next to `torch.distributed.checkpoint`: it writes what drover reads, and loads what drover writes.
@Suite(.serialized, .needs(.currentTorch)) struct DCPTests {
  private static let start = """
    import json, os, pickle, shutil, sys, warnings
    warnings.filterwarnings("ignore")
    import torch
    import torch.distributed as dist
    import torch.distributed.checkpoint as dcp
    root = sys.argv[1]
    dim, heads, kv, hidden, vocab, layers = 64, 8, 4, 96, 160, 2
    def model(kind):
        torch.manual_seed(5)
        def t(*shape): return torch.randn(*shape).to(kind)
        w = {"tok_embeddings.weight": t(vocab, dim), "norm.weight": t(dim), "output.weight": t(vocab, dim)}
        for l in range(layers):
            p = f"layers.{l}."
            w |= {p + "attention.wq.weight": t(dim, dim), p + "attention.wk.weight": t(dim // 2, dim), p + "attention.wv.weight": t(dim // 2, dim), p + "attention.wo.weight": t(dim, dim),
                  p + "feed_forward.w1.weight": t(hidden, dim), p + "feed_forward.w2.weight": t(dim, hidden), p + "feed_forward.w3.weight": t(hidden, dim),
                  p + "attention_norm.weight": t(dim), p + "ffn_norm.weight": t(dim)}
        return w
    def described(folder):
        os.makedirs(folder, exist_ok=True)
        json.dump(dict(dim=dim, n_heads=heads, n_kv_heads=kv, n_layers=layers, hidden_dim=hidden, norm_eps=1e-5, vocab_size=vocab), open(folder + "/params.json", "w"))
    def plain(kind):
        folder = f"{root}/plain-{kind}".replace("torch.", ""); described(folder); torch.save(model(kind), folder + "/consolidated.00.pth")

    """

  /// By one process, and by four that hold rows, columns or all of a tensor.
  private static let write = """
    import torch.multiprocessing as mp
    def work(rank, store):
        dist.init_process_group("gloo", init_method="file://" + store, rank=rank, world_size=4)
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.tensor import Replicate, Shard, distribute_tensor
        mesh = init_device_mesh("cpu", (4,))
        def cut(n, t): return distribute_tensor(t, mesh, [Replicate() if "ffn_norm" in n else Shard(1 if "wo" in n or "w2" in n else 0)])
        dcp.save({n: cut(n, t) for n, t in model(torch.bfloat16).items()}, checkpoint_id=root + "/bfloat16-sharded")
        mesh2 = init_device_mesh("cpu", (2, 2))
        dcp.save({"model": {n: distribute_tensor(t, mesh2, [Shard(0), Shard(1) if t.dim() == 2 else Replicate()]) for n, t in model(torch.float32).items()}, "step": 7},
                 checkpoint_id=root + "/float32-both")
        dist.destroy_process_group()
    if __name__ == "__main__":
        for kind in (torch.float32, torch.bfloat16):
            name = str(kind)[6:]
            plain(kind); w = model(kind)
            dcp.save(w, checkpoint_id=f"{root}/{name}-one")
            dcp.save({"model": w, "optimizer": {"state": {n: {"exp_avg": torch.zeros_like(t)} for n, t in w.items()}, "param_groups": [{"lr": 1}]}, "step": 3, "train_state": torch.tensor(4)},
                     checkpoint_id=f"{root}/{name}-trained")
            described(f"{root}/{name}-one"); described(f"{root}/{name}-trained")
        mp.spawn(work, args=(root + "/store",), nprocs=4)
        described(root + "/bfloat16-sharded"); described(root + "/float32-both")
    """

  @Test func torchsAreReadAndOursAreLoaded() throws {
    try withTemporaryFolder { root in
      // What `spawn` starts needs a file to import.
      try (Self.start + Self.write).write(toFile: root + "/write.py", atomically: false, encoding: .utf8)
      let written = try run(Peer.currentTorch.path, [root + "/write.py", root])
      try #require(written.status == 0, "\(written.errors.suffix(2000))")
      for kind in ["float32", "bfloat16"] {
        let plain = try Checkpoint.open(at: FilePath("\(root)/plain-\(kind)"))
        let names = try FileManager.default.contentsOfDirectory(atPath: root).filter { $0.hasPrefix(kind + "-") }.sorted()
        for name in names {
          let checkpoint = try Checkpoint.open(at: FilePath("\(root)/\(name)"))
          #expect(checkpoint.format == .dcp && checkpoint.params == plain.params)
          #expect(try checkpoint.fingerprint() == plain.fingerprint(), "\(name)")
          let notes = checkpoint.companions.notes.joined()
          #expect(notes.contains("step") == (name.hasSuffix("trained") || name.hasSuffix("both")), "\(notes)")
          for (count, format) in [(1, Checkpoint.Format.pth), (4, .pth), (1, .dcp), (1, .hf)] {
            try reshard("\(root)/\(name)", "\(root)/out-\(name)-\(count)-\(format)", modelParallel: count, format: format)
          }
          #expect(try Checkpoint.open(at: FilePath("\(root)/out-\(name)-1-dcp")).fingerprint() == plain.fingerprint(), "\(name)")
          // From four shards to one of these, with a receipt.
          let back = try drover("reshard", "\(root)/out-\(name)-4-pth", "\(root)/out-\(name)-2-dcp", "--mp", "1", "--format", "dcp")
          #expect(back.status == 0, "\(back.errors)")
          let verified = try drover("verify", "\(root)/out-\(name)-2-dcp")
          #expect(verified.status == 0, "\(verified.output)\(verified.errors)")
        }
      }
      try python(
        Self.start + """
          import glob
          folders = glob.glob(root + "/out-*-dcp")
          assert len(folders) == 12, folders
          for folder in folders:
              want = model(getattr(torch, os.path.basename(folder).split("-")[1]))
              got = {n: torch.full_like(t, 9) for n, t in want.items()}
              dcp.load(got, checkpoint_id=folder)
              for n, t in want.items(): assert got[n].dtype == t.dtype and torch.equal(got[n], t), (folder, n)
          for folder in glob.glob(root + "/out-*-1-pth"):
              want = model(getattr(torch, os.path.basename(folder).split("-")[1]))
              got = torch.load(folder + "/consolidated.00.pth")
              assert all(torch.equal(got[n], t) for n, t in want.items()) and set(got) == set(want), folder
          """, root, with: .currentTorch)
    }
  }

  /// Python that spoils the metadata `m`, or the folder, and what is said then.
  private static let spoilt: [(name: String, script: String, words: [String])] = [
    ("code", "m = type('Run', (), {'__reduce__': lambda s: (os.system, ('touch /tmp/owned',))})()", ["posix.system", "nothing was run"]),
    ("code within", "m.planner_data = {'x': type('Run', (), {'__reduce__': lambda s: (eval, ('1',))})()}", ["builtins.eval", "nothing was run"]),
    ("no metadata", "m = {'a': 1}", ["isn't the metadata of a distributed checkpoint"]),
    ("a missing file", "os.remove(folder + '/__0_0.distcp'); open(folder + '/x.distcp', 'w').close()", ["__0_0.distcp"]),
    ("a file cut off", "os.truncate(folder + '/__0_0.distcp', 3000)", ["__0_0.distcp", "cut off"]),
    ("a file elsewhere", "for i in m.storage_data.values(): i.relative_path = '../one/__0_0.distcp'", ["../one/__0_0.distcp", "isn't in its folder"]),
    ("a negative offset", "for i in m.storage_data.values(): i.offset = -1", ["doesn't say where it lies"]),
    ("an offset of 2^62", "for i in m.storage_data.values(): i.offset = i.length = 2**62", ["doesn't say where it lies"]),
    ("an offset elsewhere", "for i in m.storage_data.values(): i.offset += 1", ["__0_0.distcp"]),
    ("no place", "m.storage_data.pop(next(k for k in m.storage_data if k.fqn == 'norm.weight'))", ["norm.weight", "doesn't say where"]),
    ("beyond the shape", "c = m.state_dict_metadata['norm.weight'].chunks[0]; c.sizes = torch.Size([65])", ["norm.weight", "beyond its shape"]),
    ("another shape", "m.state_dict_metadata['norm.weight'].size = torch.Size([128])", ["64 elements of norm.weight", "[128]"]),
    ("a piece of another shape", "c = m.state_dict_metadata['norm.weight'].chunks[0]; c.sizes = torch.Size([32])", ["norm.weight", "[64]", "[32]"]),
    ("a piece missing", "t = m.state_dict_metadata['output.weight']; t.size = torch.Size([320, 64])", ["output.weight"]),
    ("compressed", "for i in m.storage_data.values(): i.transform_descriptors = ['zstd']", ["changed on the way to the disk"]),
    ("no dimensions", "m.state_dict_metadata['norm.weight'].size = 3", ["norm.weight"]),
    ("a tensor of another model", "m.state_dict_metadata['vision.weight'] = m.state_dict_metadata['norm.weight']", ["vision.weight"]),
    ("another tensor in its place", "a, b = (next(k for k in m.storage_data if k.fqn == n) for n in ('norm.weight', 'output.weight')); m.storage_data[a], m.storage_data[b] = m.storage_data[b], m.storage_data[a]", ["[160, 64]"]),
  ]

  @Test func metadataThatLiesIsRefused() throws {
    try withTemporaryFolder { root in
      try python(
        Self.start + """
          dcp.save(model(torch.float32), checkpoint_id=root + "/one"); described(root + "/one")
          for number, script in enumerate(json.loads(sys.argv[2])):
              folder = f"{root}/{number}"; shutil.copytree(root + "/one", folder)
              m = pickle.load(open(folder + "/.metadata", "rb"))
              exec(script)
              pickle.dump(m, open(folder + "/.metadata", "wb"))
          """, root, String(decoding: JSONEncoder().encode(Self.spoilt.map(\.script)), as: UTF8.self), with: .currentTorch)
      for (number, test) in Self.spoilt.enumerated() {
        let error = #expect(throws: CheckpointError.self, "\(test.name)") { try Checkpoint.open(at: FilePath("\(root)/\(number)")).fingerprint() }
        for words in test.words { #expect(error?.description.contains(words) == true, "\(test.name): \(String(describing: error))") }
      }
      #expect(!FileManager.default.fileExists(atPath: "/tmp/owned"))
      // Damaged at random: opened or refused, and nothing traps.
      let original = Array(try Data(contentsOf: URL(filePath: root + "/one/.metadata")))
      var random = Splitmix(seed: 17)
      var refused = 0
      for _ in 0..<1500 {
        try Data(mutated(original, &random)).write(to: URL(filePath: root + "/one/.metadata"))
        do { _ = try Checkpoint.open(at: FilePath(root + "/one")).fingerprint() } catch { refused += 1 }
      }
      #expect(refused > 300)
    }
  }
}
