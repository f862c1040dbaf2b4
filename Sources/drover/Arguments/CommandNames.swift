import ArgumentParser
import Catalog

/// The words that may come first.
enum CommandNames {
  static let all = Drover.configuration.subcommands.flatMap { [$0.configuration.commandName ?? ""] + $0.configuration.aliases } + ["help"]

  /// Names the command that was probably meant; the parser takes a word that is none for an argument of the program's, and help about it for help.
  static func check(_ words: [String]) throws(CommandError) {
    guard let first = words.first else { throw CommandError(.usage, "name a command; `drover --help` lists them") }
    try check(first)
    if first == "help", words.count == 2 { try check(words[1]) }
  }

  private static func check(_ word: String) throws(CommandError) {
    guard !word.hasPrefix("-"), !all.contains(word) else { return }
    let near = all.map { (name: $0, distance: editDistance(Array(word.utf8), Array($0.utf8))) }.filter { $0.distance <= max(2, $0.name.utf8.count / 3) }
    let hint = near.min { $0.distance < $1.distance }.map { "did you mean `drover \($0.name)`?" } ?? "`drover --help` lists them"
    throw CommandError(.usage, "\(ArgumentBytes.shown(String(word.prefix(40)))): no such command; \(hint)")
  }
}
