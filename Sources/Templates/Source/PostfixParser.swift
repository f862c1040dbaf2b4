/// What can follow an operand: attributes, items, slices, calls, filters and tests.
extension ExpressionParser {
  mutating func postfix(_ operand: Expression) throws(TemplateError) -> Expression {
    var operand = operand
    while true {
      if stream.isSymbol(".") {
        operand = try attribute(operand)
      } else if stream.isSymbol("[") {
        operand = try subscripted(operand)
      } else if stream.isSymbol("(") {
        operand = try call(operand)
      } else {
        return operand
      }
    }
  }

  mutating func filtersAndTests(_ operand: Expression) throws(TemplateError) -> Expression {
    var operand = operand
    while true {
      if stream.isSymbol("|") {
        operand = try filter(operand)
      } else if stream.isName("is") {
        operand = try test(operand)
      } else if stream.isSymbol("(") {
        operand = try call(operand)
      } else {
        return operand
      }
    }
  }

  private mutating func attribute(_ operand: Expression) throws(TemplateError) -> Expression {
    let line = stream.line
    try stream.expect(".")
    if case .integer(let index) = stream.current.kind {
      stream.advance()
      return try node(.item(operand, try node(.constant(.integer(index)), line)), line, operand)
    }
    return try node(.attribute(operand, try stream.name()), line, operand)
  }

  private mutating func subscripted(_ operand: Expression) throws(TemplateError) -> Expression {
    let line = stream.line
    try stream.expect("[")
    func isEnd() -> Bool { stream.isSymbol(":") || stream.isSymbol("]") || stream.isSymbol(",") }
    let from = isEnd() ? nil : try expression()
    if stream.skip(":") {
      let to = isEnd() ? nil : try expression()
      let step = stream.skip(":") && !isEnd() ? try expression() : nil
      guard !stream.isSymbol(",") else { throw TemplateError(.unsupported, line: line, "several slices in one pair of brackets") }
      try stream.expect("]")
      return try node(.slice(operand, from: from, to: to, step: step), line, operand, from, to, step)
    }
    guard let from else {
      throw stream.fail("an expression must come where “\(stream.current.description)” stands")
    }
    var items = [from]
    while stream.skip(",") {
      items.append(try expression())
      guard !stream.isSymbol(":") else { throw TemplateError(.unsupported, line: line, "several slices in one pair of brackets") }
    }
    try stream.expect("]")
    let index = items.count == 1 ? from : try node(.tuple(items), line, of: items)
    return try node(.item(operand, index), line, operand, index)
  }

  mutating func call(_ operand: Expression) throws(TemplateError) -> Expression {
    let line = stream.line
    let arguments = try self.arguments()
    return try node(.call(operand, arguments), line, of: [operand] + arguments.all)
  }

  private mutating func arguments() throws(TemplateError) -> Arguments {
    try stream.expect("(")
    var arguments = Arguments()
    var isFirst = true
    func ensure(_ holds: Bool) throws(TemplateError) { if !holds { throw stream.fail("these arguments of a call stand in an order that Python doesn't have") } }
    while !stream.isSymbol(")") {
      if !isFirst {
        try stream.expect(",")
        if stream.isSymbol(")") { break }
      }
      isFirst = false
      if stream.skip("*") {
        try ensure(arguments.rest == nil && arguments.namedRest == nil)
        arguments.rest = try expression()
      } else if stream.skip("**") {
        try ensure(arguments.namedRest == nil)
        arguments.namedRest = try expression()
      } else if case .name(let name) = stream.current.kind, stream.isSymbol("=", ahead: 1) {
        try ensure(arguments.namedRest == nil && !arguments.named.contains { $0.name == name })
        stream.advance()
        stream.advance()
        arguments.named.append((name, try expression()))
      } else {
        try ensure(arguments.rest == nil && arguments.namedRest == nil && arguments.named.isEmpty)
        arguments.positional.append(try expression())
      }
    }
    try stream.expect(")")
    return arguments
  }

  /// A filter's or test's name, which may have points in it.
  private mutating func dottedName() throws(TemplateError) -> String {
    var name = try stream.name()
    while stream.skip(".") { name += "." + (try stream.name()) }
    return name
  }

  /// - Parameter operand: nil where a block is filtered.
  /// - Parameter afterBar: whether the `|` has been read.
  mutating func filter(_ operand: Expression?, afterBar: Bool = false) throws(TemplateError) -> Expression {
    if !afterBar { try stream.expect("|") }
    let line = stream.line
    let name = try dottedName()
    let arguments = stream.isSymbol("(") ? try self.arguments() : Arguments()
    return try node(.filter(operand, name, arguments), line, of: [operand].compactMap(\.self) + arguments.all)
  }

  private mutating func test(_ operand: Expression) throws(TemplateError) -> Expression {
    let line = stream.line
    try stream.expect(name: "is")
    let isNegated = stream.skip(name: "not")
    let name = try dottedName()
    var arguments = Arguments()
    if stream.isSymbol("(") {
      arguments = try self.arguments()
    } else if beginsArgument {
      guard !stream.isName("is") else { throw stream.fail("one “is” can't follow another") }
      arguments.positional = [try postfix(try primary())]
    }
    let test = try node(.test(operand, name, arguments), line, of: [operand] + arguments.all)
    return isNegated ? try node(.not(test), line, test) : test
  }

  /// Whether a test's argument stands here without parentheses.
  private var beginsArgument: Bool {
    switch stream.current.kind {
    case .name(let name): name != "else" && name != "or" && name != "and"
    case .string, .integer, .float: true
    case .symbol(let symbol): symbol == "[" || symbol == "{"
    default: false
    }
  }
}
