import Checkpoint
import Foundation
import Inference
import SystemPackage
import TestSupport
import Testing

/// A NaN or an infinity in any tensor: wherever PyTorch's numbers aren't finite any more, drover's are an error that names the tensor.
@Suite(.serialized, .needs(.python)) struct NotFiniteTests {
  static let script =
    torchLlama + #"""
      import os
      root = sys.argv[1]
      p = dict(dim=32, layers=2, heads=4, kv=2, head_dim=8, theta=10000.0, eps=1e-5)
      def matrix(rows, columns): return torch.randn(rows, columns) * 2 / math.sqrt(columns)
      base = {"tok_embeddings.weight": matrix(40, 32), "norm.weight": torch.ones(32), "output.weight": matrix(40, 32)}
      for l in range(2):
          a, f = f"layers.{l}.attention.", f"layers.{l}.feed_forward."
          base |= {a + "wq.weight": matrix(32, 32), a + "wk.weight": matrix(16, 32), a + "wv.weight": matrix(16, 32), a + "wo.weight": matrix(32, 32),
                   f + "w1.weight": matrix(48, 32), f + "w2.weight": matrix(32, 48), f + "w3.weight": matrix(48, 32),
                   f"layers.{l}.attention_norm.weight": torch.ones(32), f"layers.{l}.ffn_norm.weight": torch.ones(32)}
      tokens = torch.randint(40, (20,)).tolist()
      def write(name, w):
          os.makedirs(f"{root}/{name}")
          torch.save(w, f"{root}/{name}/consolidated.00.pth")
          json.dump(dict(dim=32, n_layers=2, n_heads=4, n_kv_heads=2, vocab_size=40, norm_eps=1e-5, rope_theta=10000.0, hidden_dim=48), open(f"{root}/{name}/params.json", "w"))
          scores = logits(p, w, tokens)
          print(json.dumps(dict(folder=name, tokens=tokens, isFinite=bool(torch.isfinite(scores).all()))))
      write("all.fine", base)
      for name in base:
          for value in ("nan", "inf", "-inf"):
              w = {n: t.clone() for n, t in base.items()}
              at = (tokens[7], 3) if "tok_emb" in name else (5, 3)
              w[name][at[1:] if w[name].dim() == 1 else at] = float(value)
              write(f"{name} {value}", w)
      # Nothing is wrong with any one of these numbers.
      write("large", {n: t * (1e30 if "wv" in n or "wo" in n else 1) for n, t in base.items()})
      """#

  struct Case: Decodable {
    let folder: String
    let tokens: [Int]
    let isFinite: Bool
  }

  @Test func theTensorIsNamed() throws {
    try withTemporaryFolder { root in
      let cases = try python(Self.script, root).split(separator: "\n").map { try JSONDecoder().decode(Case.self, from: Data($0.utf8)) }
      #expect(cases.count == 65 && cases.count { !$0.isFinite } > 40 && cases.count(where: \.isFinite) >= 1)
      for kernels in Kernels.available {
        for item in cases {
          let checkpoint = try Checkpoint.open(at: FilePath("\(root)/\(item.folder)"))
          let model = try Transformer(checkpoint, maxBatchSize: 1, maxSequenceLength: 24, threads: 1, kernels: kernels)
          let generator = Generator(model, stopTokens: [])
          do {
            _ = try generator.generate([item.tokens], GenerationOptions(maxGenLen: 1, temperature: 0, logprobs: true, echo: true))
            #expect(item.isFinite, "\(kernels.name) sees nothing wrong: \(item.folder)")
          } catch InferenceError.notFinite(_, let tensor) {
            let name = tensor?.text ?? "large"
            #expect(!item.isFinite && item.folder.hasPrefix(name), "\(kernels.name) names \(name): \(item.folder)")
          }
        }
      }
    }
  }
}
