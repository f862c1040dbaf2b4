import Checkpoint
import Foundation
import SystemPackage
import TestSupport
import Testing

/// Shards that don't belong together: whatever was done to one or two of them, every command that reads weights ends with 65 and says which.
@Suite(.needs(.python)) struct MixedShardTests {
  /// Two key and value heads on four ranks, finite weights, and in `variants` what can become of each rank's shard.
  private static let script = """
    import json, math, os, sys, torch
    root = sys.argv[1]
    dim, heads, kv, hidden, vocab, layers, mp = 64, 8, 2, 96, 1024, 2, 4
    def model(seed, hidden=hidden):
        torch.manual_seed(seed)
        def t(*shape): return (torch.randn(*shape) / 8).to(torch.bfloat16)
        w = {"tok_embeddings.weight": t(vocab, dim), "norm.weight": t(dim), "output.weight": t(vocab, dim),
             "rope.freqs": torch.tensor([10000.0 ** (-2 * i * heads / dim) for i in range(dim // heads // 2)]).to(torch.bfloat16)}
        for l in range(layers):
            p = f"layers.{l}."
            w |= {p + "attention.wq.weight": t(dim, dim), p + "attention.wk.weight": t(16, dim), p + "attention.wv.weight": t(16, dim),
                  p + "attention.wo.weight": t(dim, dim), p + "feed_forward.w1.weight": t(hidden, dim), p + "feed_forward.w2.weight": t(dim, hidden),
                  p + "feed_forward.w3.weight": t(hidden, dim), p + "attention_norm.weight": t(dim), p + "ffn_norm.weight": t(dim)}
        return w
    def cut(w, rank):
        parts = {}
        for n, t in w.items():
            if "norm" in n or "rope" in n: parts[n] = t.clone()
            elif "wk." in n or "wv." in n: parts[n] = t.chunk(kv)[rank * kv // mp].clone()
            else: parts[n] = t.chunk(mp, 1 if "wo." in n or "w2." in n or "tok" in n else 0)[rank].clone()
        return parts
    def save(parts, folder, rank):
        os.makedirs(f"{root}/{folder}", exist_ok=True)
        torch.save(parts, f"{root}/{folder}/consolidated.{rank:02}.pth")
    base, other, wider = model(1), model(2), model(1, 128)
    for rank in range(mp):
        save(cut(base, rank), "base", rank)
        for name in sys.argv[2].split(" "):
            parts = cut(base, rank)
            flat = parts[name].view(torch.int16).view(-1)
            flat[flat.numel() - 3] ^= 4
            save(parts, "flip " + name, rank)
        save(cut(other, rank), "another model", rank)
        save(cut(wider, rank), "another width", rank)
        save({n: t.to(torch.float16) for n, t in cut(base, rank).items()}, "another dtype", rank)
        save({n: t for n, t in cut(base, rank).items() if n != "layers.1.ffn_norm.weight"}, "a tensor less", rank)
    json.dump({"dim": dim, "n_layers": layers, "n_heads": heads, "n_kv_heads": mp, "hidden_dim": hidden, "norm_eps": 1e-5, "vocab_size": vocab},
              open(root + "/base/params.json", "w"))
    """

  /// What several ranks have copies of.
  private static let replicated = [
    "norm.weight", "layers.0.attention_norm.weight", "layers.1.ffn_norm.weight", "rope.freqs", "layers.0.attention.wk.weight", "layers.1.attention.wk.weight",
    "layers.0.attention.wv.weight", "layers.1.attention.wv.weight",
  ]

  private enum Mutation: Hashable, CustomStringConvertible {
    /// A folder with what became of each rank's shard.
    case variant(String)
    case missing
    /// The next rank's shard in its place.
    case doubled
    /// The next rank's in its place and the other way round.
    case renamed

    var description: String {
      switch self {
      case .variant(let name): name
      case .missing: "missing"
      case .doubled: "doubled"
      case .renamed: "renamed"
      }
    }
  }

  private static let mutations: [Mutation] =
    replicated.map { .variant("flip " + $0) } + ["another model", "another width", "another dtype", "a tensor less"].map { .variant($0) }
    + [.missing, .doubled, .renamed]

  /// A folder of links to the base's files and to those that take their places.
  private func compose(_ changes: [(Mutation, Int)], _ root: String, _ folder: String) throws {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
    func name(_ rank: Int) -> String { "consolidated.0\(rank).pth" }
    var shards: [Int: String] = [:]
    for rank in 0..<4 { shards[rank] = "\(root)/base/\(name(rank))" }
    for (mutation, rank) in changes {
      let next = (rank + 1) % 4
      switch mutation {
      case .variant(let variant): shards[rank] = "\(root)/\(variant)/\(name(rank))"
      case .missing: shards[rank] = nil
      case .doubled: shards[rank] = shards[next]
      case .renamed: (shards[rank], shards[next]) = (shards[next], shards[rank])
      }
    }
    for (rank, target) in shards { try FileManager.default.createSymbolicLink(atPath: "\(folder)/\(name(rank))", withDestinationPath: target) }
    for (file, target) in [("params.json", root + "/base/params.json"), ("tokenizer.model", Peer.packageRoot + "/Sources/CDemoModel/model/tokenizer.model")] {
      try FileManager.default.createSymbolicLink(atPath: "\(folder)/\(file)", withDestinationPath: target)
    }
  }

  private func commands(_ folder: String) -> [[String]] {
    [
      ["reshard", folder, folder + "-out", "--mp", "2", "--progress", "none", "--quiet"], ["fingerprint", folder, "--progress", "none"],
      ["complete", folder, "--prompt", "a", "--max-gen-len", "1"],
      ["bench", folder, "--prompt-tokens", "1", "--gen-tokens", "1", "--repetitions", "1"],
    ]
  }

  /// Names the file, or the tensor and the shard.
  private func isNamed(_ text: String) -> Bool {
    text.contains("consolidated.0") || text.contains("shard") || text.contains("ranks")
  }

  @Test func oneOfThem() throws {
    try withTemporaryFolder { root in
      try python(Self.script, root, Self.replicated.joined(separator: " "))
      try compose([], root, root + "/good")
      for arguments in commands(root + "/good") {
        let outcome = try run(droverPath, arguments)
        #expect(outcome.status == 0, "\(arguments[0]): \(outcome.errors)")
      }
      for mutation in Self.mutations {
        for rank in [0, 3] {
          let folder = "\(root)/\(mutation) \(rank)"
          try compose([(mutation, rank)], root, folder)
          for arguments in commands(folder) {
            let outcome = try run(droverPath, arguments)
            #expect(outcome.status == 65 && outcome.output.isEmpty, "\(mutation) of \(rank), \(arguments[0]): \(outcome.status) \(outcome.errors)")
            #expect(isNamed(outcome.errors), "\(mutation) of \(rank), \(arguments[0]): \(outcome.errors)")
            if case .variant(let name) = mutation, name.hasPrefix("flip ") { #expect(outcome.errors.contains(name.dropFirst(5)), "\(outcome.errors)") }
          }
          #expect(!FileManager.default.fileExists(atPath: folder + "-out"))
        }
      }
    }
  }

  @Test func twoOfThem() throws {
    try withTemporaryFolder { root in
      try python(Self.script, root, Self.replicated.joined(separator: " "))
      var pairs = 0
      for first in Self.mutations {
        for second in Self.mutations {
          for (a, b) in [(0, 1), (1, 3), (3, 2)] where !isNothing(first, a, second, b) {
            let folder = "\(root)/pair"
            try compose([(first, a), (second, b)], root, folder)
            defer { try? FileManager.default.removeItem(atPath: folder) }
            pairs += 1
            // What `fingerprint` and `reshard` do, and what `complete` and `bench` do before they run.
            for (what, read) in [
              ("reads all", { (checkpoint: Checkpoint) throws in _ = try checkpoint.fingerprint() }), ("runs", { try $0.checkCopies(threads: 1) }),
            ] {
              do {
                try read(Checkpoint.open(at: FilePath(folder)))
                Issue.record("\(first) of \(a) and \(second) of \(b): \(what)")
              } catch let error as CheckpointError {
                #expect(error.reason == .corrupt && isNamed(error.description), "\(first) of \(a) and \(second) of \(b): \(error)")
              }
            }
          }
        }
      }
      #expect(pairs > 600)
    }
  }

  /// The same bit in both copies of a head: they agree.
  private func isNothing(_ first: Mutation, _ a: Int, _ second: Mutation, _ b: Int) -> Bool {
    guard first == second, a / 2 == b / 2, case .variant(let name) = first else { return false }
    return name.contains(".wk.") || name.contains(".wv.")
  }

  /// With a receipt or a checklist beside the shards any bit tells, of any tensor and of what lies between.
  @Test(arguments: ["receipt", "checklist"]) func anyBitWhereAListLiesBeside(_ list: String) throws {
    try withTemporaryFolder { root in
      try python(Self.script, root, "norm.weight")
      try compose([], root, root + "/good")
      let folder = root + "/model"
      let made = try run(droverPath, ["reshard", root + "/good", folder, "--mp", "4", "--quiet", "--progress", "none"] + (list == "checklist" ? ["--checklist"] : []))
      try #require(made.status == 0, "\(made.errors)")
      if list == "checklist" { try FileManager.default.removeItem(atPath: folder + "/drover-receipt.json") }
      #expect(try drover("verify", folder).status == 0)
      var random = Splitmix(seed: 5)
      for round in 0..<40 {
        let name = "consolidated.0\(round % 4).pth"
        let url = URL(filePath: "\(folder)/\(name)")
        let whole = try Data(contentsOf: url)
        var bytes = whole
        bytes[Int.random(in: 0..<bytes.count, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        try bytes.write(to: url)
        let outcome = try drover("verify", folder, "--progress", "none")
        #expect(outcome.status == 65 && (outcome.output + outcome.errors).contains(name), "\(outcome.output)\(outcome.errors)")
        try whole.write(to: url)
      }
    }
  }
}
