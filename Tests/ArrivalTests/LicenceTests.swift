import Foundation
import TestSupport
import Testing

/// Licences, policies and cards come along, and `inspect` names them.
@Suite struct LicenceTests {
  private struct Report: Decodable {
    let legal: [String]
    let license: String?
  }

  private func inspect(_ arguments: String..., environment: [String: String] = [:]) throws -> Report {
    let outcome = try run(droverPath, ["inspect", "--json", "-q"] + arguments, environment: environment)
    #expect(outcome.status == 0, "\(outcome)")
    return try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8))
  }

  /// A GGUF as the `gguf` library writes one, with what its author says of its licence or nothing.
  private func gguf(_ path: String, _ licence: String...) throws {
    try python(
      """
      import sys, numpy as np
      from gguf import GGUFWriter
      dim, hidden, vocab = 32, 48, 64
      w = GGUFWriter(sys.argv[1], "llama")
      w.add_embedding_length(dim); w.add_block_count(1); w.add_feed_forward_length(hidden); w.add_head_count(4); w.add_head_count_kv(4)
      w.add_layer_norm_rms_eps(1e-5); w.add_vocab_size(vocab); w.add_context_length(64)
      for add, value in zip([w.add_license, w.add_license_name, w.add_license_link], sys.argv[2:]): add(value)
      shapes = {"token_embd": (vocab, dim), "output_norm": (dim,), "output": (vocab, dim)} | {f"blk.0.{n}": s for n, s in {"attn_norm": (dim,), "attn_q": (dim, dim), "attn_k": (dim, dim),
        "attn_v": (dim, dim), "attn_output": (dim, dim), "ffn_norm": (dim,), "ffn_gate": (hidden, dim), "ffn_up": (hidden, dim), "ffn_down": (dim, hidden)}.items()}
      for n, s in shapes.items(): w.add_tensor(n + ".weight", np.ones(s, dtype=np.float32))
      w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()
      """, [path] + licence)
  }

  /// Whatever is included of a repository, unless it is excluded by name; and the card says what the licence is called.
  @Test(.needs(.python)) func comeFromTheHubAndAreNamed() throws {
    let hub = try HubStandIn()
    defer { hub.stop() }
    try withTemporaryFolder { folder in
      try FileManager.default.createDirectory(atPath: hub.root + "/org/model/main/deep", withIntermediateDirectories: true)
      try gguf(hub.root + "/org/model/main/model.Q4.gguf")
      try gguf(hub.root + "/org/model/main/model.Q8.gguf")
      for (name, text) in [("LICENSE", "Terms"), ("USE_POLICY.md", "Don't"), ("README.md", "---\nlicense: llama3.1\ntags:\n- license: no\n---\n# Model\n"), ("deep/LICENSE", "Another"), ("notes.txt", "x")] {
        try hub.write(Data(text.utf8), to: "org/model/main/" + name)
      }
      let environment = ["HF_ENDPOINT": hub.endpoint, "HOME": folder, "HF_HOME": folder + "/none", "HF_TOKEN": "", "HF_HUB_OFFLINE": ""]
      func download(_ place: String, _ arguments: String...) throws -> [String] {
        let outcome = try run(droverPath, ["download", "hf:org/model", "--output", folder + place, "--yes", "-q"] + arguments, environment: environment)
        #expect(outcome.status == 0, "\(outcome)")
        return try FileManager.default.subpathsOfDirectory(atPath: folder + place + "/model").filter { $0 != "drover-receipt.json" }.sorted()
      }
      #expect(try download("/one", "--include", "*Q4.gguf") == ["LICENSE", "README.md", "USE_POLICY.md", "model.Q4.gguf"])
      #expect(try download("/two", "--include", "*Q4.gguf", "--exclude", "*.md") == ["LICENSE", "model.Q4.gguf"])
      for path in ["/one/model", "/one/model/model.Q4.gguf"] {
        let report = try inspect(folder + path)
        #expect(report.legal == ["LICENSE", "USE_POLICY.md", "README.md"] && report.license == "llama3.1", "\(path): \(report)")
      }
      #expect(try drover("inspect", folder + "/one/model").output.contains("LICENSE, USE_POLICY.md, README.md"))
      // What happens to lie beside a file isn't its.
      try FileManager.default.removeItem(atPath: folder + "/one/model/drover-receipt.json")
      let alone = try inspect(folder + "/one/model/model.Q4.gguf")
      #expect(alone.legal.isEmpty && alone.license == nil)
    }
  }

  /// What the weights themselves say goes before all else.
  @Test(.needs(.python)) func ggufsNameTheirs() throws {
    try withTemporaryFolder { folder in
      try gguf(folder + "/a.gguf", "llama3.2", "Llama 3.2 Community License", "https://www.llama.com/llama3_2/license/")
      #expect(try inspect(folder + "/a.gguf").license == "Llama 3.2 Community License (https://www.llama.com/llama3_2/license/)")
      try gguf(folder + "/b.gguf", "apache-2.0")
      #expect(try inspect(folder + "/b.gguf").license == "apache-2.0")
    }
  }

  /// Cards whose beginning says it otherwise, or doesn't.
  @Test(arguments: [
    ("---\nlicense: other\nlicense_name: llama2\n---\n", "llama2"), ("---\r\nlicense: \"mit\"\r\n---\r\n", "mit"), ("# license: mit\n", nil), ("---\nlicense: mit\n", nil), ("---\nlicense:\n- mit\n---\n", nil),
    ("---\nlicense: mit\nlicense: apache-2.0\n---\n", nil), ("", nil), ("---\nlicense: [mit, other]\n---\n", nil),
  ] as [(String, String?)]) func cardsAreRead(card: String, licence: String?) throws {
    try withTemporaryFolder { folder in
      try SmallModel.write(to: folder + "/m", vocabulary: 64)
      try card.write(toFile: folder + "/m/README.md", atomically: true, encoding: .utf8)
      #expect(try inspect(folder + "/m").license == licence)
    }
  }
}
