import Foundation
import TestSupport
import Testing

/// `--quantize` computes what the GGUF of that type would, whose blocks are held against ggml's elsewhere.
struct QuantizedInMemoryTests {
  private struct Document: Decodable {
    struct Item: Decodable, Equatable {
      let tokens: [Int]
      let logprobs: [Float?]
    }
    let completions: [Item]
  }

  @Test(arguments: ["q8_0", "q4_0"]) func numbersAreThoseOfTheGGUF(_ type: String) throws {
    try withTemporaryFolder { folder in
      let model = GenerationTests.demoModel
      let made = try drover("reshard", model, folder + "/out", "--format", "gguf", "--mp", "1", "--dtype", type)
      #expect(made.status == 0, "\(made.errors)")
      let file = try #require(FileManager.default.contentsOfDirectory(atPath: folder + "/out").first { $0.hasSuffix(".gguf") })
      func complete(_ arguments: String...) throws -> [Document.Item] {
        let outcome = try run(
          droverPath, ["complete"] + arguments + ["--prompt", "Once upon a time", "--temperature", "0", "--max-gen-len", "24", "--logprobs", "--echo", "--json"])
        return try JSONDecoder().decode(Document.self, from: Data(outcome.output.utf8)).completions
      }
      let quantized = try complete(model, "--quantize", type)
      #expect(try quantized == complete("\(folder)/out/\(file)"))
      #expect(try quantized != complete(model))
    }
  }

  @Test func onlyWhatThereIs() throws {
    let native = try drover("complete", GenerationTests.demoModel, "--prompt", "a", "--precision", "native")
    #expect(native.status == 64 && native.errors.contains("--precision native"))
    let float = try drover("complete", GenerationTests.demoModel, "--prompt", "Once upon a time", "--precision", "float32", "--max-gen-len", "1", "--quiet")
    #expect(float.status == 0 && float.errors.isEmpty)
  }
}
