import ArgumentParser
import Checkpoint
import Inference
import Platform
import SystemPackage
import Terminal
import Tokenization

/// `drover complete`: text that goes on from prompts.
struct CompleteCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "complete",
    abstract: "Complete prompts with a model.",
    discussion: """
      The model runs from where it lies: any format, any number of shards, nothing is converted. Text goes to standard output as it \
      is made; with several prompts, one after the other under its prompt.

      With --guard, a Llama Guard judges each prompt before the model reads it, and what the model makes of it before it is shown; --guard-command leaves that \
      to another program. What is blocked goes no further, and is told with its category; the exit code then is 65. A guard that can't judge blocks.

      EXAMPLES
        drover complete llama-2-7b --prompt "I believe the meaning of life is"
        drover complete model.gguf --prompt "The capital of" --temperature 0
        drover complete llama-2-7b --prompts prompts.txt --max-gen-len 128 --json
        drover complete llama-2-7b --prompt "Once upon a time" --logprobs --json
        drover complete llama-2-7b --prompts prompts.txt --guard llama-guard
      """)

  @Argument(help: "A folder with a checkpoint, a GGUF file, hf:ORG/NAME in the hub's cache, or ollama:NAME.")
  var model: ModelArgument

  @Option(name: .customLong("prompt"), parsing: .unconditionalSingleValue, help: ArgumentHelp("A text to go on from; may be given several times.", valueName: "text"))
  var prompt: [TextArgument] = []

  @Option(help: ArgumentHelp("A file with a prompt on each line, or with a JSON array of prompts; - is standard input.", valueName: "file"))
  var prompts: PathArgument?

  @Option(parsing: .unconditional, help: "The most tokens to make for each prompt.")
  var maxGenLen: Int = 64

  @Flag(help: "Give each token's log-probability.")
  var logprobs = false

  @Flag(help: "Give the prompt too.")
  var echo = false

  @Flag(help: "Show what the model reads: the text with its control tokens, and their ids.")
  var showPrompt = false

  @Flag(help: "Print one JSON document.")
  var json = false

  @OptionGroup var guarding: GuardOptions
  @OptionGroup var options: InferenceOptions
  @OptionGroup var global: GlobalOptions

  func validate() throws {
    guard !prompt.isEmpty || prompts != nil else { throw ValidationError("Give a --prompt, or --prompts with a file of them.") }
    guard maxGenLen >= 0 else { throw ValidationError("--max-gen-len is not negative.") }
    guard !logprobs || json else { throw ValidationError("--logprobs goes with --json.") }
  }

  func run() throws {
    exitOnInterruption()
    let texts = try prompt.map(\.text) + (prompts.map { try PromptFile(readInput($0.path), file: $0.path.string).prompts } ?? [])
    let started = steadySeconds()
    let model = try options.load(model.find(global))
    for note in model.notes where !global.quiet { Console.note("note: \(note)") }
    let judge = try guarding.load(beside: model, options, global)
    let load = steadySeconds() - started

    let generator = Generator(model.transformer, stopTokens: model.stopTokens)
    let prompts = try texts.map { try model.encode(prompt: $0) }
    var verdicts = try texts.map { text in try judge.map { [try $0.judge([ChatMessage(.user, text)])] } ?? [] }
    let admitted = texts.indices.filter { verdicts[$0].last?.verdict != .block }
    let read = showPrompt ? prompts.map { PromptReport(ChatPrompt(of: $0, with: model.tokenizer)) } : nil
    if !json { for index in admitted { read?[index].show() } }
    // Nothing is shown before it is judged.
    let stream = json || judge != nil ? nil : PromptStream(texts, tokenizer: model.tokenizer, echo: echo)
    let (completions, timings) = try generator.generate(
      admitted.map { prompts[$0] }, options.generation(maxGenLen: maxGenLen, logprobs: logprobs, echo: echo)
    ) { index, event in
      stream?.show(index, event)
    }
    var answers: [Int: Completion] = [:]
    for (index, completion) in zip(admitted, completions) {
      if let judge {
        let made = text(of: echo ? Array(completion.tokens.dropFirst(prompts[index].count)) : completion.tokens, model.tokenizer, continuing: true)
        verdicts[index].append(try judge.judge([ChatMessage(.user, texts[index]), ChatMessage(.assistant, made)]))
      }
      if verdicts[index].last?.verdict != .block { answers[index] = completion }
    }
    for (index, verdict) in verdicts.enumerated() {
      guard let last = verdict.last, last.verdict == .block else { continue }
      Console.error("prompt \(index + 1) of \(texts.count): \(GuardReport.sentence(last, isAnswer: verdict.count > 1))")
    }
    if json {
      try outputJSON(
        Report(
          completions: texts.indices.map { index in
            let completion = answers[index]
            return Report.Item(
              prompt: texts[index], generation: completion.map { text(of: $0.tokens, model.tokenizer, continuing: !echo) } ?? "", tokens: completion?.tokens ?? [],
              logprobs: logprobs ? completion?.logprobs ?? [] : nil, finish: completion?.finish.rawValue ?? GuardReport.blocked, input: read?[index],
              guard: judge == nil ? nil : verdicts[index])
          }, timings: TimingsReport(timings, load: load)))
    } else if judge != nil {
      let stream = PromptStream(answers.keys.sorted().map { texts[$0] }, tokenizer: model.tokenizer, echo: echo)
      for (shown, index) in answers.keys.sorted().enumerated() {
        guard let completion = answers[index] else { continue }
        for id in completion.tokens.dropFirst(echo ? prompts[index].count : 0) { stream.show(shown, .token(id)) }
        stream.show(shown, .end(completion.finish))
      }
    }
    if !json, global.verbose {
      Console.note(
        "loaded in \(Format.duration(load)); prompts at \(Format.fixed(timings.prefillTokensPerSecond, 1)), "
          + "text at \(Format.fixed(timings.decodeTokensPerSecond, 1)) tokens/s with \(model.transformer.kernels.name) on \(model.transformer.threads) threads"
      )
    }
    if answers.count < texts.count { throw ExitCode(.badData) }
  }

  private func text(of tokens: [Int], _ tokenizer: any Tokenizer, continuing: Bool) -> String {
    var decoder = StreamingDecoder(tokenizer, continuing: continuing)
    return tokens.reduce(into: "") { $0 += decoder.append($1) } + decoder.finish()
  }

  /// The JSON document; its keys are a promise.
  private struct Report: Encodable {
    struct Item: Encodable {
      let prompt: String
      let generation: String
      let tokens: [Int]
      let logprobs: [Float?]?
      /// As `Completion.Finish` has it, or that the guard blocked the prompt or what was made of it.
      let finish: String
      let input: PromptReport?
      /// What the guard says of the prompt, and of what was made of it; only where there is a guard.
      let `guard`: [GuardVerdict]?

      enum CodingKeys: CodingKey { case prompt, generation, tokens, logprobs, finish, input, `guard` }

      func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(prompt, forKey: .prompt)
        try container.encode(generation, forKey: .generation)
        try container.encode(tokens, forKey: .tokens)
        // Written as null when there are none; the default would leave the key out.
        try container.encode(logprobs, forKey: .logprobs)
        try container.encode(finish, forKey: .finish)
        try container.encodeIfPresent(input, forKey: .input)
        try container.encodeIfPresent(`guard`, forKey: .guard)
      }
    }

    let completions: [Item]
    let timings: TimingsReport
  }
}

/// Shows completions on standard output as they are made: the first that isn't finished live, the others when their turn comes.
private final class PromptStream {
  private let prompts: [String]
  private let echo: Bool
  private var decoders: [StreamingDecoder]
  private var waiting: [String]
  private var isFinished: [Bool]
  private var current = 0
  /// The first prompt is shown with its first token, not before: until then the prompts may be refused.
  private var hasBegun = false

  init(_ prompts: [String], tokenizer: any Tokenizer, echo: Bool) {
    self.prompts = prompts
    self.echo = echo
    decoders = prompts.map { _ in StreamingDecoder(tokenizer, continuing: true) }
    waiting = prompts.map { _ in "" }
    isFinished = prompts.map { _ in false }
  }

  func show(_ index: Int, _ event: GenerationEvent) {
    if !hasBegun { begin() }
    switch event {
    case .token(let id): waiting[index] += decoders[index].append(id)
    case .end:
      waiting[index] += decoders[index].finish()
      isFinished[index] = true
    }
    while current < prompts.count {
      if !waiting[current].isEmpty { Console.output(said: waiting[current]) }
      waiting[current] = ""
      guard isFinished[current] else { return }
      Console.outputLine()
      current += 1
      begin()
    }
  }

  private func begin() {
    hasBegun = true
    guard current < prompts.count else { return }
    if prompts.count > 1, !echo { Console.outputLine(Style.standardOutput((current > 0 ? "\n> " : "> ") + TerminalText(speech: prompts[current]), .bold)) }
    if echo { Console.output(said: prompts[current]) }
  }
}
