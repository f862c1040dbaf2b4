import Checkpoint
import Platform

/// How to go on from a prompt.
public struct GenerationOptions: Sendable {
  /// The most tokens to make for each prompt.
  public var maxGenLen: Int
  /// 0 for the likeliest token each time.
  public var temperature: Float
  public var topP: Float
  public var seed: UInt64
  /// Whether to work out log-probabilities.
  public var logprobs: Bool
  /// Whether the prompt's tokens come with the result.
  public var echo: Bool

  public init(
    maxGenLen: Int = 64, temperature: Float = 0.6, topP: Float = 0.9, seed: UInt64 = 1, logprobs: Bool = false, echo: Bool = false
  ) {
    self.maxGenLen = maxGenLen
    self.temperature = temperature
    self.topP = topP
    self.seed = seed
    self.logprobs = logprobs
    self.echo = echo
  }
}

/// What a model made of a prompt.
public struct Completion: Sendable, Equatable {
  public enum Finish: String, Sendable, Encodable {
    /// A stop token came; it is not part of the tokens.
    case stop
    /// `maxGenLen` or the longest sequence was reached.
    case length
  }

  /// What was generated; with `echo`, the prompt before it.
  public var tokens: [Int] = []
  /// The natural log of each token's probability before temperature and top-p; nil for the first of a sequence. Empty unless asked for.
  public var logprobs: [Float?] = []
  public var finish = Finish.length
}

/// What happens to a prompt while it is gone on from.
public enum GenerationEvent: Sendable, Equatable {
  case token(Int)
  case end(Completion.Finish)
}

/// What generation took.
public struct GenerationTimings: Sendable {
  public var prefillTokens = 0
  public var prefillSeconds = 0.0
  public var decodeTokens = 0
  public var decodeSeconds = 0.0

  public var prefillTokensPerSecond: Double { Self.rate(prefillTokens, prefillSeconds) }
  public var decodeTokensPerSecond: Double { Self.rate(decodeTokens, decodeSeconds) }

  private static func rate(_ tokens: Int, _ seconds: Double) -> Double { seconds > 0 ? Double(tokens) / seconds : 0 }
}

/// Generates text, token by token, as the reference's `generate` does.
///
/// The reference walks all rows of a batch together, from the end of the shortest prompt on. What a row gets doesn't depend on the
/// others, so here each row's prompt is computed as a whole, and the rows decode together.
public struct Generator {
  private let model: Transformer
  private let stopTokens: Set<Int>

  public init(_ model: Transformer, stopTokens: Set<Int>) {
    self.model = model
    self.stopTokens = stopTokens
  }

  /// Goes on from each of `prompts`.
  ///
  /// - Parameter onEvent: is told of each token as it is made, and of the end of each prompt's.
  /// - Throws: `InferenceError` for more prompts than `maxBatchSize`, a prompt longer than `maxSequenceLength`, an empty one, a token
  ///   outside the vocabulary, and for logits that aren't finite. What `onEvent` throws ends generation.
  public func generate(
    _ prompts: [[Int]], _ options: GenerationOptions, onEvent: (_ prompt: Int, _ event: GenerationEvent) throws -> Void = { _, _ in }
  ) throws -> (completions: [Completion], timings: GenerationTimings) {
    try check(prompts)
    var timings = GenerationTimings()
    let sampler = Sampler(temperature: options.temperature, topP: options.topP, kernels: model.kernels)
    var rows = prompts.indices.map { Row(index: $0, prompt: prompts[$0], options: options, maxSequenceLength: model.maxSequenceLength) }

    /// Takes a row's next token from its logits, or ends the row if that is a stop token.
    func advance(_ index: Int, _ logits: UnsafeMutableBufferPointer<Float>) throws {
      let likeliest = Sampler.argmax(logits)
      let logSumExp = options.logprobs ? model.logSumExp(logits) : 0
      // Sampling overwrites the logits, and the log-probability is that of before.
      let kept = options.logprobs && options.temperature > 0 ? Array(logits) : []
      let token = options.temperature > 0 ? sampler.sample(logits, using: &rows[index].random) : likeliest
      if stopTokens.contains(token) {
        rows[index].completion.finish = .stop
        rows[index].isDone = true
      } else {
        rows[index].completion.tokens.append(token)
        if options.logprobs { rows[index].completion.logprobs.append((kept.isEmpty ? logits[token] : kept[token]) - logSumExp) }
        rows[index].take(token)
        try onEvent(index, .token(token))
      }
      if rows[index].isDone { try onEvent(index, .end(rows[index].completion.finish)) }
    }

    var started = steadySeconds()
    for (index, prompt) in prompts.enumerated() {
      let (logprobs, logits) = try prefill(prompt, slot: index, scoring: options.logprobs && options.echo, goingOn: !rows[index].isDone)
      rows[index].completion.logprobs = logprobs
      if rows[index].isDone { try onEvent(index, .end(.length)) }
      if var logits { try logits.withUnsafeMutableBufferPointer { try advance(index, $0) } }
      timings.prefillTokens += prompt.count
    }
    timings.prefillSeconds = steadySeconds() - started

    started = steadySeconds()
    while true {
      let active = rows.filter { !$0.isDone }
      guard !active.isEmpty else { break }
      model.forward(active.map { Transformer.Row(token: $0.last, slot: $0.index, position: $0.next - 1) })
      try model.withLogits(of: Array(active.indices)) { row, logits in try advance(active[row].index, logits) }
      timings.decodeTokens += active.count
    }
    timings.decodeSeconds = steadySeconds() - started
    return (rows.map(\.completion), timings)
  }

  /// The natural log of each token's probability, given those before it; nil for the first.
  public func logprobs(of tokens: [Int]) throws -> [Float?] {
    try check([tokens])
    return try prefill(tokens, slot: 0, scoring: true, goingOn: false).logprobs
  }

  /// One row of the batch.
  private struct Row {
    let index: Int
    var random: RandomSource
    var completion = Completion()
    var last: Int
    /// The position of the next token.
    var next: Int
    let end: Int
    var isDone = false

    init(index: Int, prompt: [Int], options: GenerationOptions, maxSequenceLength: Int) {
      self.index = index
      random = RandomSource(seed: options.seed, stream: UInt64(index))
      last = prompt.last ?? 0
      next = prompt.count
      end = min(maxSequenceLength, prompt.count + min(max(0, options.maxGenLen), maxSequenceLength))
      isDone = next >= end
      if options.echo { completion.tokens = prompt }
    }

    mutating func take(_ token: Int) {
      last = token
      next += 1
      isDone = next >= end
    }
  }

  /// Computes a whole prompt, pass by pass.
  ///
  /// - Returns: the log-probabilities of its tokens if `scoring`, and the logits after the last one if `goingOn`.
  private func prefill(_ prompt: [Int], slot: Int, scoring: Bool, goingOn: Bool) throws -> (logprobs: [Float?], last: [Float]?) {
    var logprobs: [Float?] = scoring ? [nil] : []
    var last: [Float]?
    for start in stride(from: 0, to: prompt.count, by: model.maxRows) {
      let pass = start..<min(start + model.maxRows, prompt.count)
      model.forward(pass.map { Transformer.Row(token: prompt[$0], slot: slot, position: $0, length: prompt.count) })
      let wanted = pass.filter { $0 + 1 < prompt.count ? scoring : goingOn }
      try model.withLogits(of: wanted.map { $0 - start }) { index, logits in
        let position = wanted[index]
        guard position + 1 < prompt.count else { return last = Array(logits) }
        let logprob = logits[prompt[position + 1]] - model.logSumExp(logits)
        logprobs.append(logprob)
      }
    }
    return (logprobs, last)
  }

  private func check(_ prompts: [[Int]]) throws(InferenceError) {
    guard prompts.count <= model.maxBatchSize else { throw .batchTooLarge(count: prompts.count, limit: model.maxBatchSize) }
    for (index, prompt) in prompts.enumerated() {
      guard !prompt.isEmpty else { throw .emptyPrompt(index: index) }
      guard prompt.count <= model.maxSequenceLength else {
        throw .promptTooLong(index: index, count: prompt.count, limit: model.maxSequenceLength)
      }
      if let id = prompt.first(where: { !(0..<model.params.vocabularySize).contains($0) }) {
        throw .unknownToken(id: id, vocabulary: model.params.vocabularySize)
      }
    }
  }
}
