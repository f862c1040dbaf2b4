import Platform
import Terminal

/// Writes the one JSON document of a command's `--json` to standard output.
func outputJSON(_ value: some Encodable) throws {
  Console.output(document: JSONText.harmless(String(decoding: try JSONText.encode(value), as: UTF8.self)))
}
