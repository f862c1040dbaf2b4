import Checkpoint
import Foundation
import Inference
import SystemPackage
import TestSupport
import Testing

/// Models whose matrices are of each quantized type, and of all of them in one file, next to PyTorch in float32 on what the `gguf` library dequantizes.
@Suite(.needs(.python)) struct QuantizedModelTests {
  /// Prints for each model its type, its path, tokens and PyTorch's log-probabilities. The last is split into files.
  private static let script =
    torchLlama + randomBlocks + #"""
      import itertools
      root = sys.argv[1]
      rng = np.random.default_rng(4)
      dim, hidden, vocab, heads, kv, layers = 256, 512, 96, 4, 2, 2
      def blocks(kind, rows, columns):
          """Of numbers with a root mean square of 1 / √columns, as trained matrices have them."""
          if kind == "F32": return (rng.standard_normal((rows, columns)) / math.sqrt(columns)).astype(np.float32), None
          type = gguf.GGMLQuantizationType[kind]
          size = np.sqrt(np.mean(gguf.quants.dequantize(random_blocks(kind, 16, 1024, rng, most=1), type) ** 2))
          return random_blocks(kind, rows, columns, rng, most=1 / size / math.sqrt(columns)), type

      def write(path, kinds, **options):
          w = gguf.GGUFWriter(path, "llama", **options)
          w.add_embedding_length(dim); w.add_block_count(layers); w.add_feed_forward_length(hidden); w.add_head_count(heads); w.add_head_count_kv(kv)
          w.add_layer_norm_rms_eps(1e-5); w.add_vocab_size(vocab); w.add_context_length(64); w.add_rope_freq_base(10000.0)
          kinds = itertools.cycle(kinds)
          def matrix(name, rows, columns):
              data, type = blocks(next(kinds), rows, columns)
              w.add_tensor(name + ".weight", data, raw_dtype=type)
          def vector(name): w.add_tensor(name + ".weight", (1 + rng.standard_normal(dim) * 0.2).astype(np.float32))
          matrix("token_embd", vocab, dim); vector("output_norm"); matrix("output", vocab, dim)
          for l in range(layers):
              vector(f"blk.{l}.attn_norm"); vector(f"blk.{l}.ffn_norm")
              for name, rows, columns in [("attn_q", dim, dim), ("attn_k", dim // heads * kv, dim), ("attn_v", dim // heads * kv, dim), ("attn_output", dim, dim),
                                          ("ffn_gate", hidden, dim), ("ffn_up", hidden, dim), ("ffn_down", dim, hidden)]:
                  matrix(f"blk.{l}.{name}", rows, columns)
          w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()

      tokens = torch.randint(vocab, (24,)).tolist()
      def show(kind, path, scored):
          p, weights = from_gguf(scored)
          print(json.dumps(dict(kind=kind, path=path, tokens=tokens, scores=torch.log_softmax(logits(p, weights, tokens), -1).flatten().tolist())))
      for kind in SCALES:
          write(f"{root}/{kind}.gguf", [kind]); show(kind, f"{root}/{kind}.gguf", f"{root}/{kind}.gguf")
      for name, options in [("mixed", {}), ("split", dict(split_max_tensors=7))]:
          rng = np.random.default_rng(6)
          write(f"{root}/{name}.gguf", ["Q4_K", "Q6_K", "F32", *SCALES], **options)
      show("mixed", f"{root}/mixed.gguf", f"{root}/mixed.gguf")
      show("split", f"{root}/split-00002-of-00003.gguf", f"{root}/mixed.gguf")
      """#

  private struct Expected: Decodable {
    let kind: String
    let path: String
    let tokens: [Int]
    /// [tokens][vocabulary]
    let scores: [Float]
  }

  @Test func everyTypeAgreesWithTorch() throws {
    try withTemporaryFolder { root in
      let lines = try python(Self.script, root).split(separator: "\n").filter { $0.hasPrefix("{") }
      let models = try lines.map { try JSONDecoder().decode(Expected.self, from: Data($0.utf8)) }
      #expect(models.count == 14)
      for expected in models {
        let checkpoint = try Checkpoint.open(at: FilePath(expected.path))
        #expect(checkpoint.files.count == (expected.kind == "split" ? 3 : 1))
        let count = expected.tokens.count
        for kernels in Kernels.available {
          let model = try Transformer(checkpoint, maxBatchSize: 1, maxSequenceLength: count, threads: 2, kernels: kernels)
          // Many rows at once and one row at a time take different kernels, and give the same numbers.
          var logits = try allLogits(model, expected.tokens, passes: [0..<count])
          let singly = try allLogits(model, expected.tokens, passes: (0..<count).map { $0..<$0 + 1 })
          #expect(logits.map(\.bitPattern) == singly.map(\.bitPattern), "\(expected.kind), \(kernels.name)")
          let vocabulary = checkpoint.params.vocabularySize
          for row in 0..<count {
            let range = row * vocabulary..<(row + 1) * vocabulary
            let sum = logits[range].reduce(0.0) { $0 + exp(Double($1)) }
            for index in range { logits[index] -= Float(log(sum)) }
          }
          let worst = largest(zip(logits, expected.scores).map { abs($0 - $1) })
          #expect(logits.count == expected.scores.count && worst < 1e-4, "\(expected.kind), \(kernels.name): off by \(worst)")
        }
      }
    }
  }
}
