import Foundation
import TestSupport
import Testing

/// A real trained model as a GGUF in every type that llama.cpp's quantizer has and drover writes.
@Suite(.serialized, .needs(.smolLM2), .needs(.python), .needs(.ggml))
struct GGUFOfRealModelTests {
  private struct Completions: Decodable {
    struct Completion: Decodable { let generation: String }
    let completions: [Completion]
  }

  @Test("In every type it speaks, says what it is, and can be verified")
  func everyTypeSpeaks() throws {
    try withTemporaryFolder { folder in
      func drover(_ arguments: [String]) throws -> Outcome {
        let outcome = try run(droverPath, arguments)
        try #require(outcome.status == 0, "\(arguments): \(outcome.errors)")
        return outcome
      }
      // As its makers have it: a Hugging Face folder in bfloat16.
      _ = try drover(["reshard", Peer.smolLM2.path, folder + "/SmolLM2", "--format", "hf", "--dtype", "bf16", "-q"])
      for type in ["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "q4_k_s", "q4_k_m", "q5_k_s", "q5_k_m", "q6_k"] {
        let out = "\(folder)/\(type)"
        _ = try drover(["reshard", folder + "/SmolLM2", out, "--format", "gguf", "--dtype", type, "-q"])
        _ = try drover(["verify", out, "-q"])
        let answer = try drover(["complete", out, "--prompt", "The capital of France is", "--temperature", "0", "--max-gen-len", "4", "--json"])
        let completions = try JSONDecoder().decode(Completions.self, from: Data(answer.output.utf8)).completions
        // With Q4_0 so small a model has lost the capital: llama.cpp goes on so too.
        #expect(completions.first?.generation.hasPrefix(type == "q4_0" ? " located" : " Paris") == true, "\(type): \(completions)")
        if type == "q4_k_m" { try check(out) }
        try FileManager.default.removeItem(atPath: out)
      }
    }
  }

  /// The file that the package carries was written by llama.cpp's converter from the makers' folder: what it says of the model and of its tokenizer has gone through a Hugging Face
  /// folder and come out again, but for what a byte-level tokenizer has no use for.
  private func check(_ out: String) throws {
    try python(
      """
      import glob, sys, gguf
      def said(path): return {k: f.contents() for k, f in gguf.GGUFReader(path).fields.items() if not k.startswith("GGUF.")}
      theirs, ours = said(sys.argv[1]), said(glob.glob(sys.argv[2] + "/*.gguf")[0])
      own = ("general.", "quantize.")
      for key, value in theirs.items():
          if key.startswith(own) or key.removeprefix("tokenizer.ggml.") in ("unknown_token_id", "padding_token_id", "add_space_prefix"): continue
          assert ours.get(key) == value, (key, str(ours.get(key))[:100], str(value)[:100])
      more = {k for k in ours if k not in theirs and not k.startswith(own)}
      assert more <= {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.add_eos_token", "llama.attention.key_length", "llama.attention.value_length"}, more
      assert (ours["general.name"], ours["general.size_label"], ours["general.file_type"]) == ("SmolLM2", "135M", 15)
      """, Peer.smolLM2.path, out)
  }
}
