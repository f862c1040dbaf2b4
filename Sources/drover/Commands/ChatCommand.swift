import ArgumentParser
import Checkpoint
import Inference
import Platform
import SystemPackage
import Templates
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

  @Argument(help: "A folder with a checkpoint, a GGUF file, hf:ORG/NAME in the hub's cache, or ollama:NAME.")
  var model: ModelArgument

  @Option(parsing: .unconditional, help: ArgumentHelp("What the model is told before the conversation.", valueName: "text"))
  var system: TextArgument?

  @Option(help: ArgumentHelp("A JSON file of dialogs: [[{\"role\": \"user\", \"content\": \"…\"}]].", valueName: "file"))
  var dialogs: PathArgument?

  @Option(help: "How messages are put to the model: auto, template, llama2, llama3, codellama70b or chatml. auto is the model's own chat template, else what Meta's code does for its release.")
  var format: String = "auto"

  @Option(parsing: .unconditional, help: "The most tokens of an answer (default: what --max-seq-len leaves).")
  var maxGenLen: Int?

  @Flag(help: "Show what the model reads: the text with its control tokens, and their ids.")
  var showPrompt = false

  @Flag(help: "Print one JSON document, with --dialogs.")
  var json = false

  @OptionGroup var options: InferenceOptions
  @OptionGroup var global: GlobalOptions

  func validate() throws {
    guard format == "auto" || format == "template" || ChatFormat.named[format] != nil else {
      throw ValidationError("--format is auto, template, llama2, llama3, codellama70b or chatml.")
    }
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
    let model = try options.load(model.find(global))
    let load = steadySeconds() - started
    for note in model.notes where !global.quiet { Console.note("note: \(note)") }
    let format = try chosenFormat(model)
    let generator = Generator(model.transformer, stopTokens: model.stopTokens.union(format.stopTokens(model.tokenizer.vocabulary)))
    if let given {
      try answer(given, model, format, generator, load: load)
    } else {
      try converse(model, format, generator)
    }
  }

  private var generation: GenerationOptions { options.generation(maxGenLen: maxGenLen ?? options.maxSeqLen) }

  private func answer(_ dialogs: [[ChatMessage]], _ model: LanguageModel, _ format: ChatFormat, _ generator: Generator, load: Double)
    throws
  {
    let prompts = try dialogs.enumerated().map { index, dialog in
      do throws(ChatError) { return try format.prompt(for: dialog, with: model.tokenizer) } catch {
        guard error.exit == .badData else { throw error }
        throw CommandError(.badData, "\(self.dialogs?.description ?? ""): dialog \(index + 1) of \(dialogs.count): \(error)")
      }
    }
    if showPrompt, !json { for prompt in prompts { PromptReport(prompt).show() } }
    let (completions, timings) = try generator.generate(prompts.map(\.tokens), generation)
    let texts = completions.map { model.tokenizer.decode($0.tokens) }
    if json {
      return try outputJSON(
        Report(
          dialogs: zip(completions, zip(texts, prompts)).map { completion, said in
            Report.Answer(
              generation: ChatMessage(.assistant, said.0), tokens: completion.tokens, finish: completion.finish,
              input: showPrompt ? PromptReport(said.1) : nil)
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
      let (prompt, forgotten): (ChatPrompt, Int)
      do throws(ChatError) { (prompt, forgotten) = try conversation.ask(line) } catch {
        // A message that the format or the template refuses is told, and the conversation goes on.
        switch error {
        case .reservedTag: break
        case .template(_, let error) where error.kind == .raised: break
        default: throw error
        }
        Console.error("\(error)")
        refused += 1
        continue
      }
      for _ in 0..<forgotten { Console.note("the conversation is longer than \(options.maxSeqLen) tokens (--max-seq-len); its oldest turn is forgotten") }
      if showPrompt { PromptReport(prompt).show() }
      conversation.append(answer: try answer(prompt.tokens, model, generator))
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
      /// Only where it is asked for.
      let input: PromptReport?
    }

    let dialogs: [Answer]
    let timings: TimingsReport
  }
}
