/// Reads expressions, by the precedence that Jinja2's `parser.py` has.
struct ExpressionParser {
  var stream: TokenStream
  private var nesting = 0

  init(_ stream: TokenStream) { self.stream = stream }

  /// The most that an expression may be nested.
  static let maximumDepth = 60

  func node(_ node: Expression.Node, _ line: Int, _ children: Expression?...) throws(TemplateError) -> Expression {
    try self.node(node, line, of: children.compactMap(\.self))
  }

  func node(_ node: Expression.Node, _ line: Int, of children: [Expression]) throws(TemplateError) -> Expression {
    let depth = 1 + children.reduce(0) { max($0, $1.depth) }
    guard depth <= Self.maximumDepth else { throw TemplateError(.limit, line: line, "an expression is nested more than \(Self.maximumDepth) deep") }
    return Expression(node: node, line: line, depth: depth)
  }

  /// - Parameter conditions: whether `a if b else c` may come; not where an `if` of the statement follows.
  mutating func expression(conditions: Bool = true) throws(TemplateError) -> Expression {
    nesting += 1
    defer { nesting -= 1 }
    guard nesting <= Self.maximumDepth else { throw TemplateError(.limit, line: stream.line, "an expression is nested more than \(Self.maximumDepth) deep") }
    return conditions ? try condition() : try or()
  }

  private mutating func condition() throws(TemplateError) -> Expression {
    var line = stream.line
    var value = try or()
    while stream.skip(name: "if") {
      let test = try or()
      let otherwise = stream.skip(name: "else") ? try expression() : nil
      value = try node(.condition(test: test, value: value, otherwise: otherwise), line, test, value, otherwise)
      line = stream.line
    }
    return value
  }

  private mutating func or() throws(TemplateError) -> Expression {
    let line = stream.line
    var operands = [try and()]
    while stream.skip(name: "or") { operands.append(try and()) }
    return operands.count == 1 ? operands[0] : try node(.or(operands), line, of: operands)
  }

  private mutating func and() throws(TemplateError) -> Expression {
    let line = stream.line
    var operands = [try not()]
    while stream.skip(name: "and") { operands.append(try not()) }
    return operands.count == 1 ? operands[0] : try node(.and(operands), line, of: operands)
  }

  private mutating func not() throws(TemplateError) -> Expression {
    let line = stream.line
    guard stream.skip(name: "not") else { return try comparison() }
    nesting += 1
    defer { nesting -= 1 }
    guard nesting <= Self.maximumDepth else { throw TemplateError(.limit, line: line, "an expression is nested more than \(Self.maximumDepth) deep") }
    let operand = try not()
    return try node(.not(operand), line, operand)
  }

  private mutating func comparison() throws(TemplateError) -> Expression {
    let line = stream.line
    let first = try sum()
    var rest: [(Expression.Comparison, Expression)] = []
    while true {
      if case .symbol(let symbol) = stream.current.kind, let comparison = Expression.Comparison(rawValue: symbol) {
        stream.advance()
        rest.append((comparison, try sum()))
      } else if stream.skip(name: "in") {
        rest.append((.isIn, try sum()))
      } else if stream.isName("not"), stream.isName("in", ahead: 1) {
        stream.advance()
        stream.advance()
        rest.append((.notIn, try sum()))
      } else {
        break
      }
    }
    return rest.isEmpty ? first : try node(.comparison(first, rest), line, of: [first] + rest.map(\.1))
  }

  /// A row of operands with operators of one rank between them.
  private mutating func row(_ operators: [Arithmetic], _ operand: (inout Self) throws(TemplateError) -> Expression) throws(TemplateError) -> Expression {
    let line = stream.line
    let first = try operand(&self)
    var rest: [(operation: Arithmetic, operand: Expression)] = []
    while case .symbol(let symbol) = stream.current.kind, let operation = Arithmetic(rawValue: symbol), operators.contains(operation) {
      stream.advance()
      rest.append((operation, try operand(&self)))
    }
    return rest.isEmpty ? first : try node(.arithmetic(first, rest), line, of: [first] + rest.map(\.operand))
  }

  private mutating func sum() throws(TemplateError) -> Expression {
    try row([.add, .subtract]) { (parser) throws(TemplateError) in try parser.concatenation() }
  }

  private mutating func concatenation() throws(TemplateError) -> Expression {
    let line = stream.line
    var operands = [try product()]
    while stream.skip("~") { operands.append(try product()) }
    return operands.count == 1 ? operands[0] : try node(.concatenation(operands), line, of: operands)
  }

  private mutating func product() throws(TemplateError) -> Expression {
    try row([.multiply, .divide, .floorDivide, .modulo]) { (parser) throws(TemplateError) in
      try parser.row([.power]) { (parser) throws(TemplateError) in try parser.unary() }
    }
  }

  private mutating func unary(filters: Bool = true) throws(TemplateError) -> Expression {
    let line = stream.line
    var operand: Expression
    if stream.isSymbol("-") || stream.isSymbol("+") {
      let negative = stream.isSymbol("-")
      stream.advance()
      nesting += 1
      defer { nesting -= 1 }
      guard nesting <= Self.maximumDepth else { throw TemplateError(.limit, line: line, "an expression is nested more than \(Self.maximumDepth) deep") }
      let inner = try unary(filters: false)
      operand = try node(negative ? .negative(inner) : .positive(inner), line, inner)
    } else {
      operand = try primary()
    }
    operand = try postfix(operand)
    return filters ? try filtersAndTests(operand) : operand
  }

  mutating func primary() throws(TemplateError) -> Expression {
    let line = stream.line
    let token = stream.current
    switch token.kind {
    case .name(let name):
      stream.advance()
      switch name {
      case "true", "True": return try node(.constant(.boolean(true)), line)
      case "false", "False": return try node(.constant(.boolean(false)), line)
      case "none", "None": return try node(.constant(.none), line)
      default: return try node(.name(name), line)
      }
    case .string(let first):
      stream.advance()
      var text = first.characters
      while case .string(let next) = stream.current.kind {
        text += next.characters
        stream.advance()
      }
      return try node(.constant(.text(Text(text))), line)
    case .integer(let value):
      stream.advance()
      return try node(.constant(.integer(value)), line)
    case .float(let value):
      stream.advance()
      return try node(.constant(.number(value)), line)
    case .symbol("("):
      stream.advance()
      let inside = try tuple(inParentheses: true)
      try stream.expect(")")
      return inside
    case .symbol("["): return try list()
    case .symbol("{"): return try dictionary()
    default: throw stream.fail("an expression must come where “\(token.description)” stands")
    }
  }

  /// One expression, or several with commas between them: a tuple.
  mutating func tuple(conditions: Bool = true, inParentheses: Bool = false, endsAt word: String? = nil) throws(TemplateError) -> Expression {
    let line = stream.line
    var items: [Expression] = []
    var isTuple = false
    while true {
      if !items.isEmpty { try stream.expect(",") }
      if stream.current.kind == .endOutput || stream.current.kind == .endStatement || stream.isSymbol(")") || word.map({ stream.isName($0) }) == true { break }
      items.append(try expression(conditions: conditions))
      guard stream.isSymbol(",") else { break }
      isTuple = true
    }
    if !isTuple {
      if let only = items.first { return only }
      guard inParentheses else { throw stream.fail("an expression must come where “\(stream.current.description)” stands") }
    }
    return try node(.tuple(items), line, of: items)
  }

  private mutating func list() throws(TemplateError) -> Expression {
    let line = stream.line
    try stream.expect("[")
    var items: [Expression] = []
    while !stream.isSymbol("]") {
      if !items.isEmpty { try stream.expect(",") }
      if stream.isSymbol("]") { break }
      items.append(try expression())
    }
    try stream.expect("]")
    return try node(.list(items), line, of: items)
  }

  private mutating func dictionary() throws(TemplateError) -> Expression {
    let line = stream.line
    try stream.expect("{")
    var pairs: [(key: Expression, value: Expression)] = []
    while !stream.isSymbol("}") {
      if !pairs.isEmpty { try stream.expect(",") }
      if stream.isSymbol("}") { break }
      let key = try expression()
      try stream.expect(":")
      pairs.append((key, try expression()))
    }
    try stream.expect("}")
    return try node(.dictionary(pairs), line, of: pairs.flatMap { [$0.key, $0.value] })
  }
}
