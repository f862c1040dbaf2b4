/// Reads JSON in one pass over its bytes, strictly: what RFC 8259 doesn't allow is refused, by the byte.
///
/// For documents that somebody else wrote. Time is linear in their length, and memory what the caller makes of them: a safetensors header or a vocabulary
/// may have a hundred thousand entries, and Foundation's values of it would take thirty times its size.
package struct JSONReader {
  private let document: UnsafeBufferPointer<UInt8>
  private let replacesLoneSurrogates: Bool
  /// The byte that is next.
  package private(set) var at = 0
  private var depth = 0
  /// How many more values `value()` makes: each takes some 25 bytes and more, however short it is in the file.
  private var valuesLeft = 1 << 20
  private static let maxDepth = 64

  /// Reads a whole document.
  /// - Parameters:
  ///   - replacesLoneSurrogates: half of a surrogate pair in a string becomes U+FFFD, as in the `tokenizers` library. Elsewhere it is an error.
  ///   - body: must read the document's one value; nothing may follow it.
  package static func read<T>(
    _ document: [UInt8], replacesLoneSurrogates: Bool = false, _ body: (inout JSONReader) throws(JSONError) -> T
  ) throws(JSONError) -> T {
    // A closure that throws a typed error can't be passed through withUnsafeBufferPointer without losing its type.
    try document.withUnsafeBufferPointer { bytes in
      Result { () throws(JSONError) in
        var reader = JSONReader(document: bytes, replacesLoneSurrogates: replacesLoneSurrogates)
        let result = try body(&reader)
        if reader.peek() != nil { throw reader.error("more after the end of the document") }
        return result
      }
    }.get()
  }

  private init(document: UnsafeBufferPointer<UInt8>, replacesLoneSurrogates: Bool) {
    (self.document, self.replacesLoneSurrogates) = (document, replacesLoneSurrogates)
  }

  /// An error at the byte that is next.
  package func error(_ message: String) -> JSONError { JSONError(.malformed, byte: at, message) }

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
    guard byte == UInt8(ascii: expected) else {
      let found = 0x21..<0x7F ~= byte ? "“\(Unicode.Scalar(byte))”" : "the byte 0x\(String(byte, radix: 16))"
      throw error("\(found) where “\(expected)” should be")
    }
    at += 1
  }

  private mutating func takes(_ wanted: Unicode.Scalar) -> Bool {
    guard peek() == UInt8(ascii: wanted) else { return false }
    at += 1
    return true
  }

  // MARK: Objects and arrays

  /// Reads an object; `body` gets each key's bytes and must read its value.
  package mutating func object(_ body: (inout JSONReader, [UInt8]) throws(JSONError) -> Void) throws(JSONError) {
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

  /// The same, where a key that comes twice is an error. All of them are remembered, so this is for objects with few.
  package mutating func members(_ body: (inout JSONReader, String) throws(JSONError) -> Void) throws(JSONError) {
    var seen: Set<[UInt8]> = []
    try object { (reader, key) throws(JSONError) in
      let name = String(decoding: key, as: UTF8.self)
      guard seen.insert(key).inserted else { throw reader.error("a second “\(name.prefix(100))”") }
      try body(&reader, name)
    }
  }

  /// Reads an array; `body` must read each element.
  package mutating func array(_ body: (inout JSONReader) throws(JSONError) -> Void) throws(JSONError) {
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

  /// Whether an array is next.
  package var isAtArray: Bool {
    mutating get { peek() == UInt8(ascii: "[") }
  }

  // MARK: Strings

  /// Reads a string.
  package mutating func text() throws(JSONError) -> String {
    _ = peek()
    let start = at
    var bytes: [UInt8] = []
    try string(into: &bytes)
    return try text(bytes, from: start)
  }

  private mutating func text(_ bytes: [UInt8], from start: Int) throws(JSONError) -> String {
    guard let text = String(validating: bytes, as: UTF8.self) else {
      at = start
      throw error("a string that isn't UTF-8")
    }
    return text
  }

  /// Appends a string to `bytes` as it is: whether it is UTF-8 isn't looked at.
  package mutating func string(into bytes: inout [UInt8]) throws(JSONError) {
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
      case "u": bytes.append(contentsOf: UTF8.encode(try escapedScalar()) ?? UTF8.encodedReplacementCharacter)
      default: throw error("an unknown escape inside a string")
      }
    }
  }

  private mutating func escapedScalar() throws(JSONError) -> Unicode.Scalar {
    let unit = try hex()
    if let scalar = Unicode.Scalar(unit) { return scalar }
    if 0xD800...0xDBFF ~= unit, at + 1 < document.count, document[at] == UInt8(ascii: "\\"), document[at + 1] == UInt8(ascii: "u") {
      let before = at
      at += 2
      let low = try hex()
      if 0xDC00...0xDFFF ~= low, let scalar = Unicode.Scalar(0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00)) { return scalar }
      at = before
    }
    guard replacesLoneSurrogates else { throw error("half of a surrogate pair inside a string") }
    return "\u{FFFD}"
  }

  private mutating func hex() throws(JSONError) -> UInt32 {
    guard document.count - at >= 4, let value = UInt32(String(decoding: document[at..<at + 4], as: UTF8.self), radix: 16), document[at] != UInt8(ascii: "+")
    else { throw error("\\u without four hexadecimal digits") }
    at += 4
    return value
  }

  // MARK: Numbers and words

  /// Reads `null`, if it is next.
  package mutating func takesNull() -> Bool {
    guard peek() == UInt8(ascii: "n"), document.count - at >= 4, document[at..<at + 4].elementsEqual("null".utf8) else { return false }
    at += 4
    return true
  }

  /// Reads a whole number from 0 to `most`.
  /// - Parameter what: it is, for errors.
  package mutating func size(_ what: String, atMost most: Int = .max) throws(JSONError) -> Int {
    _ = peek()
    let start = at
    var value = 0
    while at < document.count, case let digit = document[at] &- UInt8(ascii: "0"), digit <= 9 {
      let (tens, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, carry) = tens.addingReportingOverflow(Int(digit))
      guard !overflow, !carry, sum <= most else { throw error("the \(what) is too large") }
      value = sum
      at += 1
    }
    guard at > start, at == start + 1 || document[start] != UInt8(ascii: "0"), at == document.count || !Self.isWordByte(document[at]) else {
      at = start
      throw error("no \(what) where one should be")
    }
    return value
  }

  /// Passes over any value, and makes nothing of it.
  package mutating func skip() throws(JSONError) {
    switch peek() {
    case UInt8(ascii: "{"): try object { (reader, _) throws(JSONError) in try reader.skip() }
    case UInt8(ascii: "["): try array { (reader) throws(JSONError) in try reader.skip() }
    case UInt8(ascii: "\""):
      var bytes: [UInt8] = []
      try string(into: &bytes)
    default: _ = try literal()
    }
  }

  /// Reads any value.
  /// - Throws: also where an object has two different values under one key, which names both: other readers take one of them in silence.
  package mutating func value() throws(JSONError) -> JSONValue {
    valuesLeft -= 1
    guard valuesLeft >= 0 else { throw error("more values than any description has") }
    switch peek() {
    case UInt8(ascii: "{"):
      var members: [String: JSONValue] = [:]
      try object { (reader, key) throws(JSONError) in
        let start = reader.at
        let name = try reader.text(key, from: start)
        let value = try reader.value()
        guard let first = members.updateValue(value, forKey: name), !first.isSame(as: value) else { return }
        throw JSONError(.contradiction, byte: start, "says \(JSONText.quoted(String(name.prefix(100)))) twice, \(first.brief) and \(value.brief)")
      }
      return .object(members)
    case UInt8(ascii: "["):
      var elements: [JSONValue] = []
      try array { (reader) throws(JSONError) in elements.append(try reader.value()) }
      return .array(elements)
    case UInt8(ascii: "\""): return .text(try text())
    default: return try literal()
    }
  }

  /// A number, `true`, `false` or `null`.
  private mutating func literal() throws(JSONError) -> JSONValue {
    guard peek() != nil else { throw error("the file ends where a value should be") }
    let start = at
    while at < document.count, Self.isWordByte(document[at]) { at += 1 }
    let word = String(decoding: document[start..<at], as: UTF8.self)
    switch word {
    case "true": return .bool(true)
    case "false": return .bool(false)
    case "null": return .null
    default:
      if Self.isNumber(word.utf8) {
        if let integer = Int(word) { return .integer(integer) }
        if let number = Double(word), number.isFinite { return .number(number) }
        at = start
        throw error("the number \(word.prefix(20)) is too large")
      }
      at = start
      throw error("“\(word.prefix(20))” where a value should be")
    }
  }

  /// Whether JSON writes numbers so: a sign, digits without leading zeros, a fraction, an exponent.
  private static func isNumber(_ word: String.UTF8View) -> Bool {
    var rest = word[...]
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

  private static func isWordByte(_ byte: UInt8) -> Bool {
    switch Unicode.Scalar(byte) {
    case "a"..."z", "A"..."Z", "0"..."9", "+", "-", ".": true
    default: false
    }
  }
}

