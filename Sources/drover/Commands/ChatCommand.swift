import ArgumentParser
import Arrival
import Catalog
import Checkpoint
import Inference
import Platform
import SystemPackage
import Terminal
import Tokenization

/// `drover chat`: a conversation, or a file of dialogs to answer.
struct ChatCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "chat",
    abstract: "Talk with a chat model.",
    discussion: """
      On a terminal, type a message a line; Ctrl-D ends. With --dialogs, every dialog of the file gets one answer.

      EXAMPLES
        drover chat llama-2-7b-chat
        drover chat model.gguf --system "Answer in one sentence." --temperature 0
        drover chat llama-2-7b-chat --dialogs dialogs.json --json
        echo "What is a mountain pass?" | drover chat model.gguf
      """)

  @Argument(help: "A folder with a checkpoint, or a GGUF file.")
  var model: PathArgument

  @Option(parsing: .unconditional, help: ArgumentHelp("What the model is told before the conversation.", valueName: "text"))
  var system: TextArgument?

  @Option(help: ArgumentHelp("A JSON file of dialogs: [[{\"role\": \"user\", \"content\": \"…\"}]].", valueName: "file"))
  var dialogs: PathArgument?

  @Option(help: "How messages are put to the model: auto, llama2, llama3 or chatml.")
  var format: String = "auto"

  @Option(parsing: .unconditional, help: "The most tokens of an answer (default: what --max-seq-len leaves).")
  var maxGenLen: Int?

  @Flag(help: "Print one JSON document, with --dialogs.")
  var json = false

  @OptionGroup var options: InferenceOptions
  @OptionGroup var global: GlobalOptions

  func validate() throws {
    guard format == "auto" || ChatFormat(named: format) != nil else { throw ValidationError("--format is auto, llama2, llama3 or chatml.") }
    guard maxGenLen.map({ $0 >= 0 }) ?? true else { throw ValidationError("--max-gen-len is not negative.") }
    guard !json || dialogs != nil else { throw ValidationError("--json goes with --dialogs.") }
    guard system == nil || dialogs == nil else {
      throw ValidationError("--system is for conversations; put system messages into the file of dialogs.")
    }
  }

  func run() throws {
    exitOnInterruption()
    let given = try dialogs.map { try ChatMessage.dialogs(json: readInput($0.path), file: $0.description) }
    let started = steadySeconds()
    let model = try options.load(model)
    let load = steadySeconds() - started
    for note in model.checkpoint.companions.notes where !global.quiet { Console.note("note: \(note)") }
    guard let format = try ChatFormat(named: format) ?? model.chatFormat ?? catalogFormat() else {
      throw CommandError(.usage, "\(self.model): nothing tells which chat format this model knows; is it a chat model? If so, name it: --format llama2, llama3 or chatml")
    }
    if global.verbose { Console.note("chat format \(format.name)") }
    let generator = Generator(model.transformer, stopTokens: format.stopTokens(model.tokenizer.vocabulary))
    if let given {
      try answer(given, model, format, generator, load: load)
    } else {
      try converse(model, format, generator)
    }
  }

  /// What the catalog says of the release: Llama 2's files don't show whether the model chats.
  private func catalogFormat() throws -> ChatFormat? {
    try Catalog.builtIn().release(ofCheckpointAt: model.path)?.chatFormat.flatMap(ChatFormat.init(named:))
  }

  private var generation: GenerationOptions { options.generation(maxGenLen: maxGenLen ?? options.maxSeqLen) }

  private func answer(_ dialogs: [[ChatMessage]], _ model: LanguageModel, _ format: ChatFormat, _ generator: Generator, load: Double)
    throws
  {
    let prompts = try dialogs.enumerated().map { index, dialog in
      do throws(ChatError) { return try format.encode(dialog, with: model.tokenizer) } catch {
        guard error.exit == .badData else { throw error }
        throw CommandError(.badData, "\(self.dialogs?.description ?? ""): dialog \(index + 1) of \(dialogs.count): \(error)")
      }
    }
    let (completions, timings) = try generator.generate(prompts, generation)
    let texts = completions.map { model.tokenizer.decode($0.tokens) }
    if json {
      return try outputJSON(
        Report(
          dialogs: zip(completions, texts).map { completion, text in
            Report.Answer(generation: ChatMessage(.assistant, text), tokens: completion.tokens, finish: completion.finish)
          }, timings: TimingsReport(timings, load: load)))
    }
    for (dialog, text) in zip(dialogs, texts) {
      for message in dialog { show(Style.standardOutput("\(message.role.rawValue)", .bold), message.content) }
      show(Style.standardOutput("> assistant", .bold, .green), text)
    }
  }

  private func show(_ role: TerminalText, _ content: String) {
    Console.output("\(role): ")
    Console.output(said: content + "\n\n")
  }

  private func converse(_ model: LanguageModel, _ format: ChatFormat, _ generator: Generator) throws {
    var conversation = Conversation(system: system?.text, format: format, tokenizer: model.tokenizer, maxSequenceLength: options.maxSeqLen)
    let isTerminal = Console.isTerminal(.standardInput)
    var refused = 0
    while true {
      if isTerminal { Console.prompt(Style.standardError("> ", .bold)) }
      guard let line = readLine() else { break }
      guard line.contains(where: { !$0.isWhitespace }) else { continue }
      let (prompt, forgotten): ([Int], Int)
      do throws(ChatError) { (prompt, forgotten) = try conversation.ask(line) } catch {
        // A message that contains a reserved tag is refused, and the conversation goes on.
        guard case .reservedTag = error else { throw error }
        Console.error("\(error)")
        refused += 1
        continue
      }
      for _ in 0..<forgotten { Console.note("the conversation is longer than \(options.maxSeqLen) tokens (--max-seq-len); its oldest turn is forgotten") }
      conversation.append(answer: try answer(prompt, model, generator))
    }
    if isTerminal { Console.note("") } else if refused > 0 { throw ExitCode(.badData) }
  }

  /// Shows the model's answer while it is made.
  private func answer(_ prompt: [Int], _ model: LanguageModel, _ generator: Generator) throws -> String {
    var decoder = StreamingDecoder(model.tokenizer)
    var answer = ""
    func show(_ text: String) {
      answer += text
      Console.output(said: text)
    }
    _ = try generator.generate([prompt], generation) { _, event in
      switch event {
      case .token(let id): show(decoder.append(id))
      case .end: show(decoder.finish())
      }
    }
    Console.outputLine()
    return answer
  }

  /// The JSON document; its keys are a promise.
  private struct Report: Encodable {
    struct Answer: Encodable {
      let generation: ChatMessage
      let tokens: [Int]
      let finish: Completion.Finish
    }

    let dialogs: [Answer]
    let timings: TimingsReport
  }
}
