extension Interpreter {
  mutating func evaluate(_ expression: Expression) throws(Failure) -> Value {
    switch expression.node {
    case .constant(let value):
      try charge(1)
      return value
    case .name(let name):
      try charge(1)
      return try lookUp(name)
    default: return try deeper(at: expression.line) { (it) throws(Failure) in try it.compute(expression) }
    }
  }

  private mutating func compute(_ expression: Expression) throws(Failure) -> Value {
    switch expression.node {
    case .constant(let value): return value
    case .name(let name): return try lookUp(name)
    case .list(let items): return try .list(evaluate(items))
    case .tuple(let items): return try .tuple(evaluate(items))
    case .dictionary(let pairs): return try dictionary(pairs)
    case .not(let operand): return .boolean(!(try evaluate(operand).isTrue))
    case .negative(let operand): return try negate(evaluate(operand))
    case .positive(let operand): return try affirm(evaluate(operand))
    case .arithmetic(let first, let rest): return try arithmetic(first, rest)
    case .concatenation(let operands): return try concatenate(operands)
    case .and(let operands): return try firstDeciding(operands, by: false)
    case .or(let operands): return try firstDeciding(operands, by: true)
    case .comparison(let first, let rest): return .boolean(try compare(first, rest))
    case .condition(let test, let value, let otherwise): return try condition(test, value, otherwise)
    case .attribute(let operand, let name): return try attribute(Text(name), of: evaluate(operand))
    case .item(let operand, let index): return try item(operand, index)
    case .slice(let operand, let from, let to, let step): return try slice(operand, from, to, step)
    case .call(let callee, let arguments): return try call(callee, arguments, expression.line)
    case .filter(let operand, let name, let arguments): return try filter(operand, name, arguments, expression.line)
    case .test(let operand, let name, let arguments): return .boolean(try test(operand, name, arguments, expression.line))
    }
  }

  private mutating func evaluate(_ expressions: [Expression]) throws(Failure) -> [Value] {
    var values: [Value] = []
    for expression in expressions { values.append(try evaluate(expression)) }
    return values
  }

  private mutating func dictionary(_ pairs: [(key: Expression, value: Expression)]) throws(Failure) -> Value {
    var dictionary = Dictionary()
    for (key, value) in pairs { try dictionary.set(evaluate(key), evaluate(value)) }
    return .dictionary(dictionary)
  }

  /// `and` and `or`: the first operand whose truth decides, else the last.
  private mutating func firstDeciding(_ operands: [Expression], by truth: Bool) throws(Failure) -> Value {
    var value = Value.none
    for operand in operands {
      value = try evaluate(operand)
      if value.isTrue == truth { break }
    }
    return value
  }

  private mutating func condition(_ test: Expression, _ value: Expression, _ otherwise: Expression?) throws(Failure) -> Value {
    if try evaluate(test).isTrue { return try evaluate(value) }
    guard let otherwise else { return .missing("the inline if-expression evaluated to false and no else section was defined") }
    return try evaluate(otherwise)
  }

  private mutating func concatenate(_ operands: [Expression]) throws(Failure) -> Value {
    var characters: [Text.Character] = []
    // Python evaluates all of them before it joins them.
    for value in try evaluate(operands) { characters += try printed(value).characters }
    try charge(characters.count)
    return .text(Text(characters))
  }

  private mutating func arithmetic(_ first: Expression, _ rest: [(operation: Arithmetic, operand: Expression)]) throws(Failure) -> Value {
    var value = try evaluate(first)
    for (operation, operand) in rest { value = try compute(operation, value, evaluate(operand)) }
    return value
  }

  private mutating func compare(_ first: Expression, _ rest: [(Expression.Comparison, Expression)]) throws(Failure) -> Bool {
    var left = try evaluate(first)
    for (comparison, operand) in rest {
      let right = try evaluate(operand)
      guard try compare(left, comparison, right) else { return false }
      left = right
    }
    return true
  }

  private mutating func item(_ operand: Expression, _ index: Expression) throws(Failure) -> Value {
    let value = try evaluate(operand)
    return try item(evaluate(index), of: value)
  }

  private mutating func slice(_ operand: Expression, _ from: Expression?, _ to: Expression?, _ step: Expression?) throws(Failure) -> Value {
    let value = try evaluate(operand)
    var bounds: [Value?] = []
    for bound in [from, to, step] { bounds.append(try bound.map { (bound) throws(Failure) in try evaluate(bound) }) }
    return try slice(value, bounds)
  }

  private mutating func call(_ callee: Expression, _ arguments: Arguments, _ line: Int) throws(Failure) -> Value {
    let called = try evaluate(callee)
    let values = try evaluate(arguments)
    return try deeper(at: line) { (it) throws(Failure) in try it.call(called, values) }
  }

  private mutating func filter(_ operand: Expression?, _ name: String, _ arguments: Arguments, _ line: Int) throws(Failure) -> Value {
    let value = try operand.map { (operand) throws(Failure) in try evaluate(operand) } ?? .none
    let values = try evaluate(arguments)
    return try deeper(at: line) { (it) throws(Failure) in try it.filter(value, name, values) }
  }

  private mutating func test(_ operand: Expression, _ name: String, _ arguments: Arguments, _ line: Int) throws(Failure) -> Bool {
    let value = try evaluate(operand)
    let values = try evaluate(arguments)
    return try deeper(at: line) { (it) throws(Failure) in try it.test(value, name, values) }
  }
}
