import Foundation

/// A Llama of one layer as a Hugging Face folder, written without any peer: for tests of where files go rather than of what is in them.
public enum SmallModel {
  /// - Parameter vocabulary: 1,024 rows make a megabyte.
  public static func write(to folder: String, vocabulary: Int = 1024) throws {
    let (dim, hidden) = (256, 512)
    var shapes: [(String, [Int])] = [("model.embed_tokens", [vocabulary, dim]), ("lm_head", [vocabulary, dim]), ("model.norm", [dim])]
    for name in ["q_proj", "k_proj", "v_proj", "o_proj"] { shapes.append(("model.layers.0.self_attn.\(name)", [dim, dim])) }
    shapes += [("gate_proj", [hidden, dim]), ("up_proj", [hidden, dim]), ("down_proj", [dim, hidden])].map { ("model.layers.0.mlp.\($0)", $1) }
    for name in ["input_layernorm", "post_attention_layernorm"] { shapes.append(("model.layers.0.\(name)", [dim])) }
    var (entries, end) = ([String](), 0)
    for (name, shape) in shapes {
      let bytes = 2 * shape.reduce(1, *)
      entries.append(#""\#(name).weight": {"dtype": "BF16", "shape": \#(shape), "data_offsets": [\#(end), \#(end + bytes)]}"#)
      end += bytes
    }
    let header = Data("{\(entries.joined(separator: ", "))}".utf8)
    var random = Splitmix(seed: 1)
    // bfloat16 between 1 and 2.
    let block = Data((0..<1 << 16).flatMap { _ in [UInt8.random(in: 0..<128, using: &random), 0x3F] })
    var file = withUnsafeBytes(of: UInt64(header.count).littleEndian) { Data($0) } + header
    var left = end
    while left > 0 {
      file += block.prefix(left)
      left -= min(left, block.count)
    }
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try file.write(to: URL(filePath: folder + "/model.safetensors"))
    let config = """
      {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": \(dim), "intermediate_size": \(hidden), "num_attention_heads": 8,
       "num_key_value_heads": 8, "num_hidden_layers": 1, "vocab_size": \(vocabulary), "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
       "tie_word_embeddings": false, "max_position_embeddings": 512, "torch_dtype": "bfloat16", "bos_token_id": 1, "eos_token_id": 2}
      """
    try config.write(toFile: folder + "/config.json", atomically: false, encoding: .utf8)
  }
}
