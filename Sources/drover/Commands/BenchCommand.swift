import ArgumentParser
import Checkpoint
import Inference
import Platform
import Terminal

/// `drover bench`: how fast a model runs here.
struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measure how fast a model runs.",
    discussion: """
      Prefill computes a prompt of random tokens; decode makes tokens one by one from an empty context. Both run once unmeasured. \
      DROVER_KERNEL=avx2 (avx512, neon, plain) in the environment chooses other kernels than this processor's best.

      EXAMPLES
        drover bench llama-2-7b
        drover bench model.gguf --prompt-tokens 1024 --threads 8 --json
      """)

  @Argument(help: "A folder with a checkpoint, a GGUF file, hf:ORG/NAME in the hub's cache, or ollama:NAME.")
  var model: ModelArgument

  @Option(parsing: .unconditional, help: "Length of the prompt.")
  var promptTokens: Int = 512

  @Option(parsing: .unconditional, help: "Tokens to make.")
  var genTokens: Int = 64

  @Option(parsing: .unconditional, help: "Measured runs.")
  var repetitions: Int = 3

  @Option(parsing: .unconditional, help: "Threads that compute (default: one a processor).")
  var threads: Int?

  @Flag(help: "Print one JSON document.")
  var json = false

  @OptionGroup var checkpoint: CheckpointOptions
  @OptionGroup var computing: ComputingOptions
  @OptionGroup var ignoredKeys: IgnoredKeys
  @OptionGroup var global: GlobalOptions

  func validate() throws {
    for count in [promptTokens, genTokens] where !(0...1 << 20).contains(count) { throw ValidationError("Tokens are counted from 0 to \(1 << 20).") }
    guard promptTokens + genTokens > 0 else { throw ValidationError("There must be tokens to measure.") }
    guard repetitions > 0 else { throw ValidationError("--repetitions is at least 1.") }
    guard threads.map({ (1...1024).contains($0) }) ?? true else { throw ValidationError("--threads is between 1 and 1024.") }
  }

  func run() throws {
    exitOnInterruption()
    let started = steadySeconds()
    let source = try Checkpoint.open(at: model.find(global), checkpoint.forOpening).ignoring(ignoredKeys.names)
    for note in source.companions.notes where !global.quiet { Console.note("note: \(note)") }
    let transformer = try Transformer(
      source, maxBatchSize: 1, maxSequenceLength: max(promptTokens, genTokens), threads: threads, quantization: computing.quantization)
    let load = steadySeconds() - started
    let result = try Benchmark(transformer, promptTokens: promptTokens, genTokens: genTokens, repetitions: repetitions)
    let report = Report(
      prefillTokensPerSecond: result.prefillTokensPerSecond, decodeTokensPerSecond: result.decodeTokensPerSecond,
      loadSeconds: load, peakMemory: peakResidentBytes(), kernel: transformer.kernels.name, threads: transformer.threads)
    if json { return try outputJSON(report) }

    func line(_ name: String, _ spread: Benchmark.Spread) {
      Console.outputLine(
        "\(name)  \(Format.fixed(spread.median, 1)) tokens/s  (\(Format.fixed(spread.minimum, 1)) to \(Format.fixed(spread.maximum, 1)))")
    }
    if promptTokens > 0 { line("prefill", report.prefillTokensPerSecond) }
    if genTokens > 0 { line("decode ", report.decodeTokensPerSecond) }
    Console.outputLine("load     \(Format.duration(report.loadSeconds))")
    if let peak = report.peakMemory { Console.outputLine("memory   \(Format.bytes(peak)) at most, mapped weights included") }
    Console.outputLine("kernels  \(report.kernel), \(report.threads) threads")
  }

  /// The JSON document; its keys are a promise.
  private struct Report: Encodable {
    let prefillTokensPerSecond: Benchmark.Spread
    let decodeTokensPerSecond: Benchmark.Spread
    let loadSeconds: Double
    /// Bytes.
    let peakMemory: Int?
    let kernel: String
    let threads: Int
  }
}
