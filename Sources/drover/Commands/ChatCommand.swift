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

      With --guard, a Llama Guard judges each message before the model reads it, and each answer before it is shown; --guard-command leaves that to another \
      program. What is blocked goes no further, and is told with its category; the exit code then is 65. A guard that can't judge blocks.

      EXAMPLES
        drover chat llama-2-7b-chat
        drover chat model.gguf --system "Answer in one sentence." --temperature 0
        drover chat llama-2-7b-chat --dialogs dialogs.json --json
        echo "What is a mountain pass?" | drover chat model.gguf
        drover chat Llama-3.1-8B-Instruct --guard Llama-Guard-3-8B
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

  @OptionGroup var guarding: GuardOptions
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
    for note in model.notes where !global.quiet { Console.note("note: \(note)") }
    let judge = try guarding.load(beside: model, options, global)
    let load = steadySeconds() - started
    let format = try chosenFormat(model)
    let generator = Generator(model.transformer, stopTokens: model.stopTokens.union(format.stopTokens(model.tokenizer.vocabulary)))
    if let given {
      try answer(given, model, format, generator, judge, load: load)
    } else {
      try converse(model, format, generator, judge)
    }
  }

  private var generation: GenerationOptions { options.generation(maxGenLen: maxGenLen ?? options.maxSeqLen) }

  private func answer(
    _ dialogs: [[ChatMessage]], _ model: LanguageModel, _ format: ChatFormat, _ generator: Generator, _ judge: (any Guard)?, load: Double
  ) throws {
    let prompts = try dialogs.enumerated().map { index, dialog in
      do throws(ChatError) { return try format.prompt(for: dialog, with: model.tokenizer) } catch {
        guard error.exit == .badData else { throw error }
        throw CommandError(.badData, "\(self.dialogs?.description ?? ""): dialog \(index + 1) of \(dialogs.count): \(error)")
      }
    }
    var verdicts = try dialogs.map { try Self.verdicts(on: $0, judge) }
    let admitted = dialogs.indices.filter { verdicts[$0].last?.verdict != .block }
    if showPrompt, !json { for index in admitted { PromptReport(prompts[index]).show() } }
    let (completions, timings) = try generator.generate(admitted.map { prompts[$0].tokens }, generation)
    var answers: [Int: (completion: Completion, text: String)] = [:]
    for (index, completion) in zip(admitted, completions) {
      let text = model.tokenizer.decode(completion.tokens)
      if let judge { verdicts[index].append(try judge.judge(dialogs[index] + [ChatMessage(.assistant, text)])) }
      if verdicts[index].last?.verdict != .block { answers[index] = (completion, text) }
    }
    for (index, verdict) in verdicts.enumerated() {
      guard let last = verdict.last, last.verdict == .block else { continue }
      Console.error("dialog \(index + 1) of \(dialogs.count): \(GuardReport.sentence(last, isAnswer: admitted.contains(index)))")
    }
    if json {
      try outputJSON(
        Report(
          dialogs: dialogs.indices.map { index in
            Report.Answer(
              generation: ChatMessage(.assistant, answers[index]?.text ?? ""), tokens: answers[index]?.completion.tokens ?? [],
              finish: answers[index]?.completion.finish.rawValue ?? GuardReport.blocked, input: showPrompt ? PromptReport(prompts[index]) : nil,
              guard: judge == nil ? nil : verdicts[index])
          }, timings: TimingsReport(timings, load: load)))
    } else {
      for (index, dialog) in dialogs.enumerated() {
        guard let answer = answers[index] else { continue }
        for message in dialog { show(Style.standardOutput("\(message.role.rawValue)", .bold), message.content) }
        show(Style.standardOutput("> assistant", .bold, .green), answer.text)
      }
    }
    if answers.count < dialogs.count { throw ExitCode(.badData) }
  }

  /// What the guard says of each turn of a dialog, as if it had just been said, up to the first that is blocked.
  private static func verdicts(on dialog: [ChatMessage], _ judge: (any Guard)?) throws -> [GuardVerdict] {
    guard let judge else { return [] }
    var verdicts: [GuardVerdict] = []
    for (index, message) in dialog.enumerated() where message.role != .system {
      verdicts.append(try judge.judge(Array(dialog[...index])))
      if verdicts.last?.verdict == .block { break }
    }
    return verdicts
  }

  private func show(_ role: TerminalText, _ content: String) {
    Console.output("\(role): ")
    Console.output(said: content + "\n\n")
  }

  private func converse(_ model: LanguageModel, _ format: ChatFormat, _ generator: Generator, _ judge: (any Guard)?) throws {
    var conversation = Conversation(system: system?.text, format: format, tokenizer: model.tokenizer, maxSequenceLength: options.maxSeqLen)
    let isTerminal = Console.isTerminal(.standardInput)
    var refused = 0
    while true {
      if isTerminal { Console.prompt(Style.standardError("> ", .bold)) }
      guard let line = readLine() else { break }
      guard line.contains(where: { !$0.isWhitespace }) else { continue }
      if let verdict = try judge?.judge(conversation.messages + [ChatMessage(.user, line)]), verdict.verdict == .block {
        Console.error(GuardReport.sentence(verdict, isAnswer: false))
        refused += 1
        continue
      }
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
      guard let judge else {
        conversation.append(answer: try answer(prompt.tokens, model, generator) { Console.output(said: $0) })
        Console.outputLine()
        continue
      }
      // Nothing is shown before it is judged.
      let answer = try answer(prompt.tokens, model, generator) { _ in }
      let verdict = try judge.judge(conversation.messages + [ChatMessage(.assistant, answer)])
      guard verdict.verdict == .allow else {
        Console.error(GuardReport.sentence(verdict, isAnswer: true))
        conversation.withdraw()
        refused += 1
        continue
      }
      conversation.append(answer: answer)
      Console.output(said: answer)
      Console.outputLine()
    }
    if isTerminal { Console.note("") } else if refused > 0 { throw ExitCode(.badData) }
  }

  /// - Parameter show: takes the model's answer while it is made.
  private func answer(_ prompt: [Int], _ model: LanguageModel, _ generator: Generator, _ show: (String) -> Void) throws -> String {
    var decoder = StreamingDecoder(model.tokenizer)
    var answer = ""
    func take(_ text: String) {
      answer += text
      show(text)
    }
    _ = try generator.generate([prompt], generation) { _, event in
      switch event {
      case .token(let id): take(decoder.append(id))
      case .end: take(decoder.finish())
      }
    }
    return answer
  }

  /// The JSON document; its keys are a promise.
  private struct Report: Encodable {
    struct Answer: Encodable {
      let generation: ChatMessage
      let tokens: [Int]
      /// As `Completion.Finish` has it, or that the guard blocked the dialog or the answer.
      let finish: String
      /// Only where it is asked for.
      let input: PromptReport?
      /// A verdict a turn, the answer's last; only where there is a guard.
      let `guard`: [GuardVerdict]?
    }

    let dialogs: [Answer]
    let timings: TimingsReport
  }
}
