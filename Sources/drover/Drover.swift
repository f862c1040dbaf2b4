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
    standInForClosedDescriptors()
    ProcessSecrets.hide()
    do {
      var command = try parseAsRoot()
      try MD5Kernel.checkEnvironment()
      if var command = command as? any AsyncParsableCommand {
        try await command.run()
      } else {
        try command.run()
      }
      if let failure = Console.outputFailure { throw OutputError(description: "standard output can't be written: \(failure)") }
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

  /// Whoever started us without standard input, output or error would otherwise find there the first files that are opened. What is written to the
  /// stand-ins fails, as it would have.
  private static func standInForClosedDescriptors() {
    for (descriptor, flags) in [(STDIN_FILENO, O_WRONLY), (STDOUT_FILENO, O_RDONLY), (STDERR_FILENO, O_RDONLY)]
    where fcntl(descriptor, F_GETFD) < 0 { _ = open("/dev/null", flags) }
  }

  private struct OutputError: ExitCoded {
    let description: String
    var exit: DroverExit { .cannotCreate }
  }
}
