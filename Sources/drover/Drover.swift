import ArgumentParser
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
    ProcessSecrets.hide()
    do {
      var command = try parseAsRoot()
      try MD5Kernel.checkEnvironment()
      if var command = command as? any AsyncParsableCommand {
        try await command.run()
      } else {
        try command.run()
      }
    } catch let error as any ExitCoded {
      Console.error(error.description)
      Glibc.exit(error.exit.rawValue)
    } catch {
      let message = fullMessage(for: error)
      let shown = ProcessSecrets.redact(message)
      if shown == message { exit(withError: error) }
      Console.note(shown)
      Glibc.exit(exitCode(for: error).rawValue)
    }
  }
}
