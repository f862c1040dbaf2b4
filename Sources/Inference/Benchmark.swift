import Checkpoint
import Platform

/// How fast a model runs: prompts of random tokens, and decoding from an empty context, each several times.
public struct Benchmark: Sendable {
  public struct Spread: Sendable, Encodable {
    public let minimum: Double
    public let median: Double
    public let maximum: Double

    init(_ values: [Double]) {
      let sorted = values.sorted()
      minimum = sorted.first ?? 0
      maximum = sorted.last ?? 0
      let middle = sorted.count / 2
      median = sorted.isEmpty ? 0 : sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }
  }

  public let prefillTokensPerSecond: Spread
  public let decodeTokensPerSecond: Spread

  /// Runs once without counting, then `repetitions` times.
  ///
  /// - Parameter onRun: is told how many runs are done.
  /// - Throws: `InferenceError.promptTooLong` when the model's longest sequence is shorter than what is asked for, `notFinite` for logits that aren't.
  public init(
    _ model: Transformer, promptTokens: Int, genTokens: Int, repetitions: Int, onRun: (_ done: Int) -> Void = { _ in }
  ) throws {
    let longest = max(promptTokens, genTokens)
    guard longest <= model.maxSequenceLength else { throw InferenceError.promptTooLong(index: 0, count: longest, limit: model.maxSequenceLength) }
    var random = RandomSource(seed: 1, stream: 0)
    let prompt = (0..<promptTokens).map { _ in Int(random.next() % UInt64(model.params.vocabularySize)) }
    var prefill: [Double] = []
    var decode: [Double] = []

    for run in 0...repetitions {
      if promptTokens > 0 {
        let seconds = try Self.seconds(of: { try Self.prefill(prompt, model) })
        if run > 0 { prefill.append(Double(promptTokens) / seconds) }
      }
      if genTokens > 0 {
        let seconds = try Self.seconds(of: { try Self.decode(genTokens, model) })
        if run > 0 { decode.append(Double(genTokens) / seconds) }
      }
      onRun(run)
    }
    prefillTokensPerSecond = Spread(prefill)
    decodeTokensPerSecond = Spread(decode)
  }

  private static func seconds(of body: () throws -> Void) rethrows -> Double {
    let start = steadySeconds()
    try body()
    return steadySeconds() - start
  }

  private static func prefill(_ prompt: [Int], _ model: Transformer) throws {
    for start in stride(from: 0, to: prompt.count, by: model.maxRows) {
      let pass = start..<min(start + model.maxRows, prompt.count)
      model.forward(pass.map { Transformer.Row(token: prompt[$0], slot: 0, position: $0) })
      if pass.upperBound == prompt.count { try model.withLogits(of: [pass.count - 1]) { _, _ in } }
    }
  }

  private static func decode(_ count: Int, _ model: Transformer) throws {
    var token = 0
    for position in 0..<count {
      model.forward([Transformer.Row(token: token, slot: 0, position: position)])
      try model.withLogits(of: [0]) { _, logits in token = Sampler.argmax(logits) }
    }
  }
}
