import ArgumentParser
import Catalog
import Glibc
import Integrity
import Terminal

@main
struct Drover: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "drover",
    abstract: "Moves Llama checkpoints: from a signed link to verified weights, between layouts, and to a first completion.",
    version: "drover 0.1.0",
    groupedSubcommands: [
      CommandGroup(name: "Fetching", subcommands: [CatalogCommand.self, DownloadCommand.self]),
      CommandGroup(name: "Proving", subcommands: [VerifyCommand.self, FingerprintCommand.self]),
      CommandGroup(name: "Checkpoints", subcommands: [InspectCommand.self, ReshardCommand.self]),
      CommandGroup(name: "Running", subcommands: [CompleteCommand.self, ChatCommand.self, BenchCommand.self, DemoCommand.self]),
    ])

  static func main() async {
    ProcessStart.prepare()
    ProcessSecrets.hide()
    do {
      var command = try parse()
      try MD5Kernel.checkEnvironment()
      try SHA256Kernel.checkEnvironment()
      if var command = command as? any AsyncParsableCommand {
        try await command.run()
      } else {
        try command.run()
      }
      if let failure = Console.outputFailure { throw CommandError(.cannotCreate, "standard output can't be written: \(failure)") }
    } catch let error as any ExitCoded {
      Console.error(ProcessSecrets.redact(error.description))
      Glibc.exit(error.exit.rawValue)
    } catch {
      let message = fullMessage(for: error)
      let shown = ProcessSecrets.redact(message)
      if shown == message { exit(withError: error) }
      Console.note(shown)
      Glibc.exit(exitCode(for: error).rawValue)
    }
  }

  private static func parse() throws -> any ParsableCommand {
    try checkCommand()
    let command = try parseAsRoot()
    try (command as? any RefusesMisplacedLinks)?.refuseMisplacedLinks()
    return command
  }

  /// Names the command that was probably meant; the parser takes a word that is none for an argument of the program's.
  private static func checkCommand() throws(CommandError) {
    let names = configuration.subcommands.flatMap { [$0.configuration.commandName ?? ""] + $0.configuration.aliases } + ["help"]
    guard let word = CommandLine.arguments.dropFirst().first, !word.hasPrefix("-"), !word.hasPrefix("_"), !names.contains(word) else { return }
    let near = names.map { (name: $0, distance: editDistance(Array(word.utf8), Array($0.utf8))) }.filter { $0.distance <= max(2, $0.name.utf8.count / 3) }
    let hint = near.min { $0.distance < $1.distance }.map { "did you mean `drover \($0.name)`?" } ?? "`drover --help` lists them"
    throw CommandError(.usage, "\(Format.name(String(word.prefix(40)))): no such command; \(hint)")
  }
}
