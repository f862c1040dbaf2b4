import ArgumentParser
import Glibc
import Integrity
import Terminal

@main
struct Drover: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "drover",
    abstract: "Moves Llama checkpoints: from a signed link to verified weights, between layouts, and to a first completion.",
    version: "drover 0.1.0",
    groupedSubcommands: [
      CommandGroup(name: "Fetching", subcommands: [CatalogCommand.self, DownloadCommand.self, PullCommand.self, RepairCommand.self]),
      CommandGroup(name: "Proving", subcommands: [VerifyCommand.self, FingerprintCommand.self]),
      CommandGroup(name: "Checkpoints", subcommands: [InspectCommand.self, ReshardCommand.self]),
      CommandGroup(name: "Running", subcommands: [CompleteCommand.self, ChatCommand.self, BenchCommand.self, DemoCommand.self]),
    ])

  static var _errorPrefix: String { "drover: " }

  static func main() {
    ProcessStart.prepare()
    guard let words = Arguments.words else {
      Console.error("the system doesn't tell which arguments drover was started with, so nothing was done")
      Glibc.exit(DroverExit.failure.rawValue)
    }
    if GlobalOptions.askForJSON(words) { Console.speakJSON() }
    ProcessSecrets.hide()
    HelpRequest.makeRoom()
    do {
      var command = try parse(words)
      try MD5Kernel.checkEnvironment()
      try SHA256Kernel.checkEnvironment()
      try command.run()
      try checkOutput()
    } catch {
      Glibc.exit(tell(error, words))
    }
  }

  private static func parse(_ words: [String]) throws -> any ParsableCommand {
    try CommandNames.check(words)
    let command = try parseAsRoot(words)
    try (command as? any RefusesMisplacedLinks)?.refuseMisplacedLinks()
    try refuseRawArguments(in: command)
    return command
  }

  private static func checkOutput() throws(CommandError) {
    if let failure = Console.outputFailure { throw CommandError(.cannotCreate, "standard output can't be written: \(failure)") }
  }

  /// Says why the program ends.
  /// - Returns: the exit code.
  private static func tell(_ error: any Error, _ words: [String]) -> Int32 {
    if let error = error as? any ExitCoded {
      Console.error(ProcessSecrets.redact(error.description))
      return error.exit.rawValue
    }
    let code = exitCode(for: error)
    let message = ProcessSecrets.redact(fullMessage(for: error))
    do {
      if code == .success {
        // Help, the version, or a completion script.
        try HelpRequest.checkIsAll(of: words)
        Console.output(document: message + "\n")
      } else if !message.isEmpty {
        let shown = ArgumentBytes.shown(ProcessSecrets.redact(Self.message(for: error)))
        if Console.isSpeakingJSON { Console.error(shown) } else { Console.usage(ArgumentBytes.shown(message)) }
      }
      try checkOutput()
    } catch {
      Console.error(ProcessSecrets.redact(error.description))
      // A report that got nowhere is no better than what it had to say.
      return code == .success ? error.exit.rawValue : code.rawValue
    }
    return code.rawValue
  }
}
