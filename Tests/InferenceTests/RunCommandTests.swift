import Foundation
import TestSupport
import Testing

/// `complete`, `chat` and `bench` as a script meets them.
@Suite(.serialized) struct RunCommandTests {
  let model = GenerationTests.demoModel

  struct Document: Decodable {
    struct Item: Decodable {
      let prompt: String
      let generation: String
      let tokens: [Int]
      let logprobs: [Float?]?
      let finish: String
    }

    struct Timings: Decodable {
      let loadSeconds: Double
      let prefillTokensPerSecond: Double
      let decodeTokensPerSecond: Double
    }

    let completions: [Item]
    let timings: Timings
  }

  func document(_ outcome: Outcome) throws -> Document {
    #expect(outcome.status == 0, "\(outcome.errors)")
    return try JSONDecoder().decode(Document.self, from: Data(outcome.output.utf8))
  }

  @Test func completesInTextAndInJSON() throws {
    let text = try drover("complete", model, "--prompt", "Once upon a time", "--temperature", "0", "--max-gen-len", "12")
    #expect(text.status == 0 && text.errors.isEmpty)
    let json = try document(
      drover("complete", model, "--prompt", "Once upon a time", "--temperature", "0", "--max-gen-len", "12", "--json"))
    let item = try #require(json.completions.first)
    #expect(text.output == item.generation + "\n")
    #expect(item.generation.hasPrefix(" there was a little girl"))
    #expect(item.prompt == "Once upon a time" && item.tokens.count == 12 && item.logprobs == nil && item.finish == "length")
    #expect(json.timings.decodeTokensPerSecond > 0 && json.timings.prefillTokensPerSecond > 0 && json.timings.loadSeconds > 0)
  }

  @Test func echoAndLogprobsGiveThePromptToo() throws {
    let json = try document(
      drover(
        "complete", model, "--prompt", "Once upon a time", "--temperature", "0", "--max-gen-len", "3", "--json", "--echo", "--logprobs"))
    let item = try #require(json.completions.first)
    let logprobs = try #require(item.logprobs)
    #expect(item.generation.hasPrefix("Once upon a time there"))
    #expect(logprobs.count == item.tokens.count && logprobs[0] == nil && logprobs.dropFirst().allSatisfy { $0.map { $0 <= 0 } ?? false })
  }

  @Test func promptsComeFromFiles() throws {
    try withTemporaryFolder { folder in
      let lines = folder + "/lines"
      try "Once upon a time\nThe wolf\n".write(toFile: lines, atomically: false, encoding: .utf8)
      let array = folder + "/array"
      try #"["Once upon a time", "The wolf"]"#.write(toFile: array, atomically: false, encoding: .utf8)
      let options = ["--temperature", "0", "--max-gen-len", "8"]
      let one = try document(run(droverPath, ["complete", model, "--prompts", lines, "--json"] + options))
      let two = try document(run(droverPath, ["complete", model, "--prompts", array, "--json"] + options))
      #expect(
        one.completions.map(\.tokens) == two.completions.map(\.tokens) && one.completions.map(\.prompt) == ["Once upon a time", "The wolf"])
      let text = try run(droverPath, ["complete", model, "--prompts", lines] + options).output
      #expect(text == one.completions.map { "> \($0.prompt)\n\($0.generation)\n" }.joined(separator: "\n"))
    }
  }

  @Test func kernelsCanBeForced() throws {
    struct Report: Decodable {
      struct Spread: Decodable { let minimum, median, maximum: Double }
      let prefillTokensPerSecond, decodeTokensPerSecond: Spread
      let loadSeconds: Double
      let peakMemory, threads: Int
      let kernel: String
    }
    // Threads are as many as processors that this process may use, of which there is one.
    let outcome = try run(
      "/bin/sh", ["-c", "exec taskset -c $(taskset -cp $$ | sed 's/.*: //; s/[,-].*//') \"$0\" \"$@\"", droverPath]
        + ["bench", model, "--prompt-tokens", "20", "--gen-tokens", "5", "--json"], environment: ["DROVER_KERNEL": "plain"])
    let report = try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8))
    #expect(report.kernel == "plain" && report.threads == 1)
    #expect(report.decodeTokensPerSecond.minimum <= report.decodeTokensPerSecond.median && report.peakMemory > 1_000_000)
    let unknown = try drover("bench", model, environment: ["DROVER_KERNEL": "mmx"])
    #expect(unknown.status == 64 && unknown.errors.contains("mmx"))
  }

  /// Whoever starts drover may be large: that is not drover's memory.
  @Test(.needs(.python)) func memoryIsItsOwn() throws {
    struct Report: Decodable { let peakMemory: Int }
    let output = try python(
      """
      import subprocess, sys
      ballast = b"x" * 400_000_000
      print(subprocess.run(sys.argv[1:], capture_output=True, text=True, check=True).stdout)
      """, droverPath, "bench", model, "--prompt-tokens", "4", "--gen-tokens", "4", "--json")
    let peak = try JSONDecoder().decode(Report.self, from: Data(output.utf8)).peakMemory
    #expect((5_000_000..<200_000_000).contains(peak), "\(peak)")
  }

  struct Mistake: Sendable, CustomTestStringConvertible {
    let arguments: [String]
    let status: Int32
    let says: String
    var testDescription: String { arguments.joined(separator: " ") }
  }

  static let mistakes = [
    Mistake(arguments: ["complete", "MODEL"], status: 64, says: "--prompt"),
    Mistake(arguments: ["complete", "MODEL", "--prompt", "a", "--temperature", "-1"], status: 64, says: "--temperature"),
    Mistake(arguments: ["complete", "MODEL", "--prompt", "Once upon a time", "--max-seq-len", "3"], status: 64, says: "--max-seq-len"),
    Mistake(
      arguments: ["complete", "MODEL", "--prompt", "a", "--prompt", "b", "--max-batch-size", "1"], status: 64, says: "--max-batch-size"),
    Mistake(arguments: ["complete", "MODEL", "--prompts", "/nowhere/prompts"], status: 66, says: "/nowhere/prompts"),
    Mistake(
      arguments: ["complete", "MODEL", "--prompt", "a", "--tokenizer", "/nowhere/tokenizer.model"], status: 66,
      says: "/nowhere/tokenizer.model"),
    Mistake(arguments: ["complete", "/nowhere/model", "--prompt", "a"], status: 66, says: "/nowhere/model"),
    Mistake(arguments: ["chat", "MODEL"], status: 64, says: "--format"),
    Mistake(arguments: ["chat", "MODEL", "--format", "llama3", "--dialogs", "DIALOGS"], status: 64, says: "<|"),
    Mistake(arguments: ["chat", "MODEL", "--format", "llama2", "--dialogs", "MODEL/params.json"], status: 65, says: "params.json"),
  ]

  @Test(arguments: mistakes) func mistakesAreToldAndCoded(mistake: Mistake) throws {
    try withTemporaryFolder { folder in
      try #"[[{"role": "user", "content": "hello"}]]"#.write(toFile: folder + "/dialogs", atomically: false, encoding: .utf8)
      let arguments = mistake.arguments.map {
        $0.replacing("MODEL", with: model).replacing("DIALOGS", with: folder + "/dialogs")
      }
      let outcome = try run(droverPath, arguments)
      #expect(outcome.status == mistake.status && outcome.output.isEmpty)
      #expect(outcome.errors.contains(mistake.says), "\(outcome.errors)")
    }
  }

  /// A tokenizer that lies above the folder may be another model's: it is taken when it is named.
  @Test func tokenizerIsNamedOrMissed() throws {
    try withTemporaryFolder { folder in
      try FileManager.default.createDirectory(atPath: folder + "/model", withIntermediateDirectories: false)
      for name in ["consolidated.00.pth", "consolidated.01.pth", "params.json"] {
        try FileManager.default.copyItem(atPath: "\(model)/\(name)", toPath: "\(folder)/model/\(name)")
      }
      try FileManager.default.copyItem(atPath: "\(model)/tokenizer.model", toPath: "\(folder)/tokenizer.model")
      let arguments = ["complete", "\(folder)/model", "--prompt", "Once upon a time", "--temperature", "0", "--max-gen-len", "4"]
      let without = try run(droverPath, arguments)
      #expect(without.status == 66 && without.output.isEmpty && without.errors.contains("--tokenizer"))
      #expect(without.errors.split(separator: "\n").count == 1)
      #expect(try run(droverPath, arguments + ["--tokenizer", folder + "/tokenizer.model"]).output == " there was a little\n")
    }
  }

  /// A chat model of the ChatML kind, told by its GGUF metadata, in a file of dialogs and in a conversation.
  @Test(.needs(.smolLM2)) func chatAnswersDialogs() throws {
    struct Answers: Decodable {
      struct Answer: Decodable {
        struct Message: Decodable { let role, content: String }
        let generation: Message
        let finish: String
      }
      let dialogs: [Answer]
    }
    try withTemporaryFolder { folder in
      let dialogs = folder + "/dialogs.json"
      try
        #"[[{"role": "user", "content": "What is the capital of France?"}], [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say hello."}]]"#
        .write(toFile: dialogs, atomically: false, encoding: .utf8)
      let json = try drover("chat", Peer.smolLM2.path, "--dialogs", dialogs, "--temperature", "0", "--json")
      let answers = try JSONDecoder().decode(Answers.self, from: Data(json.output.utf8)).dialogs
      #expect(answers.count == 2 && answers.allSatisfy { $0.generation.role == "assistant" && $0.finish == "stop" })
      #expect(answers.first?.generation.content.contains("Paris") == true)
      let talk = try drover("chat", Peer.smolLM2.path, "--temperature", "0", input: "What is the capital of France?\n")
      #expect(talk.status == 0 && talk.output == (answers.first?.generation.content ?? "") + "\n")
    }
  }
}
