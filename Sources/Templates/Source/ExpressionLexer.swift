/// Reads the tokens inside a tag: names, numbers, strings and operators.
struct ExpressionLexer {
  private let source: [Text.Character]
  private(set) var at: Int
  private(set) var line: Int
  /// The brackets that are open: a tag doesn't end inside one.
  private(set) var brackets: [String] = []

  init(_ source: [Text.Character], at: Int, line: Int) {
    self.source = source
    self.at = at
    self.line = line
  }

  private static let operators = [
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":", "|", ",", ";",
  ]
  private static let closing = ["(": ")", "[": "]", "{": "}"]

  mutating func skipSpace() {
    while let character = source.at(at), character.isSpace {
      if character == "\n" { line += 1 }
      at += 1
    }
  }

  private func fail(_ message: String) -> TemplateError { TemplateError(.syntax, line: line, message) }

  /// The next token; there is one.
  mutating func next() throws(TemplateError) -> Token {
    let first = source[at]
    if first.isDecimal, let number = try number() { return number }
    if first == "'" || first == "\"" { return try string(quote: first) }
    if let name = try name() { return name }
    for spelled in Self.operators where source[at...].starts(with: Text(spelled).characters) {
      at += spelled.utf8.count
      if let closing = Self.closing[spelled] {
        brackets.append(closing)
      } else if ["}", ")", "]"].contains(spelled) {
        guard let expected = brackets.popLast() else { throw fail("“\(spelled)” closes nothing") }
        guard expected == spelled else { throw fail("“\(spelled)” stands where “\(expected)” must close") }
      }
      return Token(kind: .symbol(spelled), line: line)
    }
    throw fail("“\(Text([first]).string)” doesn't belong into an expression")
  }

  private mutating func name() throws(TemplateError) -> Token? {
    var end = at
    while let scalar = source.at(end)?.scalar, scalar == "_" || scalar.properties.isXIDContinue { end += 1 }
    guard end > at else { return nil }
    guard let first = source[at].scalar, first == "_" || first.properties.isXIDStart else { throw fail("a name can't begin with “\(Text([source[at]]).string)”") }
    defer { at = end }
    return Token(kind: .name(Text(source[at..<end]).string), line: line)
  }

  /// Digits from `place` on, with single underscores between them; where they end.
  private func digits(_ place: Int, _ isDigit: (Text.Character) -> Bool = \.isASCIIDigit) -> Int? {
    guard let first = source.at(place), isDigit(first) else { return nil }
    var end = place + 1
    while let next = source.at(end) {
      if isDigit(next) {
        end += 1
      } else if next == "_", let after = source.at(end + 1), isDigit(after) {
        end += 2
      } else {
        break
      }
    }
    return end
  }

  private mutating func number() throws(TemplateError) -> Token? {
    let start = at
    guard let whole = digits(start) else { return nil }
    var end = whole
    // "a.1.5": what follows a point is a whole number.
    if start == 0 || source[start - 1] != "." {
      if source.at(end).map({ $0 == "." }) == true, let fraction = digits(end + 1) { end = fraction }
      if let e = source.at(end), e == "e" || e == "E" {
        let sign = source.at(end + 1).map { $0 == "+" || $0 == "-" } == true
        if let exponent = digits(end + (sign ? 2 : 1)) { end = exponent }
      }
    }
    func spelled(_ range: Range<Int>) -> String { Text(source[range]).string.filter { $0 != "_" } }
    if end > whole {
      guard let value = Double(spelled(start..<end)) else { return nil }
      at = end
      return Token(kind: .float(value), line: line)
    }
    var radix = 10
    var first = start
    if source[start] == "0" {
      end = start + 1
      let radixes: [(String, Int)] = [("bB", 2), ("oO", 8), ("xX", 16)]
      for (letters, base) in radixes where source.at(start + 1).map({ letter in letters.unicodeScalars.contains { letter == $0 } }) == true {
        func isDigit(_ character: Text.Character) -> Bool { character.scalar.flatMap { $0.isASCII ? Int(String($0), radix: base) : nil } != nil }
        let from = source.at(start + 2).map { $0 == "_" } == true ? start + 3 : start + 2
        if let rest = digits(from, isDigit) { (radix, first, end) = (base, from, rest) }
      }
      if radix == 10, let zeros = digits(start, { $0 == "0" }) { end = zeros }
    }
    guard let value = Int(spelled(first..<end), radix: radix) else { throw TemplateError(.unsupported, line: line, "a whole number beyond 64 bits") }
    at = end
    return Token(kind: .integer(value), line: line)
  }

  private mutating func string(quote: Text.Character) throws(TemplateError) -> Token {
    let start = line
    var end = at + 1
    while let character = source.at(end), character != quote { end += character == "\\" ? 2 : 1 }
    guard end < source.count else { throw fail("a string has no end") }
    let raw = Array(source[at + 1..<end])
    line += raw.count { $0 == "\n" }
    at = end + 1
    return Token(kind: .string(Text(try StringLiteral.unescape(raw, line: start))), line: start)
  }
}

extension Text.Character {
  fileprivate var isASCIIDigit: Bool { (0x30...0x39).contains(value) }
}
