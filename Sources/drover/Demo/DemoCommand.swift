import ArgumentParser
import Glibc
import Terminal

struct DemoCommand: AsyncParsableCommand {
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

  func run() async throws {
    let folder = try DemoFolder(keep: keep?.path)
    Interruption.onSignal {
      folder.remove()
      Glibc.exit(DroverExit.interrupted.rawValue)
    }
    defer { folder.remove() }
    try await DemoRoad(folder: folder.path, isQuiet: global.quiet).walk()
    if keep != nil { Console.outputLine("\nWhat was made is in \(folder.path).") }
  }
}
