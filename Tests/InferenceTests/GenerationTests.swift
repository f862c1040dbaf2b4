import Checkpoint
import Inference
import SystemPackage
import TestSupport
import Testing
import Tokenization

/// Real models next to PyTorch in float32, and the semantics of the reference's `generate`.
@Suite(.serialized) struct GenerationTests {
  static let demoModel = Peer.packageRoot + "/Sources/CDemoModel/model"

  static func demo(maxBatchSize: Int = 4, maxSequenceLength: Int = 256) throws -> LanguageModel {
    try LanguageModel(at: FilePath(demoModel), maxBatchSize: maxBatchSize, maxSequenceLength: maxSequenceLength)
  }

  static let text = """
    The port lay at the end of a long valley, and for most of the year the only way in was by water. Ships came with the spring tide, loaded
    with salt, cloth and iron tools, and left in the autumn with wool and dried fish. In between, the people of the town mended nets, argued
    about the price of timber, and waited for news. In 1847 an engineer named Harriet Lowe proposed a railway. She had measured the pass
    herself, on foot, in eleven days, with a borrowed theodolite and two mules, and her figures showed that a line could be laid for less than
    £90,000. The council laughed; then it asked for a second copy of the figures. "If the numbers are wrong," she wrote, "show me where. If
    they are right, then what you lack is not money but patience." Six years later the first train arrived at 4:35 in the afternoon, with
    forty-two passengers, a brass band, and a crate of oranges that nobody had ordered. The function of the new station, as the newspaper put
    it, was to make the town a place one could leave; but within a decade the number of inhabitants had doubled. def distance(a, b): return
    abs(a - b) was not yet a sentence anyone could read, yet her notebooks are full of small procedures, numbered and tested, that would not look
    strange to a programmer today. She kept them in a tin box, under the bed.
    """

  /// The largest difference in log-probability over a text, for weights in every type that llama.cpp's tools make of this model.
  @Test(.needs(.python), .needs(.smolLM2)) func logprobsAgreeWithTorch() throws {
    let model = try LanguageModel(at: FilePath(Peer.smolLM2.path), maxBatchSize: 1, maxSequenceLength: 512)
    let tokens = Array(try model.encode(prompt: Self.text).prefix(300))
    #expect(tokens.count == 300)
    let logprobs = try Generator(model.transformer, stopTokens: []).logprobs(of: tokens)
    let expected = try TorchScores(of: tokens, model: Peer.smolLM2.path).logprobs
    #expect(logprobs.count == 300 && logprobs[0] == nil && expected.count == 299)
    let worst = largest(zip(logprobs.dropFirst(), expected).map { abs(($0 ?? .infinity) - $1) })
    #expect(worst < 1e-3)
    print("largest difference of a log-probability from PyTorch float32: \(worst)")
  }

  /// Greedy text is PyTorch's, token for token: given what we wrote, PyTorch's likeliest next token is each time the one that follows.
  @Test(.needs(.python), arguments: ["Once upon a time", "The wolf said to the king"]) func greedyIsTorchs(prompt: String) throws {
    try expectTorchsText(prompt, model: Self.demoModel)
  }

  @Test(.needs(.python), .needs(.smolLM2)) func greedyOfARealModelIsTorchs() throws {
    try expectTorchsText("The capital of France is", model: Peer.smolLM2.path)
  }

  private func expectTorchsText(_ prompt: String, model path: String) throws {
    let model = try LanguageModel(at: FilePath(path), maxBatchSize: 1, maxSequenceLength: 128)
    let tokens = try model.encode(prompt: prompt)
    let (completions, _) = try Generator(model.transformer, stopTokens: []).generate(
      [tokens], GenerationOptions(maxGenLen: 64, temperature: 0))
    let made = try #require(completions.first?.tokens)
    #expect(made.count == 64)
    let likeliest = try TorchScores(of: tokens + made, model: path).likeliest
    #expect(Array(likeliest[(tokens.count - 1)...].prefix(64)) == made)
  }

  /// The continuations that the demo model's README promises.
  @Test func demoModelTellsItsTale() throws {
    let model = try Self.demo()
    let (completions, _) = try Generator(model.transformer, stopTokens: model.stopTokens).generate(
      [try model.encode(prompt: "Once upon a time")], GenerationOptions(maxGenLen: 60, temperature: 0))
    #expect(
      model.tokenizer.decode(completions[0].tokens)
        == "there was a little girl who was to be a little girl, and she was very fond of playing. She had gone to her father's palace, and was a very good thing to be seated as a little boy. \"Now I shall be a"
    )
  }

  /// A row's text and log-probabilities don't depend on what else is in the batch, on threads, or on how the prompt was cut into passes.
  @Test func batchIsEachAlone() throws {
    let prompts = ["Once upon a time", "The", "The wolf said to the king that he should go into the forest, and", "A king"]
    let options = GenerationOptions(maxGenLen: 40, temperature: 0, logprobs: true, echo: true)
    let model = try Self.demo()
    let tokens = try prompts.map { try model.encode(prompt: $0) }
    let together = try Generator(model.transformer, stopTokens: []).generate(tokens, options).completions
    let checkpoint = try Checkpoint.open(at: FilePath(Self.demoModel))
    for threads in [1, 2, 5] {
      let alone = try Transformer(checkpoint, maxBatchSize: 1, maxSequenceLength: 256, threads: threads)
      let apart = try tokens.map { try Generator(alone, stopTokens: []).generate([$0], options).completions[0] }
      #expect(apart == together, "\(threads) threads")
    }
  }

  /// What is generated has the log-probabilities that scoring the same text gives.
  @Test func generatedLogprobsAreThoseOfTheText() throws {
    let model = try Self.demo()
    let generator = Generator(model.transformer, stopTokens: [])
    let options = GenerationOptions(maxGenLen: 30, temperature: 0.8, seed: 5, logprobs: true, echo: true)
    let completion = try generator.generate([try model.encode(prompt: "The old king")], options).completions[0]
    #expect(completion.logprobs == (try generator.logprobs(of: completion.tokens)))
    #expect(completion.logprobs.count == completion.tokens.count && completion.logprobs[0] == nil)
  }

  @Test func seedDecidesTheText() throws {
    let model = try Self.demo()
    let generator = Generator(model.transformer, stopTokens: [])
    let prompt = try model.encode(prompt: "Once")
    func texts(_ seed: UInt64) throws -> [[Int]] {
      try generator.generate([prompt, prompt], GenerationOptions(maxGenLen: 30, temperature: 1, seed: seed)).completions.map(\.tokens)
    }
    let one = try texts(1)
    #expect(one == (try texts(1)))
    #expect(one != (try texts(2)))
    #expect(one[0] != one[1], "rows of a batch draw on their own")
  }

  @Test func stopTokenEndsARowAndIsNotPartOfIt() throws {
    let model = try Self.demo()
    let prompts = try ["Once upon a time", "The wolf said to the king"].map { try model.encode(prompt: $0) }
    let options = GenerationOptions(maxGenLen: 20, temperature: 0)
    let free = try Generator(model.transformer, stopTokens: []).generate(prompts, options).completions
    let stop = free[0].tokens[7]
    let stopped = try Generator(model.transformer, stopTokens: [stop]).generate(prompts, options).completions
    #expect(stopped[0].finish == .stop)
    #expect(stopped[0].tokens == Array(free[0].tokens.prefix { $0 != stop }))
    let rest = Array(free[1].tokens.prefix { $0 != stop })
    #expect(stopped[1].tokens == rest && stopped[1].finish == (rest.count == 20 ? .length : .stop))
  }

  /// (longest sequence, prompt, most to make) → made.
  @Test(arguments: [(8, 8, 5, 0), (8, 7, 5, 1), (8, 3, 5, 5), (8, 3, 9, 5), (65, 60, 9, 5), (8, 8, 0, 0), (1, 1, 5, 0)])
  func lengthsEnd(limit: Int, prompt: Int, maxGenLen: Int, made: Int) throws {
    let model = try Self.demo(maxBatchSize: 2, maxSequenceLength: limit)
    let tokens = Array(try model.encode(prompt: GenerationTests.text).prefix(prompt))
    var ends = 0
    let (completions, _) = try Generator(model.transformer, stopTokens: []).generate(
      [tokens, [1]], GenerationOptions(maxGenLen: maxGenLen, temperature: 0, logprobs: true)
    ) { _, event in if case .end = event { ends += 1 } }
    #expect(completions[0].tokens.count == made && completions[0].logprobs.count == made)
    #expect(completions[0].finish == .length)
    #expect(completions[1].tokens.count == min(maxGenLen, limit - 1))
    #expect(ends == 2)
  }

  @Test func refusesWhatDoesNotFit() throws {
    let model = try Self.demo(maxBatchSize: 2, maxSequenceLength: 8)
    let generator = Generator(model.transformer, stopTokens: [])
    func refusal(_ prompts: [[Int]]) -> InferenceError? {
      do {
        _ = try generator.generate(prompts, GenerationOptions())
        return nil
      } catch { return error as? InferenceError }
    }
    #expect(refusal([[1], [1], [1]]) == .batchTooLarge(count: 3, limit: 2))
    #expect(refusal([[1], Array(repeating: 1, count: 9)]) == .promptTooLong(index: 1, count: 9, limit: 8))
    #expect(refusal([[1], []]) == .emptyPrompt(index: 1))
    #expect(refusal([[1, 1024]]) == .unknownToken(id: 1024, vocabulary: 1024))
    #expect(refusal([[1], [5]]) == nil)
  }
}
