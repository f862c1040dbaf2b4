/// Reads JSON in one pass over its bytes, strictly: what RFC 8259 doesn't allow is refused, by the byte.
///
/// For long documents: a safetensors header may have a hundred thousand entries, and decoding it into Foundation's values takes thirty times its size in
/// memory. What isn't asked for is passed over.
struct JSONScanner {
  private let document: UnsafeBufferPointer<UInt8>
  private(set) var at = 0
  private var depth = 0
  private static let maxDepth = 64

  init(_ document: UnsafeBufferPointer<UInt8>) { self.document = document }

  func error(_ message: String) -> JSONError { JSONError(byte: at, message: message) }

  /// The next byte that isn't white space; nil at the end.
  private mutating func peek() -> UInt8? {
    while at < document.count {
      switch document[at] {
      case 0x20, 0x0A, 0x0D, 0x09: at += 1
      case let byte: return byte
      }
    }
    return nil
  }

  private mutating func take(_ expected: Unicode.Scalar) throws(JSONError) {
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
  mutating func finish() throws(JSONError) {
    if peek() != nil { throw error("more after the end of the document") }
  }

  /// Reads an object; `body` gets each key's bytes and must read its value.
  mutating func object(_ body: (inout JSONScanner, [UInt8]) throws(JSONError) -> Void) throws(JSONError) {
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
  mutating func array(_ body: (inout JSONScanner) throws(JSONError) -> Void) throws(JSONError) {
    try enter("[")
    if !takes("]") {
      repeat { try body(&self) } while takes(",")
      try take("]")
    }
    depth -= 1
  }

  private mutating func enter(_ bracket: Unicode.Scalar) throws(JSONError) {
    try take(bracket)
    depth += 1
    if depth > Self.maxDepth { throw error("nested more than \(Self.maxDepth) deep") }
  }

  /// Reads `null`, if it is next.
  mutating func takesNull() -> Bool {
    guard peek() == UInt8(ascii: "n"), document.count - at >= 4, document[at..<at + 4].elementsEqual("null".utf8) else { return false }
    at += 4
    return true
  }

  /// Reads a string.
  mutating func text() throws(JSONError) -> String {
    let start = at
    var bytes: [UInt8] = []
    try string(into: &bytes)
    guard let text = String(validating: bytes, as: UTF8.self) else {
      at = start
      throw error("a string that isn't UTF-8")
    }
    return text
  }

  /// Appends a string to `bytes` as it is: whether it is UTF-8 isn't looked at.
  private mutating func string(into bytes: inout [UInt8]) throws(JSONError) {
    try take("\"")
    while true {
      let start = at
      while at < document.count, document[at] != UInt8(ascii: "\""), document[at] != UInt8(ascii: "\\"), document[at] >= 0x20 { at += 1 }
      bytes.append(contentsOf: document[start..<at])
      guard at < document.count else { throw error("the file ends inside a string") }
      guard document[at] >= 0x20 else { throw error("a control character inside a string") }
      at += 1
      if document[at - 1] == UInt8(ascii: "\"") { return }
      guard at < document.count else { throw error("the file ends inside a string") }
      at += 1
      switch Unicode.Scalar(document[at - 1]) {
      case "\"", "\\", "/": bytes.append(document[at - 1])
      case "b": bytes.append(0x08)
      case "f": bytes.append(0x0C)
      case "n": bytes.append(0x0A)
      case "r": bytes.append(0x0D)
      case "t": bytes.append(0x09)
      case "u": bytes.append(contentsOf: String(Character(try escapedScalar())).utf8)
      default: throw error("an unknown escape inside a string")
      }
    }
  }

  private mutating func escapedScalar() throws(JSONError) -> Unicode.Scalar {
    let unit = try hex()
    if let scalar = Unicode.Scalar(unit) { return scalar }
    if 0xD800...0xDBFF ~= unit, at + 1 < document.count, document[at] == UInt8(ascii: "\\"), document[at + 1] == UInt8(ascii: "u") {
      at += 2
      let low = try hex()
      if 0xDC00...0xDFFF ~= low, let scalar = Unicode.Scalar(0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00)) { return scalar }
    }
    throw error("half of a surrogate pair inside a string")
  }

  private mutating func hex() throws(JSONError) -> UInt32 {
    guard document.count - at >= 4, let value = UInt32(String(decoding: document[at..<at + 4], as: UTF8.self), radix: 16), document[at] != UInt8(ascii: "+")
    else { throw error("\\u without four hexadecimal digits") }
    at += 4
    return value
  }

  /// Reads a whole number, 0 or more, that an `Int` holds.
  /// - Parameter what: it is, for errors.
  mutating func size(_ what: String) throws(JSONError) -> Int {
    _ = peek()
    let start = at
    var value = 0
    while at < document.count, case let digit = document[at] &- UInt8(ascii: "0"), digit <= 9 {
      let (tens, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, carry) = tens.addingReportingOverflow(Int(digit))
      guard !overflow, !carry else { throw error("the \(what) is too large") }
      value = sum
      at += 1
    }
    guard at > start, at == start + 1 || document[start] != UInt8(ascii: "0"), at == document.count || !isWordByte(document[at]) else {
      at = start
      throw error("no \(what) where one should be")
    }
    return value
  }

  /// Passes over any value, and makes nothing of it.
  mutating func skip() throws(JSONError) {
    switch peek() {
    case UInt8(ascii: "{"): try object { (reader, _) throws(JSONError) in try reader.skip() }
    case UInt8(ascii: "["): try array { (reader) throws(JSONError) in try reader.skip() }
    case UInt8(ascii: "\""):
      var bytes: [UInt8] = []
      try string(into: &bytes)
    default: try skipLiteral()
    }
  }

  private mutating func skipLiteral() throws(JSONError) {
    guard peek() != nil else { throw error("the file ends where a value should be") }
    let start = at
    while at < document.count, isWordByte(document[at]) { at += 1 }
    let word = document[start..<at]
    guard ["true", "false", "null"].contains(where: { word.elementsEqual($0.utf8) }) || isNumber(word) else {
      at = start
      throw error("“\(String(decoding: word.prefix(20), as: UTF8.self))” where a value should be")
    }
  }

  /// Whether JSON writes numbers so: a sign, digits without leading zeros, a fraction, an exponent.
  private func isNumber(_ word: Slice<UnsafeBufferPointer<UInt8>>) -> Bool {
    var rest = word
    func isDigit(_ byte: UInt8) -> Bool { UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte }
    func digits() -> Int {
      let count = rest.prefix(while: isDigit).count
      rest = rest.dropFirst(count)
      return count
    }
    if rest.first == UInt8(ascii: "-") { rest = rest.dropFirst() }
    let leads = rest.first == UInt8(ascii: "0")
    let whole = digits()
    guard whole > 0, whole == 1 || !leads else { return false }
    if rest.first == UInt8(ascii: ".") {
      rest = rest.dropFirst()
      guard digits() > 0 else { return false }
    }
    if rest.first == UInt8(ascii: "e") || rest.first == UInt8(ascii: "E") {
      rest = rest.dropFirst()
      if rest.first == UInt8(ascii: "+") || rest.first == UInt8(ascii: "-") { rest = rest.dropFirst() }
      guard digits() > 0 else { return false }
    }
    return rest.isEmpty
  }

  private func isWordByte(_ byte: UInt8) -> Bool {
    switch Unicode.Scalar(byte) {
    case "a"..."z", "A"..."Z", "0"..."9", "+", "-", ".": true
    default: false
    }
  }
}

/// Where a document isn't JSON, or isn't what was expected, and why.
struct JSONError: Error, Equatable {
  /// Of the document, from 0.
  let byte: Int
  /// A phrase.
  let message: String

  init(byte: Int, message: String) { (self.byte, self.message) = (byte, message) }
}
