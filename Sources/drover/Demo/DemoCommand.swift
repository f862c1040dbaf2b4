import ArgumentParser
import Glibc
import Platform
import SystemPackage
import Terminal

struct DemoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "demo",
    abstract: "Take a small model down the whole road, offline: download, verify, reshard, complete.",
    discussion: """
      A loopback server hands out the checkpoint that the program carries (1.2 million parameters, trained on fairy tales, in two shards) \
      over links that it signs itself. The first of them ends in mid-file.

      EXAMPLES
        drover demo
        drover demo --keep demo-files
      """)

  @Option(help: ArgumentHelp("Keep what is made in this new folder.", valueName: "dir"), completion: .directory)
  var keep: PathArgument?

  @OptionGroup var global: GlobalOptions

  func run() throws {
    // Every other command works without Swift's threads. They belong to libdispatch, which ends the process where it can't look at them in /proc.
    guard Directory.exists("/proc/self/stat") else { throw CommandError(.failure, "the demonstration's little server needs /proc, which isn't mounted here") }
    let folder = try DemoFolder(keep: keep?.path)
    Console.outliveReaders()
    Interruption.onSignal {
      folder.remove()
      Glibc.exit(DroverExit.interrupted.rawValue)
    }
    defer { folder.remove() }
    let outcome = Monitor<Result<Void, any Error>?>(nil)
    let road = DemoRoad(folder: folder.path, isQuiet: global.quiet)
    Task {
      do {
        try await road.walk()
        outcome.update { $0 = .success(()) }
      } catch {
        outcome.update { $0 = .failure(error) }
      }
    }
    try outcome.wait { $0 }.get()
    if keep != nil { Console.outputLine("\nWhat was made is in \(folder.path).") }
  }
}
