/// Reads a template's statements. Source: Jinja2's `parser.py`, with the loop controls and `{% generation %}` of transformers.
struct StatementParser {
  private var expressions: ExpressionParser
  private var nesting = 0
  /// How many loops are open in this macro or call block: `break` needs one.
  private var loops = 0

  /// The most that blocks may be nested.
  static let maximumDepth = 40

  private var stream: TokenStream {
    get { expressions.stream }
    _modify { yield &expressions.stream }
  }

  /// - Throws: `.syntax`, `.unsupported` or `.limit`.
  static func parse(_ source: String) throws(TemplateError) -> [Statement] {
    var parser = StatementParser(expressions: ExpressionParser(TokenStream(try Lexer.tokens(source))))
    return try parser.statements(until: [], from: 1).body
  }

  private init(expressions: ExpressionParser) { self.expressions = expressions }

  /// Statements up to a tag that is one of `ends`, whose name is read.
  /// - Parameter opened: the line of the tag that they belong to.
  private mutating func statements(until ends: [String], from opened: Int) throws(TemplateError) -> (body: [Statement], end: String) {
    var body: [Statement] = []
    while true {
      let line = stream.line
      switch stream.current.kind {
      case .text(let text):
        body.append(Statement(node: .text(text), line: line))
        stream.advance()
      case .beginOutput:
        stream.advance()
        body.append(Statement(node: .output(try expressions.tuple()), line: line))
        try stream.expect(.endOutput)
      case .beginStatement:
        stream.advance()
        let name = try stream.name()
        if ends.contains(name) { return (body, name) }
        nesting += 1
        guard nesting <= Self.maximumDepth else { throw TemplateError(.limit, line: line, "blocks are nested more than \(Self.maximumDepth) deep") }
        body += try statement(name, line)
        nesting -= 1
        try stream.expect(.endStatement)
      case .end:
        guard let end = ends.last else { return (body, "") }
        throw TemplateError(.syntax, line: opened, "{% \(end) %} is missing: a block that begins here has no end")
      default: throw stream.fail("“\(stream.current.description)” stands outside of a tag")
      }
    }
  }

  /// The body of a block, from the end of the tag that opens it.
  private mutating func body(until ends: String...) throws(TemplateError) -> (body: [Statement], end: String) {
    _ = stream.skip(":")
    let line = stream.line
    try stream.expect(.endStatement)
    return try statements(until: ends, from: line)
  }

  /// The body of what becomes a function in Python: loops around it can't be left from inside.
  private mutating func functionBody(until end: String) throws(TemplateError) -> [Statement] {
    let around = loops
    loops = 0
    defer { loops = around }
    return try body(until: end).body
  }

  private mutating func statement(_ name: String, _ line: Int) throws(TemplateError) -> [Statement] {
    func statement(_ node: Statement.Node) -> [Statement] { [Statement(node: node, line: line)] }
    switch name {
    case "if": return statement(try condition())
    case "for": return statement(.loop(try loop()))
    case "set": return statement(try set())
    case "macro":
      let name = try stream.name()
      return statement(.macro(try macro(name, until: "endmacro", try signature(), line)))
    case "call": return statement(try call(line))
    case "filter":
      let filter = try filters(afterBar: true)
      return statement(.filterBlock(filter, try body(until: "endfilter").body))
    case "with": return statement(try with())
    case "generation": return statement(.generation(try functionBody(until: "endgeneration")))
    case "break", "continue":
      guard loops > 0 else { throw TemplateError(.syntax, line: line, "{% \(name) %} stands in no loop") }
      return statement(name == "break" ? .breakLoop : .continueLoop)
    case "print":
      var outputs: [Statement] = []
      while stream.current.kind != .endStatement {
        if !outputs.isEmpty { try stream.expect(",") }
        outputs += statement(.output(try expressions.expression()))
      }
      return outputs
    case "include", "import", "from", "extends", "block", "autoescape":
      throw TemplateError(.unsupported, line: line, "{% \(name) %}")
    default: throw TemplateError(.syntax, line: line, "Jinja as chat templates have it knows no tag {% \(name) %} here")
    }
  }

  private mutating func condition() throws(TemplateError) -> Statement.Node {
    var branches: [(test: Expression, body: [Statement])] = []
    while true {
      let test = try expressions.tuple(conditions: false)
      let (body, end) = try body(until: "elif", "else", "endif")
      branches.append((test, body))
      switch end {
      case "elif": continue
      case "else": return .condition(branches, otherwise: try self.body(until: "endif").body)
      default: return .condition(branches, otherwise: [])
      }
    }
  }

  private mutating func loop() throws(TemplateError) -> Loop {
    let target = try targets(endsAt: "in")
    guard !target.names.contains("loop") else { throw stream.fail("a loop's variable can't be called “loop”") }
    try stream.expect(name: "in")
    let iterated = try expressions.tuple(conditions: false, endsAt: "recursive")
    let filter = stream.skip(name: "if") ? try expressions.expression() : nil
    let isRecursive = stream.skip(name: "recursive")
    loops += 1
    let (body, end) = try body(until: "endfor", "else")
    loops -= 1
    let otherwise = end == "else" ? try self.body(until: "endfor").body : []
    return Loop(target: target, iterated: iterated, filter: filter, isRecursive: isRecursive, body: body, otherwise: otherwise)
  }

  private mutating func set() throws(TemplateError) -> Statement.Node {
    let target = try targets(attributes: true)
    if stream.skip("=") { return .set(target, try expressions.tuple()) }
    let filter = stream.isSymbol("|") ? try filters() : nil
    return .setBlock(target, filter: filter, try body(until: "endset").body)
  }

  private mutating func with() throws(TemplateError) -> Statement.Node {
    var values: [(target: Target, value: Expression)] = []
    while stream.current.kind != .endStatement {
      if !values.isEmpty { try stream.expect(",") }
      let target = try targets()
      try stream.expect("=")
      values.append((target, try expressions.expression()))
    }
    return .with(values, try body(until: "endwith").body)
  }

  private mutating func call(_ line: Int) throws(TemplateError) -> Statement.Node {
    let parameters = stream.isSymbol("(") ? try signature() : []
    let called = try expressions.expression()
    guard case .call(let callee, let arguments) = called.node else { throw TemplateError(.syntax, line: line, "{% call %} needs a call") }
    return .call(try macro(nil, until: "endcall", parameters, line), callee: callee, arguments)
  }

  /// The filters of a block, one after the other.
  private mutating func filters(afterBar: Bool = false) throws(TemplateError) -> Expression {
    var filter = try expressions.filter(nil, afterBar: afterBar)
    while stream.isSymbol("|") { filter = try expressions.filter(filter) }
    return filter
  }

  private mutating func signature() throws(TemplateError) -> [(name: String, preset: Expression?)] {
    var parameters: [(name: String, preset: Expression?)] = []
    try stream.expect("(")
    while !stream.isSymbol(")") {
      if !parameters.isEmpty { try stream.expect(",") }
      let name = try targetName()
      guard !parameters.contains(where: { $0.name == name }) else { throw stream.fail("the parameter “\(name)” comes twice") }
      let preset = stream.skip("=") ? try expressions.expression() : nil
      guard preset != nil || parameters.last?.preset == nil else { throw stream.fail("the parameter “\(name)” needs a default, as the one before it has one") }
      parameters.append((name, preset))
    }
    try stream.expect(")")
    return parameters
  }

  private mutating func macro(_ name: String?, until end: String, _ parameters: [(name: String, preset: Expression?)], _ line: Int) throws(TemplateError) -> Macro {
    let body = try functionBody(until: end)
    let used = body.namesUsed
    let named = Set(parameters.map(\.name))
    if parameters.contains(where: { $0.name == "caller" && $0.preset == nil }), used.contains("caller") {
      throw TemplateError(.syntax, line: line, "a parameter called “caller” needs a default")
    }
    func uses(_ special: String) -> Bool { used.contains(special) && !named.contains(special) }
    return Macro(name: name, parameters: parameters, body: body, usesCaller: uses("caller"), usesRest: uses("varargs"), usesNamedRest: uses("kwargs"))
  }

  private mutating func targetName() throws(TemplateError) -> String {
    let name = try stream.name()
    guard !["true", "True", "false", "False", "none", "None"].contains(name) else { throw stream.fail("“\(name)” can't get a value") }
    return name
  }

  private mutating func target(attributes: Bool) throws(TemplateError) -> Target {
    if stream.skip("(") {
      nesting += 1
      defer { nesting -= 1 }
      guard nesting <= Self.maximumDepth else { throw TemplateError(.limit, line: stream.line, "variables are nested more than \(Self.maximumDepth) deep") }
      let inside = try targets(attributes: attributes)
      try stream.expect(")")
      return inside
    }
    let name = try targetName()
    guard attributes, stream.skip(".") else { return .name(name) }
    return .attribute(of: name, try stream.name())
  }

  /// One target, or several with commas between them.
  private mutating func targets(endsAt word: String? = nil, attributes: Bool = false) throws(TemplateError) -> Target {
    var targets = [try target(attributes: attributes)]
    var isTuple = false
    while stream.skip(",") {
      isTuple = true
      if stream.isSymbol("=") || stream.isSymbol(")") || stream.current.kind == .endStatement || word.map({ stream.isName($0) }) == true { break }
      targets.append(try target(attributes: attributes))
    }
    return isTuple ? .tuple(targets) : targets[0]
  }
}
