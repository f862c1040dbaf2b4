import FoundationEssentials
import Terminal

/// Writes the one JSON document of a command's `--json` to standard output.
func outputJSON(_ value: some Encodable) throws {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
  Console.outputLine(String(decoding: try encoder.encode(value), as: UTF8.self))
}
