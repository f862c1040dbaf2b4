import Checkpoint
import Foundation
import Integrity
import SystemPackage
import TestSupport
import Testing

/// Random models as torch writes and reads them, by scripts that share nothing with the program under test.
enum PythonModels {
  /// The shape of a small model.
  struct Shape: Sendable, CustomTestStringConvertible {
    var dim = 256
    var heads = 64
    var kvHeads = 8
    var hidden = 384
    var layers = 2
    var vocabulary = 512
    /// 1 as Llama 2 splits its embedding, 0 as Llama 3.
    var embeddingAxis = 1
    var dtype = "bfloat16"

    var json: String {
      """
      {"dim": \(dim), "n_heads": \(heads), "n_kv_heads": \(kvHeads), "hidden": \(hidden), "n_layers": \(layers), "vocab_size": \(vocabulary), \
      "axis": \(embeddingAxis), "dtype": "\(dtype)"}
      """
    }

    var testDescription: String { "\(heads) heads, \(kvHeads) for keys and values, embedding axis \(embeddingAxis), \(dtype)" }
  }

  /// Bits of weights are random, NaNs included: what is compared are bytes.
  private static let common = """
    import glob, json, os, sys, torch
    def whole(shape):
        g = torch.Generator().manual_seed(1)
        dtype = getattr(torch, shape["dtype"])
        # In halves of 16 bits: versions of torch differ in how they draw numbers from a wide range.
        halves = 2 if dtype == torch.float32 else 1
        def t(*size): return torch.randint(-32768, 32767, (*size[:-1], size[-1] * halves), generator=g, dtype=torch.int64).to(torch.int16).view(dtype)
        dim, hd = shape["dim"], shape["dim"] // shape["n_heads"]
        kv, hidden, vocab = shape["n_kv_heads"] * hd, shape["hidden"], shape["vocab_size"]
        w = {"tok_embeddings.weight": t(vocab, dim), "norm.weight": t(dim), "output.weight": t(vocab, dim),
             "rope.freqs": torch.tensor([10000.0 ** (-2 * i / hd) for i in range(max(1, hd // 2))], dtype=torch.float64).to(dtype)}
        for l in range(shape["n_layers"]):
            p = f"layers.{l}."
            w |= {p + "attention.wq.weight": t(dim, dim), p + "attention.wk.weight": t(kv, dim), p + "attention.wv.weight": t(kv, dim),
                  p + "attention.wo.weight": t(dim, dim), p + "feed_forward.w1.weight": t(hidden, dim), p + "feed_forward.w2.weight": t(dim, hidden),
                  p + "feed_forward.w3.weight": t(hidden, dim), p + "attention_norm.weight": t(dim), p + "ffn_norm.weight": t(dim)}
        return w
    def cut(shape, mp, rank):
        parts = {}
        for name, w in whole(shape).items():
            if "norm" in name or "rope" in name: parts[name] = w
            elif "wo." in name or "w2." in name or ("tok" in name and shape["axis"] == 1): parts[name] = w.chunk(mp, 1)[rank].contiguous()
            elif ("wk." in name or "wv." in name) and mp > shape["n_kv_heads"]:
                heads = w.chunk(shape["n_kv_heads"], 0)
                parts[name] = heads[rank * shape["n_kv_heads"] // mp].contiguous()
            else: parts[name] = w.chunk(mp, 0)[rank].contiguous()
        return parts
    shape = json.loads(sys.argv[1])
    folders = [(folder, int(mp), format) for folder, mp, format in json.loads(sys.argv[2])]
    """

  /// A checkpoint in Meta's layout.
  struct Folder: Sendable {
    var path: String
    var modelParallel: Int
    /// The suffix of its files.
    var format = "pth"
  }

  private static func json(_ folders: [Folder]) -> String {
    "[" + folders.map { #"["\#($0.path)", \#($0.modelParallel), "\#($0.format)"]"# }.joined(separator: ",") + "]"
  }

  /// Writes the model of `shape` to each folder.
  static func write(_ shape: Shape, to folders: [Folder]) throws {
    try python(
      common + """

        for folder, mp, format in folders:
            os.makedirs(folder, exist_ok=True)
            params = {"dim": shape["dim"], "n_heads": shape["n_heads"], "n_kv_heads": max(mp, shape["n_kv_heads"]), "n_layers": shape["n_layers"],
                      "hidden_dim": shape["hidden"], "norm_eps": 1e-5, "vocab_size": -1}
            json.dump(params, open(f"{folder}/params.json", "w"))
            for rank in range(mp):
                if format == "pth": torch.save(cut(shape, mp, rank), f"{folder}/consolidated.{rank:02d}.pth")
                else:
                    from safetensors.torch import save_file
                    save_file(cut(shape, mp, rank), f"{folder}/consolidated.{rank:02d}.safetensors")
        """, shape.json, json(folders))
  }

  static func write(_ shape: Shape, to folder: String, modelParallel: Int) throws {
    try write(shape, to: [Folder(path: folder, modelParallel: modelParallel)])
  }

  /// Compares every tensor of every shard in each folder with the model of `shape`, bit for bit.
  static func check(_ shape: Shape, _ folders: [Folder], with peer: Peer) throws {
    try python(
      common + """

        modern = int(torch.__version__.split(".")[0]) >= 2
        for folder, mp, format in folders:
            files = sorted(glob.glob(f"{folder}/consolidated.*.{format}"))
            assert len(files) == mp, (folder, files)
            for rank, file in enumerate(files):
                if format == "pth": got = torch.load(file, weights_only=True, mmap=True) if modern else torch.load(file)
                else:
                    from safetensors.torch import load_file
                    got = load_file(file)
                    length = int.from_bytes(open(file, "rb").read(8), "little")
                    assert folder.endswith("source") or (8 + length) % 4096 == 0, length
                want = cut(shape, mp, rank)
                assert set(got) == set(want), set(got) ^ set(want)
                for name in want:
                    a, b = got[name], want[name]
                    assert a.dtype == b.dtype and a.shape == b.shape and a.is_contiguous(), (file, name, a.dtype, a.shape)
                    integer = torch.int32 if a.dtype == torch.float32 else torch.int16
                    assert torch.equal(a.view(integer), b.view(integer)), (file, name)
        """, shape.json, json(folders), with: peer)
  }
}

/// Plans and writes.
@discardableResult
func reshard(
  _ source: String, _ destination: String, modelParallel: Int, format: Checkpoint.Format = .pth, dtype: DType? = nil,
  _ options: ReshardPlan.WriteOptions = .init()
) throws -> [ReshardPlan.WrittenFile] {
  let checkpoint = try Checkpoint.open(at: FilePath(source))
  return try ReshardPlan(checkpoint, .init(modelParallel: modelParallel, format: format, dtype: dtype)).write(to: FilePath(destination), options)
}
