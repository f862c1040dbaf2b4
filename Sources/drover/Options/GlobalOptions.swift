import ArgumentParser
import Terminal

/// The options that every command takes.
struct GlobalOptions: ParsableArguments {
  @Flag(name: .shortAndLong, help: "Say more about what is done.")
  var verbose = false

  @Flag(name: .shortAndLong, help: "Say nothing but errors and results.")
  var quiet = false

  @Option(help: "How progress is shown on standard error: auto, bar, plain, json or none.")
  var progress: ProgressMode = .auto

  /// The mode that `--quiet` leaves.
  var progressMode: ProgressMode { quiet ? .none : progress }
}

extension ProgressMode: ExpressibleByArgument {}
