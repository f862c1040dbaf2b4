extension Interpreter {
  /// An operator between two values, as Python has it.
  mutating func compute(_ operation: Arithmetic, _ a: Value, _ b: Value) throws(Failure) -> Value {
    if operation == .modulo, case .text(let format) = a { return .text(try percentFormat(format, b)) }
    if case .undefined(let missing) = a { throw .runtime(missing.message) }
    if case .undefined(let missing) = b { throw .runtime(missing.message) }
    if let number = try operation(a, b) { return number }
    switch (operation, a, b) {
    case (.add, .text(let x), .text(let y)):
      try charge(x.count + y.count)
      return .text(x + y)
    case (.add, .sequence(let x), .sequence(let y)) where x.kind == y.kind && (x.kind == .list || x.kind == .tuple):
      try charge(x.items.count + y.items.count)
      return .sequence(try Items(x.items + y.items, x.kind))
    case (.multiply, .text(let text), _): if let times = b.integral { return try repeated(text, times) }
    case (.multiply, _, .text(let text)): if let times = a.integral { return try repeated(text, times) }
    case (.multiply, .sequence(let items), _): if let times = b.integral { return try repeated(items, times) }
    case (.multiply, _, .sequence(let items)): if let times = a.integral { return try repeated(items, times) }
    default: break
    }
    throw .runtime("unsupported operand type(s) for \(operation.rawValue): '\(a.typeName)' and '\(b.typeName)'")
  }

  private mutating func repeated(_ text: Text, _ times: Int) throws(Failure) -> Value {
    try charge(text.count.multipliedUpToMax(by: max(0, times)))
    return .text(Text(Array(repeating: text.characters, count: max(0, times)).joined(), isSafe: text.isSafe))
  }

  private mutating func repeated(_ sequence: Items, _ times: Int) throws(Failure) -> Value {
    guard sequence.kind == .list || sequence.kind == .tuple else { throw .runtime("a \(sequence.kind.rawValue) can't be multiplied") }
    try charge(sequence.items.count.multipliedUpToMax(by: max(0, times)))
    return .sequence(try Items(Array(Array(repeating: sequence.items, count: max(0, times)).joined()), sequence.kind))
  }

  mutating func negate(_ value: Value) throws(Failure) -> Value {
    if case .undefined(let missing) = value { throw .runtime(missing.message) }
    return try Arithmetic.negate(value)
  }

  /// `+x`
  mutating func affirm(_ value: Value) throws(Failure) -> Value { try negate(negate(value)) }

  mutating func compare(_ a: Value, _ comparison: Expression.Comparison, _ b: Value) throws(Failure) -> Bool {
    switch comparison {
    case .isIn: return try contains(b, a)
    case .notIn: return !(try contains(b, a))
    case .equal: return try equal(a, b)
    case .notEqual: return !(try equal(a, b))
    case .less: return try less(a, b)
    case .greater: return try less(b, a)
    case .lessOrEqual:
      if try less(a, b) { return true }
      return try equal(a, b)
    case .greaterOrEqual: return try compare(b, .lessOrEqual, a)
    }
  }

  mutating func equal(_ a: Value, _ b: Value) throws(Failure) -> Bool {
    try charge(min(a.weight, b.weight))
    return Value.equal(a, b)
  }

  mutating func less(_ a: Value, _ b: Value) throws(Failure) -> Bool {
    try charge(min(a.weight, b.weight))
    return try Value.less(a, b)
  }

  /// `item in container`
  mutating func contains(_ container: Value, _ item: Value) throws(Failure) -> Bool {
    switch container {
    case .text(let text):
      guard case .text(let part) = item else { throw .runtime("'in <string>' requires string as left operand, not \(item.typeName)") }
      try chargeSearch(text, part)
      return text.firstIndex(of: part) != nil
    case .dictionary(let dictionary): return dictionary[try Dictionary.Key(item)] != nil
    default:
      for other in try items(of: container) where try equal(item, other) { return true }
      return false
    }
  }

  /// Counts a search for `part` in `text`, whose worst case is their product.
  mutating func chargeSearch(_ text: Text, _ part: Text) throws(Failure) {
    try charge(text.count.multipliedUpToMax(by: 1 + part.count / 8))
  }

  /// What going through a value gives.
  mutating func items(of value: Value) throws(Failure) -> [Value] {
    let items: [Value]
    switch value {
    case .undefined: return []
    case .text(let text):
      try charge(text.count.multipliedUpToMax(by: 10))
      items = text.characters.map { .text(Text([$0], isSafe: text.isSafe)) }
    case .sequence(let sequence): items = sequence.items
    case .dictionary(let dictionary): items = dictionary.keys
    case .generator(let number):
      items = try generators[number].get()
      generators[number] = .success([])
    default: throw .runtime("'\(value.typeName)' object is not iterable")
    }
    try charge(items.count)
    return items
  }

  /// Items that can be gone through once. As in Python, what fails in making them fails when somebody goes through them.
  mutating func generator(_ items: (inout Self) throws(Failure) -> [Value]) throws(Failure) -> Value {
    try charge(Self.kept)
    do throws(Failure) { generators.append(.success(try items(&self))) } catch {
      guard error.kind == .runtime else { throw error }
      generators.append(.failure(error))
    }
    return .generator(generators.count - 1)
  }
}
