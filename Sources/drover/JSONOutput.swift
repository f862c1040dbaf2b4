import Integrity
import Platform
import SystemPackage
import Terminal

/// Writes the one JSON document of a command's `--json` to standard output.
func outputJSON(_ value: some Encodable) throws {
  Console.output(document: JSONText.harmless(String(decoding: try JSONText.encode(value), as: UTF8.self)))
}

extension FilePath {
  /// The path's bytes in hexadecimal digits, where they aren't UTF-8 and JSON can't hold them; nil where they are.
  var bytesUnlessText: String? {
    let bytes = withPlatformString { Array(UnsafeBufferPointer(start: $0, count: length)).map { UInt8(bitPattern: $0) } }
    return String(validating: bytes, as: UTF8.self) == nil ? Hex.encode(bytes) : nil
  }
}
