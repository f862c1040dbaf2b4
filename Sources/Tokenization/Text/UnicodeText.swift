import CUTF8Proc
import Glibc

/// What Unicode says about text, by utf8proc. All text here is well-formed UTF-8.
enum UnicodeText {
  /// Unicode's normalization forms (UAX #15).
  enum Form: String, Sendable {
    case nfc = "NFC"
    case nfd = "NFD"
    case nfkc = "NFKC"
    case nfkd = "NFKD"

    fileprivate var options: utf8proc_option_t {
      let (compose, decompose) = (UTF8PROC_COMPOSE.rawValue, UTF8PROC_DECOMPOSE.rawValue)
      return utf8proc_option_t(
        rawValue: UTF8PROC_STABLE.rawValue
          | {
            switch self {
            case .nfc: compose
            case .nfd: decompose
            case .nfkc: compose | UTF8PROC_COMPAT.rawValue
            case .nfkd: decompose | UTF8PROC_COMPAT.rawValue
            }
          }())
    }
  }

  /// The text as `tokenizers` normalizes it: its tables (unicode-normalization-alignments) are those of Unicode 9, so that what came later stays as it is, and nothing composes or moves
  /// across it. Unicode never changes what the characters of a version become, so the version that utf8proc knows makes no difference.
  ///
  /// - Returns: nil when there is no memory for it.
  static func normalized(_ text: [UInt8], _ form: Form) -> [UInt8]? {
    if text.allSatisfy({ $0 < 0x80 }) { return text }
    var result: [UInt8] = []
    result.reserveCapacity(text.count)
    var known = 0
    var at = 0
    for scalar in String(decoding: text, as: UTF8.self).unicodeScalars {
      let end = at + scalar.utf8.count
      if let age = scalar.properties.age, age.major > 9 {
        guard append(text[known..<at], form, to: &result) else { return nil }
        result += text[at..<end]
        known = end
      }
      at = end
    }
    return append(text[known...], form, to: &result) ? result : nil
  }

  /// - Returns: false when there is no memory for it.
  private static func append(_ text: ArraySlice<UInt8>, _ form: Form, to result: inout [UInt8]) -> Bool {
    guard !text.isEmpty else { return true }
    var normalized: UnsafeMutablePointer<UInt8>?
    let count = text.withUnsafeBufferPointer { utf8proc_map($0.baseAddress, $0.count, &normalized, form.options) }
    defer { free(normalized) }
    guard count >= 0, let normalized else { return false }
    result += UnsafeBufferPointer(start: normalized, count: count)
    return true
  }

  /// Each character's lower case, whatever its neighbours are, as Rust's `char::to_lowercase`.
  static func lowercased(_ text: [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(text.count)
    for scalar in String(decoding: text, as: UTF8.self).unicodeScalars {
      // The only one that becomes two: SpecialCasing.txt.
      if scalar.value == 0x130 { result += "i\u{307}".utf8; continue }
      let lower = UInt32(bitPattern: utf8proc_tolower(Int32(bitPattern: scalar.value)))
      result += UTF8.encode(Unicode.Scalar(lower) ?? scalar).map { Array($0) } ?? []
    }
    return result
  }

  /// Calls `body` with the bytes of each extended grapheme cluster (UAX #29).
  static func forEachGrapheme(_ text: UnsafeBufferPointer<UInt8>, _ body: (Range<Int>) -> Void) {
    var state: Int32 = 0
    var start = 0
    var at = 0
    var before: Int32?
    while at < text.count, let (value, length) = UTF8Scan.scalar(text, at: at, end: text.count) {
      let scalar = Int32(bitPattern: value)
      if let before, utf8proc_grapheme_break_stateful(before, scalar, &state) {
        body(start..<at)
        start = at
      }
      before = scalar
      at += length
    }
    if start < text.count { body(start..<text.count) }
  }

  /// White_Space.
  static func isSpace(_ scalar: UInt32) -> Bool {
    switch scalar {
    case 0x09...0x0D, 0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000: true
    default: false
    }
  }

  /// `\w` of Unicode's regular expressions (UTS #18): alphabetic, marks, decimal digits, connectors and joiners.
  static func isWord(_ scalar: UInt32) -> Bool {
    guard let scalar = Unicode.Scalar(scalar) else { return false }
    let properties = scalar.properties
    if properties.isAlphabetic || properties.isJoinControl { return true }
    switch properties.generalCategory {
    case .nonspacingMark, .spacingMark, .enclosingMark, .decimalNumber, .connectorPunctuation: return true
    default: return false
    }
  }

  /// `\p{N}`.
  static func isNumber(_ scalar: UInt32) -> Bool {
    switch Unicode.Scalar(scalar)?.properties.generalCategory {
    case .decimalNumber, .letterNumber, .otherNumber: true
    default: false
    }
  }

  /// Bytes of white space at the start, or at the end.
  static func leadingSpace(_ text: UnsafeBufferPointer<UInt8>) -> Int {
    var at = 0
    while at < text.count, let (value, length) = UTF8Scan.scalar(text, at: at, end: text.count), isSpace(value) { at += length }
    return at
  }

  static func trailingSpace(_ text: UnsafeBufferPointer<UInt8>) -> Int {
    var end = text.count
    while let (value, start) = lastScalar(text, end), isSpace(value) { end = start }
    return text.count - end
  }

  /// The scalar that ends before `end`, and where it begins.
  static func lastScalar(_ text: UnsafeBufferPointer<UInt8>, _ end: Int) -> (value: UInt32, start: Int)? {
    guard end > 0 else { return nil }
    var start = end - 1
    while start > 0, text[start] & 0xC0 == 0x80 { start -= 1 }
    return UTF8Scan.scalar(text, at: start, end: end).map { ($0.value, start) }
  }

  /// The bytes as well-formed UTF-8: what is malformed becomes U+FFFD.
  static func wellFormed(_ bytes: UnsafeBufferPointer<UInt8>) -> [UInt8] { Array(String(decoding: bytes, as: UTF8.self).utf8) }
}
