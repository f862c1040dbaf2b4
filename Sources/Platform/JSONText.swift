import FoundationEssentials

/// JSON as drover writes it, for files and for `--json`: indented, keys sorted, slashes as they are, times in ISO 8601, a newline at the end. The same
/// value gives the same bytes.
package enum JSONText {
  package static func encode(_ value: some Encodable) throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.dateEncodingStrategy = .iso8601
    return Array(try encoder.encode(value)) + [UInt8(ascii: "\n")]
  }
}
