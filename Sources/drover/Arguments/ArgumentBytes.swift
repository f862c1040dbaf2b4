/// Arguments on their way through the parser, which takes text: what isn't text, and what would forge a line of a message, stands for itself as a character
/// of Unicode's private use, U+10FE00 plus the byte.
enum ArgumentBytes {
  private static let base: UInt32 = 0x10FE00

  /// Nothing is lost: `bytes(of:)` is its inverse.
  static func text(of bytes: [UInt8]) -> String {
    var text = String.UnicodeScalarView()
    var rest = bytes[...]
    func append(raw count: Int) {
      text.append(contentsOf: rest.prefix(count).compactMap { Unicode.Scalar(base + UInt32($0)) })
      rest = rest.dropFirst(count)
    }
    while let first = rest.first {
      // The bytes of one character, if they are one.
      let count = first < 0x80 ? 1 : first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2
      guard first >= 0x20, first != 0x7F, let scalar = String(validating: rest.prefix(count), as: UTF8.self)?.unicodeScalars.first else {
        append(raw: 1)
        continue
      }
      if isRaw(scalar) { append(raw: count) } else {
        text.append(scalar)
        rest = rest.dropFirst(count)
      }
    }
    return String(text)
  }

  static func bytes(of text: String) -> [UInt8] {
    text.unicodeScalars.flatMap { isRaw($0) ? [UInt8($0.value - base)] : Array(UTF8.encode($0) ?? UTF8.encodedReplacementCharacter) }
  }

  /// A message in which such an argument may be quoted, for people: `\xE8` for the byte.
  static func shown(_ message: String) -> String {
    guard hasRaw(message) else { return message }
    return message.unicodeScalars.map { isRaw($0) ? "\\x" + hex($0.value - base) : String($0) }.joined()
  }

  static func hasRaw(_ text: String) -> Bool { text.unicodeScalars.contains(where: isRaw) }

  private static func isRaw(_ scalar: Unicode.Scalar) -> Bool { base...base + 0xFF ~= scalar.value }

  private static func hex(_ byte: UInt32) -> String { (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true) }
}
