/// Reads JSON in one pass over its bytes.
///
/// A tokenizer.json is one object with a hundred thousand keys; decoding it into Foundation's values takes longer than loading the model.
struct JSONReader {
  private let text: UnsafeBufferPointer<UInt8>
  private let file: String
  private(set) var at = 0
  private var depth = 0
  /// How many more values `value()` makes: each takes some 25 bytes and more, however short it is in the file.
  private var valuesLeft = 1 << 20
  private static let maxDepth = 64

  init(_ text: UnsafeBufferPointer<UInt8>, file: String) {
    self.text = text
    self.file = file
  }

  func error(_ message: String, reason: VocabularyError.Reason = .corrupt) -> VocabularyError {
    VocabularyError(reason, in: file, "byte \(at): \(message)")
  }

  /// The next byte that isn't white space; nil at the end.
  private mutating func peek() -> UInt8? {
    while at < text.count, [0x20, 0x0A, 0x0D, 0x09].contains(text[at]) { at += 1 }
    return at < text.count ? text[at] : nil
  }

  private mutating func take(_ expected: Unicode.Scalar) throws(VocabularyError) {
    guard let byte = peek() else { throw error("the file ends where “\(expected)” should be") }
    guard byte == UInt8(ascii: expected) else { throw error("“\(Unicode.Scalar(byte))” where “\(expected)” should be") }
    at += 1
  }

  private mutating func takes(_ wanted: Unicode.Scalar) -> Bool {
    guard peek() == UInt8(ascii: wanted) else { return false }
    at += 1
    return true
  }

  /// Nothing may follow the document.
  mutating func finish() throws(VocabularyError) {
    if peek() != nil { throw error("more after the end of the document") }
  }

  /// Reads an object; `body` gets each key's bytes and must read its value.
  mutating func object(_ body: (inout JSONReader, [UInt8]) throws(VocabularyError) -> Void) throws(VocabularyError) {
    try enter("{")
    var key: [UInt8] = []
    if !takes("}") {
      repeat {
        key.removeAll(keepingCapacity: true)
        try string(into: &key)
        try take(":")
        try body(&self, key)
      } while takes(",")
      try take("}")
    }
    depth -= 1
  }

  /// Reads an array; `body` must read each element.
  mutating func array(_ body: (inout JSONReader) throws(VocabularyError) -> Void) throws(VocabularyError) {
    try enter("[")
    if !takes("]") {
      repeat { try body(&self) } while takes(",")
      try take("]")
    }
    depth -= 1
  }

  private mutating func enter(_ bracket: Unicode.Scalar) throws(VocabularyError) {
    try take(bracket)
    depth += 1
    if depth > Self.maxDepth { throw error("nested more than \(Self.maxDepth) deep") }
  }

  var isAtArray: Bool {
    mutating get { peek() == UInt8(ascii: "[") }
  }

  /// Appends the UTF-8 of a string to `bytes`. A lone surrogate becomes U+FFFD.
  mutating func string(into bytes: inout [UInt8]) throws(VocabularyError) {
    try take("\"")
    while true {
      let start = at
      while at < text.count, text[at] != UInt8(ascii: "\""), text[at] != UInt8(ascii: "\\"), text[at] >= 0x20 { at += 1 }
      bytes.append(contentsOf: text[start..<at])
      guard at < text.count else { throw error("the file ends inside a string") }
      guard text[at] >= 0x20 else { throw error("a control character inside a string") }
      at += 1
      if text[at - 1] == UInt8(ascii: "\"") { return }
      guard at < text.count else { throw error("the file ends inside a string") }
      at += 1
      switch Unicode.Scalar(text[at - 1]) {
      case "\"", "\\", "/": bytes.append(text[at - 1])
      case "b": bytes.append(0x08)
      case "f": bytes.append(0x0C)
      case "n": bytes.append(0x0A)
      case "r": bytes.append(0x0D)
      case "t": bytes.append(0x09)
      case "u": bytes.append(contentsOf: UTF8.encode(try escapedScalar()) ?? UTF8.encodedReplacementCharacter)
      default: throw error("an unknown escape inside a string")
      }
    }
  }

  private mutating func escapedScalar() throws(VocabularyError) -> Unicode.Scalar {
    let unit = try hex()
    if 0xD800...0xDBFF ~= unit, at + 1 < text.count, text[at] == UInt8(ascii: "\\"), text[at + 1] == UInt8(ascii: "u") {
      let before = at
      at += 2
      let low = try hex()
      if 0xDC00...0xDFFF ~= low { return Unicode.Scalar(0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00)) ?? "\u{FFFD}" }
      at = before
    }
    return Unicode.Scalar(unit) ?? "\u{FFFD}"
  }

  private mutating func hex() throws(VocabularyError) -> UInt32 {
    guard text.count - at >= 4, let value = UInt32(String(decoding: text[at..<at + 4], as: UTF8.self), radix: 16), text[at] != UInt8(ascii: "+")
    else { throw error("\\u without four hexadecimal digits") }
    at += 4
    return value
  }

  /// Reads a number that must be an id: 0 or more, and no larger than 32 bits hold.
  mutating func id() throws(VocabularyError) -> Int {
    _ = peek()
    let start = at
    var value = 0
    while at < text.count, case 0...9 = text[at] &- UInt8(ascii: "0") {
      value = value * 10 + Int(text[at] - UInt8(ascii: "0"))
      guard value <= Int(Int32.max) else { throw error("an id that is too large") }
      at += 1
    }
    guard at > start else { throw error("no id where one should be") }
    return value
  }

  /// Reads any value.
  mutating func value() throws(VocabularyError) -> ParsedJSON {
    valuesLeft -= 1
    guard valuesLeft >= 0 else { throw error("more values than any description has") }
    switch peek() {
    case nil: throw error("the file ends where a value should be")
    case UInt8(ascii: "{"):
      var members: [String: ParsedJSON] = [:]
      try object { (reader, key) throws(VocabularyError) in members[String(decoding: key, as: UTF8.self)] = try reader.value() }
      return .object(members)
    case UInt8(ascii: "["):
      var elements: [ParsedJSON] = []
      try array { (reader) throws(VocabularyError) in elements.append(try reader.value()) }
      return .array(elements)
    case UInt8(ascii: "\""):
      var bytes: [UInt8] = []
      try string(into: &bytes)
      return .string(String(decoding: bytes, as: UTF8.self))
    default:
      let start = at
      while at < text.count, isWordByte(text[at]) { at += 1 }
      switch String(decoding: text[start..<at], as: UTF8.self) {
      case "true": return .bool(true)
      case "false": return .bool(false)
      case "null": return .null
      case let word:
        guard let number = Double(word), number.isFinite else { throw error("“\(word.prefix(20))” where a value should be") }
        return .number(number)
      }
    }
  }

  private func isWordByte(_ byte: UInt8) -> Bool {
    switch Unicode.Scalar(byte) {
    case "a"..."z", "A"..."Z", "0"..."9", "+", "-", ".": true
    default: false
    }
  }
}

/// Any JSON value; for the small parts of a document.
enum ParsedJSON: Equatable {
  case null
  case bool(Bool)
  case number(Double)
  case string(String)
  case array([ParsedJSON])
  case object([String: ParsedJSON])

  subscript(key: String) -> ParsedJSON? {
    if case .object(let members) = self { members[key] } else { nil }
  }
  var keys: [String] { if case .object(let members) = self { Array(members.keys) } else { [] } }
  var string: String? { if case .string(let value) = self { value } else { nil } }
  var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  var id: Int? { if case .number(let value) = self { Int(exactly: value) } else { nil } }
  var elements: [ParsedJSON] { if case .array(let values) = self { values } else { [] } }
  var isNull: Bool { self == .null }
}
