import Checkpoint
import Foundation
import SystemPackage
import TestSupport
import Testing
import Tokenization

/// What lies in place of a file is called what it is, by every reader: a web page, and the pointer that a clone without git-lfs leaves.
@Suite struct StandInTests {
  private static let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:\(String(repeating: "ab", count: 32))\nsize 13476939516\n"
  private static let page = "<!DOCTYPE html>\n<html><body>Log in</body></html>\n"
  private static let standIns = [
    (content: pointer, words: "is a Git LFS pointer, not the file itself, which has 13476939516 bytes"), (content: page, words: "is a web page (HTML)"),
  ]

  private static let params = Array(FuzzTests.params.utf8)
  private static let config = Array(#"{"model_type": "llama", "num_attention_heads": 4}"#.utf8)
  private static let noTensors = safetensors("{}", data: 0)
  private static let index = Array(#"{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}"#.utf8)
  private static let huggingFace = [
    "config.json": config, "model.safetensors.index.json": index, "model-1.safetensors": noTensors, "model-2.safetensors": noTensors,
  ]
  private static let tokenizer = Array(
    #"{"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}"#.utf8)
  private static let whole = [
    "params.json": params, "consolidated.00.pth": FuzzTests.pth, "tokenizer.json": tokenizer, "tokenizer_config.json": Array("{}".utf8),
    "chat_template.jinja": Array("<s>".utf8), "LICENSE": Array("<one line>".utf8),
  ]

  /// A folder, and the files of it that are replaced in turn.
  static let folders: [(files: [String: [UInt8]], replaced: [String])] = [
    (["params.json": params, "consolidated.00.pth": FuzzTests.pth], ["params.json", "consolidated.00.pth"]),
    (["params.json": params, "consolidated.00.safetensors": noTensors], ["params.json", "consolidated.00.safetensors"]),
    (huggingFace, ["config.json", "model.safetensors.index.json", "model-1.safetensors", "model-2.safetensors"]),
    ([:], ["model.gguf"]),
  ]

  private func expect(_ files: [String: [UInt8]], replacing name: String, _ body: (String) throws -> Void) throws {
    for (content, words) in Self.standIns {
      try withTemporaryFolder { folder in
        for (name, bytes) in files { try Data(bytes).write(to: URL(filePath: "\(folder)/\(name)")) }
        try content.write(toFile: "\(folder)/\(name)", atomically: false, encoding: .utf8)
        let error = #expect(throws: (any Error).self, "\(name)") { try body(folder) }
        let text = error.map { "\($0)" } ?? ""
        #expect(text.contains(words) && text.contains(name), "\(name): \(text)")
      }
    }
  }

  @Test func everyReaderOfACheckpoint() throws {
    for (files, replaced) in Self.folders {
      for name in replaced { try expect(files, replacing: name) { _ = try Checkpoint.open(at: FilePath($0)) } }
    }
  }

  @Test func everyReaderOfATokenizer() throws {
    for name in ["tokenizer.model", "tokenizer.json"] { try expect([:], replacing: name) { _ = try Vocabulary.load(FilePath("\($0)/\(name)")) } }
    try expect(Self.whole, replacing: "tokenizer_config.json") { _ = try Vocabulary.load(FilePath($0 + "/tokenizer.json")) }
    for name in ["tokenizer_config.json", "chat_template.jinja"] {
      try expect(Self.whole, replacing: name) { _ = try Checkpoint.open(at: FilePath($0)).chatTemplate() }
    }
  }

  @Test(arguments: [("checklist.chk", ["verify"]), ("drover-receipt.json", ["verify"]), ("list.json", ["verify"]), ("m.json", ["catalog", "--manifest"])])
  func listsReceiptsAndManifests(name: String, command: [String]) throws {
    try withTemporaryFolder { folder in
      for (content, words) in Self.standIns {
        try content.write(toFile: "\(folder)/\(name)", atomically: false, encoding: .utf8)
        let outcome = try run(droverPath, command + ["\(folder)/\(name)"])
        #expect(outcome.status == 65 && outcome.errors.contains(name) && outcome.errors.contains(words), "\(outcome)")
      }
    }
  }

  /// What goes along with the weights goes along only as what it is.
  @Test func companionsOfAReshard() throws {
    try withTemporaryFolder { folder in
      for (name, bytes) in Self.whole { try Data(bytes).write(to: URL(filePath: "\(folder)/\(name)")) }
      try reshard(folder, folder + "/out", modelParallel: 1)
      #expect(FileManager.default.contents(atPath: folder + "/out/LICENSE") == Data(Self.whole["LICENSE"] ?? []))
    }
    for name in ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "LICENSE"] {
      try expect(Self.whole, replacing: name) { try reshard($0, $0 + "/out", modelParallel: 1) }
    }
  }
}
