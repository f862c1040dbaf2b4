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

  /// Whether the words ask for progress as JSON. Known before they are parsed, for what is wrong with them is told in JSON too.
  static func askForJSON(_ words: [String]) -> Bool {
    let options = words.prefix { $0 != "--" }
    // Of several the last one counts.
    guard let last = options.lastIndex(where: { $0 == "--progress" || $0.hasPrefix("--progress=") }) else { return false }
    return options[last] == "--progress" ? options.dropFirst(last + 1).first == "json" : options[last] == "--progress=json"
  }

  /// The mode that `--quiet` leaves.
  var progressMode: ProgressMode { quiet ? .none : progress }
}

extension ProgressMode: ExpressibleByArgument {}
