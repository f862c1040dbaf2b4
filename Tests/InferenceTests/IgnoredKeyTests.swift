import Foundation
import TestSupport
import Testing

/// A description with a key that drover doesn't honour, in every command.
@Suite(.serialized) struct IgnoredKeyTests {
  struct Row: Sendable, CustomTestStringConvertible {
    /// `{}` stands for the folder, which holds the model as `model/`.
    let arguments: [String]
    let status: Int32
    let says: [String]
    var silent: [String] = []
    var testDescription: String { arguments.joined(separator: " ") }
  }

  static let complete = ["complete", "{}/model", "--prompt", "Once upon a time", "--temperature", "0", "--max-gen-len", "4"]
  static let bench = ["bench", "{}/model", "--prompt-tokens", "2", "--gen-tokens", "1", "--repetitions", "1"]
  static let refusal = ["params.json: says ", "--ignore-key sliding_window", "moe: {\"num_experts\": 8}"]
  static let note = ["note: ", "sliding_window: 4096", "moe: {\"num_experts\": 8}"]
  static let ignored = ["sliding_window: 4096, and that is ignored", "moe: {\"num_experts\": 8}, and that is ignored"]
  static let both = ["--ignore-key", "sliding_window", "--ignore-key", "moe"]

  static let rows = [
    Row(arguments: complete, status: 65, says: refusal),
    Row(arguments: complete + both, status: 0, says: ignored),
    Row(arguments: complete + ["--ignore-key", "moe"], status: 65, says: ["sliding_window"], silent: ["--ignore-key moe"]),
    Row(arguments: complete + both + ["--ignore-key", "sliding_windwo"], status: 64, says: ["--ignore-key sliding_windwo"]),
    Row(arguments: complete + ["--ignore-key", "dim"], status: 64, says: ["--ignore-key dim", "sliding_window"]),
    Row(arguments: ["chat", "{}/model", "--format", "llama2"], status: 65, says: refusal),
    Row(arguments: bench, status: 65, says: refusal),
    Row(arguments: bench + both, status: 0, says: ignored),
    // config.json has no place for the key, and params.json keeps it.
    Row(arguments: ["reshard", "{}/model", "{}/out", "--mp", "1", "--format", "hf"], status: 65, says: refusal),
    Row(arguments: ["reshard", "{}/model", "{}/out", "--mp", "1", "--format", "hf"] + both, status: 0, says: ignored),
    Row(arguments: ["reshard", "{}/model", "{}/out", "--mp", "1"], status: 0, says: note),
    Row(arguments: ["inspect", "{}/model"], status: 0, says: note),
    Row(arguments: ["fingerprint", "{}/model"], status: 0, says: note),
    // The checklist is that of the unchanged params.json.
    Row(arguments: ["verify", "{}/model"], status: 65, says: note),
  ]

  @Test(arguments: rows) func keyIsRefusedNotedOrIgnored(row: Row) throws {
    try withTemporaryFolder { folder in
      try FileManager.default.copyItem(atPath: GenerationTests.demoModel, toPath: folder + "/model")
      let path = folder + "/model/params.json"
      for (key, value) in [("sliding_window", 4096), ("moe", ["num_experts": 8]), ("max_seq_len", 2048), ("quantization_args", NSNull())] as [(String, Any)] {
        try set(key, value, in: path)
      }
      let outcome = try run(droverPath, row.arguments.map { $0.replacing("{}", with: folder) })
      #expect(outcome.status == row.status, "\(outcome.errors)")
      for words in row.says { #expect(outcome.errors.contains(words), "\(words) isn't in: \(outcome.errors)") }
      for words in row.silent + ["max_seq_len", "quantization_args"] { #expect(!outcome.errors.contains(words), "\(outcome.errors)") }
      if row.arguments[0] == "reshard", row.status == 0, !row.arguments.contains("hf") {
        let kept = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: folder + "/out/params.json"))) as? [String: Any]
        #expect(kept?["sliding_window"] as? Int == 4096 && kept?["moe"] != nil)
      }
    }
  }

  /// A receipt says by which options its source was read.
  @Test func receiptsHaveTheOptions() throws {
    try withTemporaryFolder { folder in
      try FileManager.default.copyItem(atPath: GenerationTests.demoModel, toPath: folder + "/model")
      for (key, value) in [("sliding_window", 4096), ("moe", ["num_experts": 8])] as [(String, Any)] { try set(key, value, in: folder + "/model/params.json") }
      let outcome = try run(droverPath, ["reshard", folder + "/model", folder + "/out", "--mp", "1", "--kv-heads", "4"] + Self.both)
      try #require(outcome.status == 0, "\(outcome)")
      let receipt = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: folder + "/out/drover-receipt.json"))) as? [String: Any]
      #expect(receipt?["options"] as? [String: String] == ["mp": "1", "format": "pth", "dtype": "keep", "kv-heads": "4", "ignore-key": "sliding_window,moe"])
      #expect(try drover("verify", folder + "/out").status == 0)
    }
  }

  /// A download is whole, and says that the model won't run.
  @Test(.needs(.nginx)) func downloadsNoteIt() throws {
    try withTemporaryFolder { folder in
      try FileManager.default.copyItem(atPath: GenerationTests.demoModel, toPath: folder + "/www")
      try set("sliding_window", 4096, in: folder + "/www/params.json")
      let names = ["params.json", "tokenizer.model", "consolidated.00.pth", "consolidated.01.pth"]
      try run("/usr/bin/md5sum", names, in: folder + "/www").output.write(toFile: folder + "/www/checklist.chk", atomically: false, encoding: .utf8)
      let files = (names + ["checklist.chk"]).map { #"{"path": "m/\#($0)", "remote": "\#($0)"}"# }
      try #"{"id": "m", "files": [\#(files.joined(separator: ","))]}"#.write(toFile: folder + "/m.json", atomically: false, encoding: .utf8)
      let nginx = try Nginx(root: folder + "/www")
      defer { nginx.stop() }
      for (options, isSaid) in [([], true), (["--quiet"], false)] {
        let outcome = try run(
          droverPath, ["download", "--manifest", folder + "/m.json", "--output", folder + "/out", "--yes"] + options,
          environment: ["DROVER_URL": "http://127.0.0.1:\(nginx.port)/*?sig=a&se=2099-01-01"])
        #expect(outcome.status == 0 && outcome.errors.contains("m/params.json says sliding_window: 4096") == isSaid, "\(outcome)")
      }
    }
  }

  struct Document: Decodable {
    struct Item: Decodable {
      let tokens: [Int]
      let finish: String
    }
    let completions: [Item]
  }

  private func completion(of model: String) throws -> Document.Item {
    let outcome = try drover("complete", model, "--prompt", "Once upon a time", "--temperature", "0", "--max-gen-len", "12", "--json")
    let document = try JSONDecoder().decode(Document.self, from: Data(outcome.output.utf8))
    return try #require(document.completions.first)
  }

  private func set(_ key: String, _ value: Any, in path: String) throws {
    let document = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: path)))
    var object = try #require(document as? [String: Any])
    object[key] = value
    try JSONSerialization.data(withJSONObject: object).write(to: URL(filePath: path))
  }

  /// Whatever `config.json` and `generation_config.json` name ends a text, beside the tokenizer's own end.
  @Test func configurationsNameWhatEndsAText() throws {
    try withTemporaryFolder { folder in
      let hf = folder + "/hf"
      #expect(try drover("reshard", GenerationTests.demoModel, hf, "--mp", "1", "--format", "hf").status == 0)
      let tokens = try completion(of: hf).tokens
      #expect(tokens.count == 12)
      // Places of tokens that didn't come before.
      let firsts = tokens.indices.filter { !tokens[..<$0].contains(tokens[$0]) }
      try set("eos_token_id", [2, tokens[firsts[6]]], in: hf + "/config.json")
      #expect(try completion(of: hf).tokens == Array(tokens[..<firsts[6]]))
      #expect(try completion(of: hf).finish == "stop")
      try set("eos_token_id", tokens[firsts[3]], in: hf + "/generation_config.json")
      #expect(try completion(of: hf).tokens == Array(tokens[..<firsts[3]]))
      try set("eos_token_id", NSNull(), in: hf + "/config.json")
      #expect(try completion(of: hf).tokens == Array(tokens[..<firsts[3]]))
    }
  }
}
