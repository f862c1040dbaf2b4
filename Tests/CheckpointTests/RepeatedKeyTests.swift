import Foundation
import TestSupport
import Testing

/// A file that says two different things under one key is refused by the key and both values, where other readers take the last in silence.
@Suite struct RepeatedKeyTests {
  /// A file of the demo checkpoint, as it is or as a Hugging Face folder; what is put behind its first bracket; and what the message has.
  static let files: [(folder: String, file: String, added: String, says: [String])] = [
    ("meta", "params.json", #""dim": 256,"#, [#""dim" twice, 256 and 128"#]),
    ("hf", "config.json", #""rope_theta": 500000.0,"#, [#""rope_theta" twice, 500000.0 and 10000"#]),
    ("hf", "config.json", #""quantization_config": {"bits": 8, "bits": 4},"#, [#""bits" twice, 8 and 4"#]),
    ("hf", "generation_config.json", #""eos_token_id": [5, 6],"#, [#""eos_token_id""#, "[5, 6]"]),
    ("hf", "tokenizer_config.json", #""bos_token": "<other>","#, [#""bos_token""#, "<other>"]),
    ("hf", "tokenizer.json", #""decoder": null,"#, ["a second “decoder”"]),
    ("hf", "model.safetensors.index.json", #""weight_map": {"a": "model-00001-of-00002.safetensors", "a": "model-00002-of-00002.safetensors"},"#,
      ["says that a lies in model-00001-of-00002.safetensors and in model-00002-of-00002.safetensors"]),
    ("meta", "drover-receipt.json", #""operation": "download","#, [#""operation""#, "download", "reshard"]),
  ]

  private static let tokenizer = [
    "tokenizer_config.json": #"{"bos_token": "<s>"}"#,
    "tokenizer.json": #"{"decoder": {"type": "ByteLevel"}, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false}, "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}"#,
  ]

  @Test(arguments: files) func namesBoth(_ row: (folder: String, file: String, added: String, says: [String])) throws {
    try withTemporaryFolder { root in
      let demo = Peer.packageRoot + "/Sources/CDemoModel/model"
      let format = row.folder == "hf" ? ["--format", "hf", "--max-shard-size", "2M"] : ["--format", "pth"]
      try #require(try run(droverPath, ["reshard", demo, root + "/m", "--mp", "1", "--quiet"] + format).status == 0)
      if row.file.hasPrefix("tokenizer") {
        for (name, text) in Self.tokenizer { try text.write(toFile: "\(root)/m/\(name)", atomically: false, encoding: .utf8) }
      }
      let path = "\(root)/m/\(row.file)"
      let text = try String(contentsOfFile: path, encoding: .utf8)
      let bracket = try #require(text.firstIndex(of: "{"))
      try (text[...bracket] + row.added + text[bracket...].dropFirst()).write(toFile: path, atomically: false, encoding: .utf8)
      let command = row.file == "drover-receipt.json" ? ["verify", root + "/m"] : ["complete", root + "/m", "--prompt", "a", "--max-gen-len", "1"]
      let outcome = try run(droverPath, command)
      #expect(outcome.status == 65 && outcome.errors.contains(row.file), "\(outcome)")
      for words in row.says { #expect(outcome.errors.contains(words), "\(outcome.errors)") }
    }
  }

  @Test func sameValueTwiceIsOneStatement() throws {
    try withTemporaryFolder { root in
      try FileManager.default.copyItem(atPath: Peer.packageRoot + "/Sources/CDemoModel/model", toPath: root + "/m")
      let path = root + "/m/params.json"
      let text = try String(contentsOfFile: path, encoding: .utf8)
      let dim = try #require(text.firstMatch(of: /"dim": *([0-9]+)/)).1
      try ("{\"dim\": \(dim).0," + text.drop { $0 != "{" }.dropFirst()).write(toFile: path, atomically: false, encoding: .utf8)
      let outcome = try drover("inspect", root + "/m")
      #expect(outcome.status == 0, "\(outcome)")
    }
  }

  @Test func ofManifests() throws {
    try withTemporaryFolder { root in
      try #"{"id": "one", "id": "two", "files": [{"path": "m/a.pth"}]}"#.write(toFile: root + "/m.json", atomically: false, encoding: .utf8)
      let outcome = try drover("catalog", "--manifest", root + "/m.json")
      #expect(outcome.status == 65 && outcome.errors.contains(#"says "id" twice, "one" and "two""#), "\(outcome)")
    }
  }
}
