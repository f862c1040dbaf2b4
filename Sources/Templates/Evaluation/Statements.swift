extension Interpreter {
  /// How statements ended: by their end, or by `break` or `continue`.
  enum Flow { case end, breakLoop, continueLoop }

  mutating func run(_ statements: [Statement]) throws(Failure) -> Flow {
    for statement in statements {
      let flow = try deeper(at: statement.line) { (it) throws(Failure) in try it.run(statement) }
      if flow != .end { return flow }
    }
    return .end
  }

  private mutating func run(_ statement: Statement) throws(Failure) -> Flow {
    switch statement.node {
    case .text(let text): try print(text)
    case .output(let expression): try print(try printed(evaluate(expression)))
    case .condition(let branches, let otherwise): return try run(branches, otherwise)
    case .loop(let loop): return try run(loop)
    case .set(let target, let expression): try assign(evaluate(expression), to: target)
    case .setBlock(let target, let filter, let body): try setBlock(target, filter, body)
    case .macro(let macro): set(macro.name ?? "", try define(macro))
    case .call(let macro, let callee, let arguments): try call(macro, callee, arguments)
    case .filterBlock(let filter, let body):
      let text = try captured { (it) throws(Failure) in try it.inScope { (it) throws(Failure) in _ = try it.run(body) } }
      try print(printed(apply(filter, to: text)))
    case .with(let values, let body): return try with(values, body)
    case .generation(let body): _ = try inScope { (it) throws(Failure) in try it.run(body) }
    case .breakLoop: return .breakLoop
    case .continueLoop: return .continueLoop
    }
    return .end
  }

  /// `str(value)`.
  mutating func printed(_ value: Value) throws(Failure) -> Text {
    try charge(value.weight)
    return try value.printed()
  }

  private mutating func run(_ branches: [(test: Expression, body: [Statement])], _ otherwise: [Statement]) throws(Failure) -> Flow {
    for (test, body) in branches where try evaluate(test).isTrue { return try run(body) }
    return try run(otherwise)
  }

  private mutating func setBlock(_ target: Target, _ filter: Expression?, _ body: [Statement]) throws(Failure) {
    let text = try captured { (it) throws(Failure) in try it.inScope { (it) throws(Failure) in _ = try it.run(body) } }
    try assign(try filter.map { (filter) throws(Failure) in try apply(filter, to: text) } ?? .text(text), to: target)
  }

  private mutating func with(_ values: [(target: Target, value: Expression)], _ body: [Statement]) throws(Failure) -> Flow {
    // The values are those of the variables around the block.
    var evaluated: [Value] = []
    for (_, value) in values { evaluated.append(try evaluate(value)) }
    return try inScope { (it) throws(Failure) in
      for (at, value) in evaluated.enumerated() { try it.assign(value, to: values[at].target) }
      return try it.run(body)
    }
  }

  /// `{% call %}`: prints what the macro makes, which may ask for the block's body by `caller`.
  private mutating func call(_ macro: Macro, _ callee: Expression, _ arguments: Arguments) throws(Failure) {
    let called = try evaluate(callee)
    var arguments = try evaluate(arguments)
    arguments.named.append(("caller", try define(macro)))
    try print(printed(call(called, arguments)))
  }

  /// What a block's filters make of its text.
  private mutating func apply(_ filter: Expression, to text: Text) throws(Failure) -> Value {
    guard case .filter(let operand, let name, let arguments) = filter.node else { return .text(text) }
    let value = try operand.map { (operand) throws(Failure) in try apply(operand, to: text) } ?? .text(text)
    return try self.filter(value, name, evaluate(arguments))
  }

  mutating func assign(_ value: Value, to target: Target) throws(Failure) {
    switch target {
    case .name(let name): set(name, value)
    case .tuple(let targets):
      let items = try items(of: value)
      guard items.count == targets.count else { throw .runtime("\(items.count) values for \(targets.count) variables") }
      for (target, item) in zip(targets, items) { try assign(item, to: target) }
    case .attribute(let name, let attribute):
      guard case .namespace(let space) = try lookUp(name) else { throw .runtime("cannot assign attribute on non-namespace object") }
      try setAttribute(attribute, of: space, value)
    }
  }

  mutating func setAttribute(_ name: String, of space: Int, _ value: Value) throws(Failure) {
    guard !name.hasPrefix("_") else { throw .runtime("the attribute “\(name)” of a namespace begins with an underscore") }
    try namespaces[space].set(.text(name), value)
  }
}
