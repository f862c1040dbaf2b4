import Foundation
import TestSupport
import Testing

/// A real trained model, all the way through the program: SmolLM2 from the GGUF that its package carries.
@Suite(.serialized) struct RealModelTests {
  struct Completions: Decodable {
    struct Completion: Decodable {
      let generation: String
      let tokens: [Int]
    }
    let completions: [Completion]
  }

  struct Dialogs: Decodable {
    struct Dialog: Decodable {
      struct Message: Decodable {
        let role: String
        let content: String
      }
      let generation: Message
      let finish: String
    }
    let dialogs: [Dialog]
  }

  private func complete(_ model: String, _ prompt: String) throws -> Completions.Completion {
    let outcome = try drover("complete", model, "--prompt", prompt, "--temperature", "0", "--max-gen-len", "24", "--json")
    try #require(outcome.status == 0, "\(outcome.errors)")
    return try #require(JSONDecoder().decode(Completions.self, from: Data(outcome.output.utf8)).completions.first)
  }

  @Test("Any layout of one model says the same, token for token", .needs(.smolLM2))
  func everyLayoutSpeaksAlike() throws {
    let prompt = "The capital of France is"
    let original = try complete(Peer.smolLM2.path, prompt)
    #expect(original.generation.hasPrefix(" Paris"))
    try withTemporaryFolder { folder in
      for (format, shards) in [("pth", 3), ("pth", 1), ("safetensors", 1), ("safetensors", 3)] {
        let target = "\(folder)/\(format)-\(shards)"
        let reshard = try drover("reshard", Peer.smolLM2.path, target, "--format", format, "--mp", "\(shards)", "-q")
        try #require(reshard.status == 0, "\(reshard.errors)")
        let verify = try drover("verify", target, "-q")
        #expect(verify.status == 0, "\(verify.errors)")
        #expect(try complete(target, prompt).tokens == original.tokens, "\(format) at MP \(shards)")
        try FileManager.default.removeItem(atPath: target)
      }
    }
  }

  @Test("A chat with the model uses its own format, and ends by itself", .needs(.smolLM2))
  func chats() throws {
    try withTemporaryFolder { folder in
      let dialogs = folder + "/dialogs.json"
      try #"[[{"role":"user","content":"What is 2 + 2? Answer with a number."}]]"#.write(toFile: dialogs, atomically: true, encoding: .utf8)
      let outcome = try drover("chat", Peer.smolLM2.path, "--dialogs", dialogs, "--temperature", "0", "--max-gen-len", "64", "--json")
      try #require(outcome.status == 0, "\(outcome.errors)")
      let answer = try #require(JSONDecoder().decode(Dialogs.self, from: Data(outcome.output.utf8)).dialogs.first)
      #expect(answer.generation.role == "assistant" && answer.generation.content.contains("4"), "\(answer.generation.content)")
      #expect(!answer.generation.content.contains("<|im_") && answer.finish == "stop", "\(answer)")
    }
  }
}
