import ArgumentParser
import Catalog
import Checkpoint
import Inference
import Terminal

/// The options of commands that have what goes into a model and what comes out judged.
struct GuardOptions: ParsableArguments {
  @Option(name: .customLong("guard"), help: ArgumentHelp("A Llama Guard (1, 2 or 3) that judges what goes into the model and what comes out.", valueName: "model"))
  var model: ModelArgument?

  @Option(parsing: .unconditional, help: "Block what the guard finds unsafe with this probability or more.")
  var guardThreshold: Double = 0.5

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("A program that judges instead: it is given each message as a line of JSON (role, content, messages), and answers allow or block.", valueName: "command"))
  var guardCommand: TextArgument?

  @Option(parsing: .unconditional, help: ArgumentHelp("How long the program may take; what isn't answered is blocked.", valueName: "seconds"))
  var guardTimeout: Double = 60

  func validate() throws {
    guard model == nil || guardCommand == nil else { throw ValidationError("--guard and --guard-command exclude each other.") }
    guard guardThreshold > 0, guardThreshold <= 1 else { throw ValidationError("--guard-threshold is above 0, and at most 1.") }
    guard guardTimeout > 0, guardTimeout <= 86400 else { throw ValidationError("--guard-timeout is above 0, and at most a day.") }
  }

  /// The guard that was asked for, which computes on the threads of `guarded`; nil for none.
  func load(beside guarded: LanguageModel, _ options: InferenceOptions, _ global: GlobalOptions) throws -> (any Guard)? {
    if let guardCommand { return GuardCommand(guardCommand.text, seconds: guardTimeout) }
    guard let model else { return nil }
    // A guard reads its policy and the whole conversation, in tokens of its own.
    let path = try model.find(global)
    let loaded = try LanguageModel(at: path, maxBatchSize: 1, maxSequenceLength: 2 * options.maxSeqLen + 1024, sharingThreadsOf: guarded)
    for note in loaded.notes where !global.quiet { Console.note("note: guard: \(note)") }
    let release = try Catalog.builtIn().release(ofCheckpointAt: path)?.chatFormat
    let made = try GuardModel(loaded, name: model.description, release: release, threshold: guardThreshold, now: templateMoment())
    if global.verbose { Console.note("guard format: \(made.formatName)") }
    return made
  }
}
