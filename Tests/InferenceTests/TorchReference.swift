import Foundation
import TestSupport

/// Llama in PyTorch, float32, as plainly as the papers have it. Prepended to the scripts of these tests.
let torchLlama = #"""
  import json, math, sys
  import torch

  torch.manual_seed(7)

  def frequencies(p):
      dim = p["head_dim"]
      f = 1.0 / (p["theta"] ** (torch.arange(0, dim, 2).float() / dim))
      if p.get("factor"):
          low, high, old = 1, 4, 8192
          def scaled(f):
              wavelength = 2 * math.pi / f
              if wavelength < old / high: return f
              if wavelength > old / low: return f / p["factor"]
              smooth = (old / wavelength - low) / (high - low)
              return (1 - smooth) * f / p["factor"] + smooth * f
          f = torch.tensor([scaled(x.item()) for x in f])
      return f / p.get("linear", 1)

  def norm(x, weight, eps):
      return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight

  def logits(p, w, tokens):
      """p: dim, layers, heads, kv, head_dim, theta, factor, eps; w: Meta's names to float32; → [tokens, vocabulary]"""
      n, hd = len(tokens), p["head_dim"]
      angles = torch.outer(torch.arange(n).float(), frequencies(p))
      turn = torch.polar(torch.ones_like(angles), angles)[:, None, :]
      def rotate(x):
          pairs = torch.view_as_complex(x.reshape(n, -1, hd // 2, 2).contiguous())
          return torch.view_as_real(pairs * turn).reshape(n, -1, hd)
      future = torch.full((n, n), float("-inf")).triu(1)
      x = w["tok_embeddings.weight"][torch.tensor(tokens)]
      for l in range(p["layers"]):
          a, f = f"layers.{l}.attention.", f"layers.{l}.feed_forward."
          h = norm(x, w[f"layers.{l}.attention_norm.weight"], p["eps"])
          q = rotate((h @ w[a + "wq.weight"].T).view(n, p["heads"], hd))
          k = rotate((h @ w[a + "wk.weight"].T).view(n, p["kv"], hd))
          v = (h @ w[a + "wv.weight"].T).view(n, p["kv"], hd)
          k, v = (t.repeat_interleave(p["heads"] // p["kv"], 1).transpose(0, 1) for t in (k, v))
          scores = torch.softmax(q.transpose(0, 1) @ k.transpose(1, 2) / math.sqrt(hd) + future, -1)
          x = x + (scores @ v).transpose(0, 1).reshape(n, -1) @ w[a + "wo.weight"].T
          h = norm(x, w[f"layers.{l}.ffn_norm.weight"], p["eps"])
          x = x + (torch.nn.functional.silu(h @ w[f + "w1.weight"].T) * (h @ w[f + "w3.weight"].T)) @ w[f + "w2.weight"].T
      return norm(x, w["norm.weight"], p["eps"]) @ w.get("output.weight", w["tok_embeddings.weight"]).T

  def from_gguf(path):
      import gguf
      reader = gguf.GGUFReader(path)
      def key(name):
          field = reader.fields["llama." + name]
          return field.parts[field.data[0]][0].item()
      p = dict(dim=key("embedding_length"), layers=key("block_count"), heads=key("attention.head_count"),
               kv=key("attention.head_count_kv"), theta=key("rope.freq_base"), eps=key("attention.layer_norm_rms_epsilon"))
      p["head_dim"] = p["dim"] // p["heads"]
      names = {"token_embd": "tok_embeddings", "output_norm": "norm", "output": "output", "attn_q": "attention.wq", "attn_k": "attention.wk",
               "attn_v": "attention.wv", "attn_output": "attention.wo", "attn_norm": "attention_norm", "ffn_norm": "ffn_norm",
               "ffn_gate": "feed_forward.w1", "ffn_down": "feed_forward.w2", "ffn_up": "feed_forward.w3"}
      w = {}
      for t in reader.tensors:
          parts = t.name.split(".")
          prefix = f"layers.{parts[1]}." if parts[0] == "blk" else ""
          values = gguf.quants.dequantize(t.data, t.tensor_type)
          w[f"{prefix}{names[parts[-2]]}.weight"] = torch.from_numpy(values.copy()).float()
      return p, w

  def from_pth(folder):
      import glob
      stated = json.load(open(folder + "/params.json"))
      shards = [torch.load(f, map_location="cpu") for f in sorted(glob.glob(folder + "/*.pth"))]
      w = {}
      for name in shards[0]:
          if name == "rope.freqs": continue
          across = 1 if any(s in name for s in ("wo.", "w2.", "tok_embeddings.")) else 0
          pieces = [s[name].float() for s in shards]
          w[name] = pieces[0] if "norm" in name else torch.cat(pieces, across)
      p = dict(dim=stated["dim"], layers=stated["n_layers"], heads=stated["n_heads"], kv=stated.get("n_kv_heads", stated["n_heads"]),
               theta=stated.get("rope_theta", 10000.0), eps=stated["norm_eps"], head_dim=stated["dim"] // stated["n_heads"])
      return p, w

  """#

/// What PyTorch makes of a sequence of tokens.
struct TorchScores: Decodable {
  /// The log-probability of each token but the first, given those before it.
  let logprobs: [Float]
  /// After each token, the likeliest next one.
  let likeliest: [Int]

  /// Runs PyTorch on the model at `path`: a GGUF file, or a folder of .pth shards.
  init(of tokens: [Int], model path: String) throws {
    let script =
      torchLlama + """
        tokens = json.loads(sys.argv[2])
        p, w = from_gguf(sys.argv[1]) if sys.argv[1].endswith(".gguf") else from_pth(sys.argv[1])
        scores = torch.log_softmax(logits(p, w, tokens), -1)
        picked = scores[torch.arange(len(tokens) - 1), torch.tensor(tokens[1:])]
        print(json.dumps(dict(logprobs=picked.tolist(), likeliest=scores.argmax(-1).tolist())))
        """
    self = try JSONDecoder().decode(Self.self, from: Data(try python(script, path, "\(tokens)").utf8))
  }
}
