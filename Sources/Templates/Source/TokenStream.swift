/// Tokens one after the other, with the questions that a parser asks.
struct TokenStream {
  private let tokens: [Token]
  private var at = 0

  init(_ tokens: [Token]) { self.tokens = tokens }

  var current: Token { tokens[at] }
  var line: Int { current.line }

  mutating func advance() { if at < tokens.count - 1 { at += 1 } }

  func isSymbol(_ symbol: String, ahead: Int = 0) -> Bool {
    at + ahead < tokens.count && tokens[at + ahead].kind == .symbol(symbol)
  }

  func isName(_ name: String, ahead: Int = 0) -> Bool {
    at + ahead < tokens.count && tokens[at + ahead].kind == .name(name)
  }

  mutating func skip(_ symbol: String) -> Bool {
    guard isSymbol(symbol) else { return false }
    advance()
    return true
  }

  mutating func skip(name: String) -> Bool {
    guard isName(name) else { return false }
    advance()
    return true
  }

  func fail(_ message: String) -> TemplateError { TemplateError(.syntax, line: line, message) }

  mutating func expect(_ symbol: String) throws(TemplateError) {
    guard skip(symbol) else { throw fail("“\(symbol)” must come where “\(current.description)” stands") }
  }

  mutating func expect(name: String) throws(TemplateError) {
    guard skip(name: name) else { throw fail("“\(name)” must come where “\(current.description)” stands") }
  }

  mutating func expect(_ kind: Token.Kind) throws(TemplateError) {
    guard current.kind == kind else { throw fail("“\(Token(kind: kind, line: 0).description)” must come where “\(current.description)” stands") }
    advance()
  }

  mutating func name() throws(TemplateError) -> String {
    guard case .name(let name) = current.kind else { throw fail("a name must come where “\(current.description)” stands") }
    advance()
    return name
  }
}
