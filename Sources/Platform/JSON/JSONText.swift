import FoundationEssentials

/// JSON as drover writes it, for files and for `--json`: indented or on one line, keys sorted, slashes as they are, times in ISO 8601, a newline at the end. The same
/// value gives the same bytes.
package enum JSONText {
  /// - Parameter isCompact: on one line, for files that only programs read.
  package static func encode(_ value: some Encodable, isCompact: Bool = false) throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    if !isCompact { encoder.outputFormatting.insert(.prettyPrinted) }
    encoder.dateEncodingStrategy = .iso8601
    return Array(try encoder.encode(value)) + [UInt8(ascii: "\n")]
  }

  /// A document in which characters that would speak to a terminal, or hide, stand as escapes.
  package static func harmless(_ json: String) -> String {
    func isActive(_ scalar: Unicode.Scalar) -> Bool { scalar.isActive && scalar != "\n" }
    guard json.unicodeScalars.contains(where: isActive) else { return json }
    return json.unicodeScalars.map { scalar in
      guard isActive(scalar) else { return String(scalar) }
      return UTF16.encode(scalar).map { $0.map { unit in "\\u" + String(repeating: "0", count: 4 - String(unit, radix: 16).count) + String(unit, radix: 16) }.joined() } ?? ""
    }.joined()
  }

  /// Appends a string of UTF-8 in its quotes, for documents that are written piece by piece: long ones, and lines of progress.
  package static func appendQuoted(_ utf8: some Sequence<UInt8>, to bytes: inout [UInt8]) {
    bytes.append(UInt8(ascii: "\""))
    for byte in utf8 {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
      case 0..<0x20: bytes += "\\u00\(byte < 16 ? "0" : "")\(String(byte, radix: 16))".utf8
      default: bytes.append(byte)
      }
    }
    bytes.append(UInt8(ascii: "\""))
  }

  /// `text` in quotes.
  package static func quoted(_ text: String) -> String {
    var bytes: [UInt8] = []
    appendQuoted(text.utf8, to: &bytes)
    return String(decoding: bytes, as: UTF8.self)
  }
}
