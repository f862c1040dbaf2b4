/// UTF-8 read one scalar at a time, for text that may be malformed.
enum UTF8Scan {
  /// The well-formed sequence that starts at `at` (Unicode, table 3-7).
  ///
  /// - Returns: nil when there is none; otherwise the scalar and its 1 to 4 bytes.
  @inline(__always)
  static func scalar(_ text: UnsafeBufferPointer<UInt8>, at: Int, end: Int) -> (value: UInt32, length: Int)? {
    let first = text[at]
    if first < 0x80 { return (UInt32(first), 1) }
    let length = expectedLength(first)
    guard length > 1, end - at >= length, isSecond(text[at + 1], after: first) else { return nil }
    var value = (UInt32(first) & (0x7F >> UInt32(length))) << 6 | UInt32(text[at + 1] & 0x3F)
    for byte in text[at + 2..<at + length] {
      guard byte & 0xC0 == 0x80 else { return nil }
      value = value << 6 | UInt32(byte & 0x3F)
    }
    return (value, length)
  }

  /// Bytes of a sequence that starts with `first`; 0 when none does.
  static func expectedLength(_ first: UInt8) -> Int {
    switch first {
    case 0..<0x80: 1
    case 0xC2...0xDF: 2
    case 0xE0...0xEF: 3
    case 0xF0...0xF4: 4
    default: 0
    }
  }

  /// Whether `byte` may follow `first`: no overlong forms, no surrogates, nothing past U+10FFFF.
  static func isSecond(_ byte: UInt8, after first: UInt8) -> Bool {
    switch first {
    case 0xE0: 0xA0...0xBF ~= byte
    case 0xED: 0x80...0x9F ~= byte
    case 0xF0: 0x90...0xBF ~= byte
    case 0xF4: 0x80...0x8F ~= byte
    default: 0x80...0xBF ~= byte
    }
  }

  /// How many bytes at the end of `bytes` could become a scalar with more bytes to come: 0 to 3.
  static func incompleteSuffix(_ bytes: some BidirectionalCollection<UInt8>) -> Int {
    var tail: [UInt8] = []
    for byte in bytes.reversed().prefix(3) {
      tail.insert(byte, at: 0)
      if byte & 0xC0 == 0x80 { continue }
      let whole = expectedLength(byte)
      return whole > tail.count && (tail.count == 1 || isSecond(tail[1], after: byte)) ? tail.count : 0
    }
    return 0
  }
}
