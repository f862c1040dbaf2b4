/// Safetensors files in the shapes of a release, whose weights are a hole: all zero, of any size, in no space.
public enum ReleaseShapes {
  /// Writes shards with Meta's names and a `params.json` into a new folder.
  /// - Parameters:
  ///   - heads: for queries, and for keys and values; the latter on each rank at least one.
  ///   - params: keys of `params.json` beside the shapes, as JSON.
  public static func write(
    to folder: String, dim: Int, layers: Int, heads: (Int, Int), hidden: Int, vocabulary: Int, modelParallel: Int = 1, params: String = "{}"
  ) throws {
    try python(
      """
      import json, os, sys
      folder, dim, layers, heads, kv, hidden, vocab, mp, extra = sys.argv[1], *map(int, sys.argv[2:9]), json.loads(sys.argv[9])
      hd = dim // heads
      shapes = {"tok_embeddings.weight": [vocab // mp, dim], "norm.weight": [dim], "output.weight": [vocab // mp, dim]}
      for l in range(layers):
          p = f"layers.{l}."
          shapes |= {p + "attention.wq.weight": [dim // mp, dim], p + "attention.wk.weight": [max(1, kv // mp) * hd, dim], p + "attention.wv.weight": [max(1, kv // mp) * hd, dim],
                     p + "attention.wo.weight": [dim, dim // mp], p + "feed_forward.w1.weight": [hidden // mp, dim], p + "feed_forward.w2.weight": [dim, hidden // mp],
                     p + "feed_forward.w3.weight": [hidden // mp, dim], p + "attention_norm.weight": [dim], p + "ffn_norm.weight": [dim]}
      header, end = {}, 0
      for name, shape in shapes.items():
          size = 2
          for n in shape: size *= n
          header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, end + size]}
          end += size
      text = json.dumps(header).encode()
      os.makedirs(folder)
      for rank in range(mp):
          with open(f"{folder}/consolidated.{rank:02}.safetensors", "wb") as f:
              f.write(len(text).to_bytes(8, "little") + text)
              f.truncate(8 + len(text) + end)
      params = {"dim": dim, "n_layers": layers, "n_heads": heads, "n_kv_heads": max(kv, mp), "norm_eps": 1e-5, "vocab_size": vocab, "hidden_dim": hidden} | extra
      json.dump({k: v for k, v in params.items() if v is not None}, open(folder + "/params.json", "w"))
      """, folder, String(dim), String(layers), String(heads.0), String(heads.1), String(hidden), String(vocabulary), String(modelParallel), params)
  }
}
