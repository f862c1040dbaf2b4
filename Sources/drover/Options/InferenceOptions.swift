import ArgumentParser
import Glibc
import Inference
import SystemPackage
import Terminal
import Tokenization

/// The options of commands that run a model.
struct InferenceOptions: ParsableArguments {
  /// Tokens of the longest sequence, where nobody says.
  static let usualLength = 512

  @Option(help: ArgumentHelp("The tokenizer, where it isn't with the weights.", valueName: "file"))
  var tokenizer: PathArgument?

  @OptionGroup var checkpoint: CheckpointOptions

  @Option(parsing: .unconditional, help: "0 for the likeliest token each time; higher is more varied.")
  var temperature: Float = 0.6

  @Option(parsing: .unconditional, help: "Sample from the likeliest tokens that together have this probability.")
  var topP: Float = 0.9

  @Option(parsing: .unconditional, help: "The same seed gives the same text.")
  var seed: UInt64 = 1

  @Option(parsing: .unconditional, help: "The longest sequence, prompt included, in tokens.")
  var maxSeqLen: Int = Self.usualLength

  @Option(parsing: .unconditional, help: "The most prompts at once.")
  var maxBatchSize: Int = 4

  @Option(parsing: .unconditional, help: "Threads that compute (default: one a processor).")
  var threads: Int?

  @OptionGroup var computing: ComputingOptions
  @OptionGroup var ignoredKeys: IgnoredKeys

  func validate() throws {
    guard temperature >= 0, temperature.isFinite else { throw ValidationError("--temperature is 0 or more.") }
    guard topP >= 0, topP <= 1 else { throw ValidationError("--top-p is between 0 and 1.") }
    guard maxSeqLen > 0 else { throw ValidationError("--max-seq-len is at least 1.") }
    guard maxBatchSize > 0 else { throw ValidationError("--max-batch-size is at least 1.") }
    guard threads.map({ (1...1024).contains($0) }) ?? true else { throw ValidationError("--threads is between 1 and 1024.") }
  }

  func load(_ model: FilePath) throws -> LanguageModel {
    try LanguageModel(
      at: model, checkpoint.forOpening, tokenizer: tokenizer?.path, maxBatchSize: maxBatchSize, maxSequenceLength: maxSeqLen,
      threads: threads, quantization: computing.quantization, ignoredKeys: ignoredKeys.names)
  }

  func generation(maxGenLen: Int, logprobs: Bool = false, echo: Bool = false) -> GenerationOptions {
    GenerationOptions(maxGenLen: maxGenLen, temperature: temperature, topP: topP, seed: seed, logprobs: logprobs, echo: echo)
  }
}

/// Makes Ctrl-C end the program at once with exit code 130, for commands that have nothing to save.
func exitOnInterruption() {
  Interruption.onSignal { _exit(DroverExit.interrupted.rawValue) }
}

/// What generation took, as JSON documents have it.
struct TimingsReport: Encodable {
  let loadSeconds: Double
  let prefillTokensPerSecond: Double
  let decodeTokensPerSecond: Double

  init(_ timings: GenerationTimings, load: Double) {
    loadSeconds = load
    prefillTokensPerSecond = timings.prefillTokensPerSecond
    decodeTokensPerSecond = timings.decodeTokensPerSecond
  }
}
