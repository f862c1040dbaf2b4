import Checkpoint
import Integrity
import TestSupport
import Testing

/// Which type each tensor has in each of llama.cpp's mixes.
struct DTypeMixTests {
  @Test(arguments: fixture) func typesAreThoseOfLlamaQuantize(_ line: String) throws {
    let words = line.split(separator: " ").map(String.init)
    let numbers = words[..<5].compactMap { Int($0) }
    try #require(numbers.count == 5 && words.count > 7)
    let (layers, dim, hidden, heads, kvHeads, isTied) = (numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], words[5] == "tied")
    let mix = try #require(DTypeMix(rawValue: words[6]))
    let params = ModelParams(
      dim: dim, layers: layers, heads: heads, kvHeads: kvHeads, headDim: dim / heads, hiddenDim: hidden, vocabularySize: 32, normEpsilon: 1e-5, ropeTheta: 10000,
      tiedEmbeddings: isTied)
    for word in words[7...] {
      let parts = word.split { "=+".contains($0) }.map(String.init)
      let role = try #require(Self.roles[parts[0]])
      var expected = [String](repeating: parts[1], count: role.isLayered ? layers : 1)
      for exception in parts[2...] {
        let pair = exception.split(separator: "@")
        for run in pair[1].split(separator: ",") {
          let ends = run.split(separator: "-").compactMap { Int($0) }
          for layer in ends[0]...ends[ends.count - 1] { expected[layer] = String(pair[0]) }
        }
      }
      let columns = role == .w2 ? hidden : dim
      for (layer, dtype) in expected.enumerated() {
        let name = TensorName(role, layer: role.isLayered ? layer : nil)
        let tensor = LogicalTensor(name: name, shape: [32, columns], dtype: .f32, split: .whole, parts: [])
        #expect(mix.dtype(of: tensor, in: params).rawValue == dtype, "\(name)")
      }
    }
  }

  @Test(arguments: DTypeMix.allCases) func vectorsAreNeverQuantized(_ mix: DTypeMix) {
    let params = ModelParams(dim: 256, layers: 1, heads: 4, kvHeads: 4, headDim: 64, hiddenDim: 256, vocabularySize: 32, normEpsilon: 1e-5, ropeTheta: 10000)
    let norm = LogicalTensor(name: TensorName(.norm), shape: [256], dtype: .bf16, split: .whole, parts: [])
    #expect(!mix.dtype(of: norm, in: params).isQuantized)
  }

  private static let roles: [String: TensorName.Role] = [
    "token_embd": .tokEmbeddings, "attn_q": .wq, "attn_k": .wk, "attn_v": .wv, "attn_output": .wo, "ffn_gate": .w1, "ffn_up": .w3, "ffn_down": .w2, "output": .output,
  ]

  /// What `llama-quantize --dry-run` (llama.cpp as of llama-cpp-python 0.3.36) said of models of zeros: layers, width, feed-forward width, heads, key and value heads,
  /// whether the output is tied; the mix; and by tensor the type of most layers, then other types `@` the layers that have them.
  private static let fixture = """
    32 256 256 4 2 untied q8_0 token_embd=q8_0 attn_q=q8_0 attn_k=q8_0 attn_v=q8_0 attn_output=q8_0 ffn_gate=q8_0 ffn_up=q8_0 ffn_down=q8_0 output=q8_0
    32 256 256 4 2 untied q4_0 token_embd=q4_0 attn_q=q4_0 attn_k=q4_0 attn_v=q4_0 attn_output=q4_0 ffn_gate=q4_0 ffn_up=q4_0 ffn_down=q4_0 output=q6_k
    32 256 256 4 2 untied q4_1 token_embd=q4_1 attn_q=q4_1 attn_k=q4_1 attn_v=q4_1 attn_output=q4_1 ffn_gate=q4_1 ffn_up=q4_1 ffn_down=q4_1 output=q6_k
    32 256 256 4 2 untied q5_0 token_embd=q5_0 attn_q=q5_0 attn_k=q5_0 attn_v=q5_0 attn_output=q5_0 ffn_gate=q5_0 ffn_up=q5_0 ffn_down=q5_0 output=q6_k
    32 256 256 4 2 untied q5_1 token_embd=q5_1 attn_q=q5_1 attn_k=q5_1 attn_v=q5_1 attn_output=q5_1 ffn_gate=q5_1 ffn_up=q5_1 ffn_down=q5_1 output=q6_k
    32 256 256 4 2 untied q4_k_s token_embd=q4_k attn_q=q4_k attn_k=q4_k attn_v=q4_k+q5_k@0-3 attn_output=q4_k ffn_gate=q4_k ffn_up=q4_k ffn_down=q4_k+q5_k@0-3 output=q6_k
    32 256 256 4 2 untied q4_k_m token_embd=q4_k attn_q=q4_k attn_k=q4_k attn_v=q6_k+q4_k@4-5,7-8,10-11,13-14,16-17,19-20,22-23,25-26 attn_output=q4_k ffn_gate=q4_k ffn_up=q4_k ffn_down=q6_k+q4_k@4-5,7-8,10-11,13-14,16-17,19-20,22-23,25-26 output=q6_k
    32 256 256 4 2 untied q5_k_s token_embd=q5_k attn_q=q5_k attn_k=q5_k attn_v=q5_k attn_output=q5_k ffn_gate=q5_k ffn_up=q5_k ffn_down=q5_k output=q6_k
    32 256 256 4 2 untied q5_k_m token_embd=q5_k attn_q=q5_k attn_k=q5_k attn_v=q6_k+q5_k@4-5,7-8,10-11,13-14,16-17,19-20,22-23,25-26 attn_output=q5_k ffn_gate=q5_k ffn_up=q5_k ffn_down=q6_k+q5_k@4-5,7-8,10-11,13-14,16-17,19-20,22-23,25-26 output=q6_k
    32 256 256 4 2 untied q6_k token_embd=q6_k attn_q=q6_k attn_k=q6_k attn_v=q6_k attn_output=q6_k ffn_gate=q6_k ffn_up=q6_k ffn_down=q6_k output=q6_k
    80 256 256 4 1 untied q8_0 token_embd=q8_0 attn_q=q8_0 attn_k=q8_0 attn_v=q8_0 attn_output=q8_0 ffn_gate=q8_0 ffn_up=q8_0 ffn_down=q8_0 output=q8_0
    80 256 256 4 1 untied q4_0 token_embd=q4_0 attn_q=q4_0 attn_k=q4_0 attn_v=q4_0 attn_output=q4_0 ffn_gate=q4_0 ffn_up=q4_0 ffn_down=q4_0 output=q6_k
    80 256 256 4 1 untied q4_1 token_embd=q4_1 attn_q=q4_1 attn_k=q4_1 attn_v=q4_1 attn_output=q4_1 ffn_gate=q4_1 ffn_up=q4_1 ffn_down=q4_1 output=q6_k
    80 256 256 4 1 untied q5_0 token_embd=q5_0 attn_q=q5_0 attn_k=q5_0 attn_v=q5_0 attn_output=q5_0 ffn_gate=q5_0 ffn_up=q5_0 ffn_down=q5_0 output=q6_k
    80 256 256 4 1 untied q5_1 token_embd=q5_1 attn_q=q5_1 attn_k=q5_1 attn_v=q5_1 attn_output=q5_1 ffn_gate=q5_1 ffn_up=q5_1 ffn_down=q5_1 output=q6_k
    80 256 256 4 1 untied q4_k_s token_embd=q4_k attn_q=q4_k attn_k=q4_k attn_v=q5_k attn_output=q4_k ffn_gate=q4_k ffn_up=q4_k ffn_down=q4_k+q5_k@0-9 output=q6_k
    80 256 256 4 1 untied q4_k_m token_embd=q4_k attn_q=q4_k attn_k=q4_k attn_v=q6_k+q5_k@10-11,13-14,16-17,19-20,22-23,25-26,28-29,31-32,34-35,37-38,40-41,43-44,46-47,49-50,52-53,55-56,58-59,61-62,64-65,67-68 attn_output=q4_k ffn_gate=q4_k ffn_up=q4_k ffn_down=q6_k+q4_k@10-11,13-14,16-17,19-20,22-23,25-26,28-29,31-32,34-35,37-38,40-41,43-44,46-47,49-50,52-53,55-56,58-59,61-62,64-65,67-68 output=q6_k
    80 256 256 4 1 untied q5_k_s token_embd=q5_k attn_q=q5_k attn_k=q5_k attn_v=q5_k attn_output=q5_k ffn_gate=q5_k ffn_up=q5_k ffn_down=q5_k output=q6_k
    80 256 256 4 1 untied q5_k_m token_embd=q5_k attn_q=q5_k attn_k=q5_k attn_v=q6_k+q5_k@10-11,13-14,16-17,19-20,22-23,25-26,28-29,31-32,34-35,37-38,40-41,43-44,46-47,49-50,52-53,55-56,58-59,61-62,64-65,67-68 attn_output=q5_k ffn_gate=q5_k ffn_up=q5_k ffn_down=q6_k+q5_k@10-11,13-14,16-17,19-20,22-23,25-26,28-29,31-32,34-35,37-38,40-41,43-44,46-47,49-50,52-53,55-56,58-59,61-62,64-65,67-68 output=q6_k
    80 256 256 4 1 untied q6_k token_embd=q6_k attn_q=q6_k attn_k=q6_k attn_v=q6_k attn_output=q6_k ffn_gate=q6_k ffn_up=q6_k ffn_down=q6_k output=q6_k
    30 576 1536 9 3 tied q8_0 token_embd=q8_0 attn_q=q8_0 attn_k=q8_0 attn_v=q8_0 attn_output=q8_0 ffn_gate=q8_0 ffn_up=q8_0 ffn_down=q8_0
    30 576 1536 9 3 tied q4_0 token_embd=q8_0 attn_q=q4_0 attn_k=q4_0 attn_v=q4_0 attn_output=q4_0 ffn_gate=q4_0 ffn_up=q4_0 ffn_down=q4_0
    30 576 1536 9 3 tied q4_1 token_embd=q8_0 attn_q=q4_1 attn_k=q4_1 attn_v=q4_1 attn_output=q4_1 ffn_gate=q4_1 ffn_up=q4_1 ffn_down=q4_1
    30 576 1536 9 3 tied q5_0 token_embd=q8_0 attn_q=q5_0 attn_k=q5_0 attn_v=q5_0 attn_output=q5_0 ffn_gate=q5_0 ffn_up=q5_0 ffn_down=q5_0
    30 576 1536 9 3 tied q5_1 token_embd=q8_0 attn_q=q5_1 attn_k=q5_1 attn_v=q5_1 attn_output=q5_1 ffn_gate=q5_1 ffn_up=q5_1 ffn_down=q5_1
    30 576 1536 9 3 tied q4_k_s token_embd=q8_0 attn_q=q5_0 attn_k=q5_0 attn_v=q5_0+q5_1@0-3 attn_output=q5_0 ffn_gate=q5_0 ffn_up=q5_0 ffn_down=q4_k+q5_k@0-2
    30 576 1536 9 3 tied q4_k_m token_embd=q8_0 attn_q=q5_0 attn_k=q5_0 attn_v=q5_0+q8_0@0-2,5,8,11,14,17,20,23,26-29 attn_output=q5_0 ffn_gate=q5_0 ffn_up=q5_0 ffn_down=q4_k+q6_k@0-2,5,8,11,14,17,20,23,26-29
    30 576 1536 9 3 tied q5_k_s token_embd=q8_0 attn_q=q5_1 attn_k=q5_1 attn_v=q5_1 attn_output=q5_1 ffn_gate=q5_1 ffn_up=q5_1 ffn_down=q5_k
    30 576 1536 9 3 tied q5_k_m token_embd=q8_0 attn_q=q5_1 attn_k=q5_1 attn_v=q5_1+q8_0@0-2,5,8,11,14,17,20,23,26-29 attn_output=q5_1 ffn_gate=q5_1 ffn_up=q5_1 ffn_down=q5_k+q6_k@0-2,5,8,11,14,17,20,23,26-29
    30 576 1536 9 3 tied q6_k token_embd=q8_0 attn_q=q8_0 attn_k=q8_0 attn_v=q8_0 attn_output=q8_0 ffn_gate=q8_0 ffn_up=q8_0 ffn_down=q6_k
    80 256 256 4 4 tied q8_0 token_embd=q8_0 attn_q=q8_0 attn_k=q8_0 attn_v=q8_0 attn_output=q8_0 ffn_gate=q8_0 ffn_up=q8_0 ffn_down=q8_0
    80 256 256 4 4 tied q4_0 token_embd=q6_k attn_q=q4_0 attn_k=q4_0 attn_v=q4_0 attn_output=q4_0 ffn_gate=q4_0 ffn_up=q4_0 ffn_down=q4_0
    80 256 256 4 4 tied q4_1 token_embd=q6_k attn_q=q4_1 attn_k=q4_1 attn_v=q4_1 attn_output=q4_1 ffn_gate=q4_1 ffn_up=q4_1 ffn_down=q4_1
    80 256 256 4 4 tied q5_0 token_embd=q6_k attn_q=q5_0 attn_k=q5_0 attn_v=q5_0 attn_output=q5_0 ffn_gate=q5_0 ffn_up=q5_0 ffn_down=q5_0
    80 256 256 4 4 tied q5_1 token_embd=q6_k attn_q=q5_1 attn_k=q5_1 attn_v=q5_1 attn_output=q5_1 ffn_gate=q5_1 ffn_up=q5_1 ffn_down=q5_1
    80 256 256 4 4 tied q4_k_s token_embd=q6_k attn_q=q4_k attn_k=q4_k attn_v=q4_k+q5_k@0-3 attn_output=q4_k ffn_gate=q4_k ffn_up=q4_k ffn_down=q4_k+q5_k@0-9
    80 256 256 4 4 tied q4_k_m token_embd=q6_k attn_q=q4_k attn_k=q4_k attn_v=q6_k+q4_k@10-11,13-14,16-17,19-20,22-23,25-26,28-29,31-32,34-35,37-38,40-41,43-44,46-47,49-50,52-53,55-56,58-59,61-62,64-65,67-68 attn_output=q4_k ffn_gate=q4_k ffn_up=q4_k ffn_down=q6_k+q4_k@10-11,13-14,16-17,19-20,22-23,25-26,28-29,31-32,34-35,37-38,40-41,43-44,46-47,49-50,52-53,55-56,58-59,61-62,64-65,67-68
    80 256 256 4 4 tied q5_k_s token_embd=q6_k attn_q=q5_k attn_k=q5_k attn_v=q5_k attn_output=q5_k ffn_gate=q5_k ffn_up=q5_k ffn_down=q5_k
    80 256 256 4 4 tied q5_k_m token_embd=q6_k attn_q=q5_k attn_k=q5_k attn_v=q6_k+q5_k@10-11,13-14,16-17,19-20,22-23,25-26,28-29,31-32,34-35,37-38,40-41,43-44,46-47,49-50,52-53,55-56,58-59,61-62,64-65,67-68 attn_output=q5_k ffn_gate=q5_k ffn_up=q5_k ffn_down=q6_k+q5_k@10-11,13-14,16-17,19-20,22-23,25-26,28-29,31-32,34-35,37-38,40-41,43-44,46-47,49-50,52-53,55-56,58-59,61-62,64-65,67-68
    80 256 256 4 4 tied q6_k token_embd=q6_k attn_q=q6_k attn_k=q6_k attn_v=q6_k attn_output=q6_k ffn_gate=q6_k ffn_up=q6_k ffn_down=q6_k
    3 288 272 4 4 untied q8_0 token_embd=q8_0 attn_q=q8_0 attn_k=q8_0 attn_v=q8_0 attn_output=q8_0 ffn_gate=q8_0 ffn_up=q8_0 ffn_down=f16 output=q8_0
    3 288 272 4 4 untied q4_0 token_embd=q4_0 attn_q=q4_0 attn_k=q4_0 attn_v=q4_0 attn_output=q4_0 ffn_gate=q4_0 ffn_up=q4_0 ffn_down=f16 output=q8_0
    3 288 272 4 4 untied q4_1 token_embd=q4_1 attn_q=q4_1 attn_k=q4_1 attn_v=q4_1 attn_output=q4_1 ffn_gate=q4_1 ffn_up=q4_1 ffn_down=f16 output=q8_0
    3 288 272 4 4 untied q5_0 token_embd=q5_0 attn_q=q5_0 attn_k=q5_0 attn_v=q5_0 attn_output=q5_0 ffn_gate=q5_0 ffn_up=q5_0 ffn_down=f16 output=q8_0
    3 288 272 4 4 untied q5_1 token_embd=q5_1 attn_q=q5_1 attn_k=q5_1 attn_v=q5_1 attn_output=q5_1 ffn_gate=q5_1 ffn_up=q5_1 ffn_down=f16 output=q8_0
    3 288 272 4 4 untied q4_k_s token_embd=q5_0 attn_q=q5_0 attn_k=q5_0 attn_v=q5_1 attn_output=q5_0 ffn_gate=q5_0 ffn_up=q5_0 ffn_down=f16 output=q8_0
    3 288 272 4 4 untied q4_k_m token_embd=q5_0 attn_q=q5_0 attn_k=q5_0 attn_v=q5_0+q8_0@2 attn_output=q5_0 ffn_gate=q5_0 ffn_up=q5_0 ffn_down=f16 output=q8_0
    3 288 272 4 4 untied q5_k_s token_embd=q5_1 attn_q=q5_1 attn_k=q5_1 attn_v=q5_1 attn_output=q5_1 ffn_gate=q5_1 ffn_up=q5_1 ffn_down=f16 output=q8_0
    3 288 272 4 4 untied q5_k_m token_embd=q5_1 attn_q=q5_1 attn_k=q5_1 attn_v=q5_1+q8_0@2 attn_output=q5_1 ffn_gate=q5_1 ffn_up=q5_1 ffn_down=f16 output=q8_0
    3 288 272 4 4 untied q6_k token_embd=q8_0 attn_q=q8_0 attn_k=q8_0 attn_v=q8_0 attn_output=q8_0 ffn_gate=q8_0 ffn_up=q8_0 ffn_down=f16 output=q8_0
    22 256 512 4 2 untied q8_0 token_embd=q8_0 attn_q=q8_0 attn_k=q8_0 attn_v=q8_0 attn_output=q8_0 ffn_gate=q8_0 ffn_up=q8_0 ffn_down=q8_0 output=q8_0
    22 256 512 4 2 untied q4_0 token_embd=q4_0 attn_q=q4_0 attn_k=q4_0 attn_v=q4_0 attn_output=q4_0 ffn_gate=q4_0 ffn_up=q4_0 ffn_down=q4_0 output=q6_k
    22 256 512 4 2 untied q4_1 token_embd=q4_1 attn_q=q4_1 attn_k=q4_1 attn_v=q4_1 attn_output=q4_1 ffn_gate=q4_1 ffn_up=q4_1 ffn_down=q4_1 output=q6_k
    22 256 512 4 2 untied q5_0 token_embd=q5_0 attn_q=q5_0 attn_k=q5_0 attn_v=q5_0 attn_output=q5_0 ffn_gate=q5_0 ffn_up=q5_0 ffn_down=q5_0 output=q6_k
    22 256 512 4 2 untied q5_1 token_embd=q5_1 attn_q=q5_1 attn_k=q5_1 attn_v=q5_1 attn_output=q5_1 ffn_gate=q5_1 ffn_up=q5_1 ffn_down=q5_1 output=q6_k
    22 256 512 4 2 untied q4_k_s token_embd=q4_k attn_q=q4_k attn_k=q4_k attn_v=q4_k+q5_k@0-3 attn_output=q4_k ffn_gate=q4_k ffn_up=q4_k ffn_down=q4_k+q5_k@0-1 output=q6_k
    22 256 512 4 2 untied q4_k_m token_embd=q4_k attn_q=q4_k attn_k=q4_k attn_v=q4_k+q6_k@0-1,4,7,10,13,16,19-21 attn_output=q4_k ffn_gate=q4_k ffn_up=q4_k ffn_down=q4_k+q6_k@0-1,4,7,10,13,16,19-21 output=q6_k
    22 256 512 4 2 untied q5_k_s token_embd=q5_k attn_q=q5_k attn_k=q5_k attn_v=q5_k attn_output=q5_k ffn_gate=q5_k ffn_up=q5_k ffn_down=q5_k output=q6_k
    22 256 512 4 2 untied q5_k_m token_embd=q5_k attn_q=q5_k attn_k=q5_k attn_v=q5_k+q6_k@0-1,4,7,10,13,16,19-21 attn_output=q5_k ffn_gate=q5_k ffn_up=q5_k ffn_down=q5_k+q6_k@0-1,4,7,10,13,16,19-21 output=q6_k
    22 256 512 4 2 untied q6_k token_embd=q6_k attn_q=q6_k attn_k=q6_k attn_v=q6_k attn_output=q6_k ffn_gate=q6_k ffn_up=q6_k ffn_down=q6_k output=q6_k
    """.split(separator: "\n").map(String.init)
}
