/// Jinja's tests by name. Source of what each does: Jinja2's `tests.py`.
enum TestTable {
  typealias Test = @Sendable (inout Interpreter, Value, Value) throws(Failure) -> Bool

  /// Tests of a value alone.
  static let plain: [String: @Sendable (inout Interpreter, Value) throws(Failure) -> Bool] = [
    "defined": { (_, value) throws(Failure) in value.typeName != "Undefined" },
    "undefined": { (_, value) throws(Failure) in value.typeName == "Undefined" },
    "none": { (_, value) throws(Failure) in value.typeName == "NoneType" },
    "boolean": { (_, value) throws(Failure) in value.typeName == "bool" },
    "true": { (_, value) throws(Failure) in if case .boolean(true) = value { true } else { false } },
    "false": { (_, value) throws(Failure) in if case .boolean(false) = value { true } else { false } },
    "integer": { (_, value) throws(Failure) in value.typeName == "int" },
    "float": { (_, value) throws(Failure) in value.typeName == "float" },
    "number": { (_, value) throws(Failure) in ["bool", "int", "float"].contains(value.typeName) },
    "string": { (_, value) throws(Failure) in value.typeName == "str" },
    "mapping": { (_, value) throws(Failure) in value.typeName == "dict" },
    "sequence": { (_, value) throws(Failure) in
      switch value {
      case .sequence(let sequence): sequence.kind.isIndexed
      case .text, .dictionary, .undefined: true
      default: false
      }
    },
    "iterable": { (_, value) throws(Failure) in
      switch value {
      case .text, .sequence, .dictionary, .undefined, .generator, .loop: true
      default: false
      }
    },
    "callable": { (_, value) throws(Failure) in
      switch value {
      case .function, .method, .macro, .loop, .undefined: true
      default: false
      }
    },
    "escaped": { (_, value) throws(Failure) in if case .text(let text) = value { text.isSafe } else { false } },
    "lower": { (run, value) throws(Failure) in try run.printed(value).isLower },
    "upper": { (run, value) throws(Failure) in try run.printed(value).isUpper },
    "odd": { (run, value) throws(Failure) in try run.equal(run.compute(.modulo, value, .integer(2)), .integer(1)) },
    "even": { (run, value) throws(Failure) in try run.equal(run.compute(.modulo, value, .integer(2)), .integer(0)) },
    "filter": { (_, value) throws(Failure) in if case .text(let text) = value { FilterTable.names.contains(text.string) } else { false } },
    "test": { (_, value) throws(Failure) in if case .text(let text) = value { names.contains(text.string) } else { false } },
  ]

  /// Tests of a value against another.
  static let comparing: [String: Test] = [
    "divisibleby": { (run, value, other) throws(Failure) in try run.equal(run.compute(.modulo, value, other), .integer(0)) },
    "in": { (run, value, other) throws(Failure) in try run.contains(other, value) },
    "sameas": { (_, value, other) throws(Failure) in
      switch (value, other) {
      case (.none, .none): true
      case (.boolean(let a), .boolean(let b)): a == b
      case (.boolean, _), (_, .boolean), (.none, _), (_, .none): false
      default: throw .unsupported("“sameas” of anything but true, false and none")
      }
    },
    "==": equal, "eq": equal, "equalto": equal,
    "!=": different, "ne": different,
    "<": less, "lt": less, "lessthan": less,
    "<=": lessOrEqual, "le": lessOrEqual,
    ">": greater, "gt": greater, "greaterthan": greater,
    ">=": greaterOrEqual, "ge": greaterOrEqual,
  ]

  private static let equal: Test = { (run, a, b) throws(Failure) in try run.equal(a, b) }
  private static let different: Test = { (run, a, b) throws(Failure) in !(try run.equal(a, b)) }
  private static let less: Test = { (run, a, b) throws(Failure) in try run.compare(a, .less, b) }
  private static let lessOrEqual: Test = { (run, a, b) throws(Failure) in try run.compare(a, .lessOrEqual, b) }
  private static let greater: Test = { (run, a, b) throws(Failure) in try run.compare(a, .greater, b) }
  private static let greaterOrEqual: Test = { (run, a, b) throws(Failure) in try run.compare(a, .greaterOrEqual, b) }

  static let names = Set(plain.keys).union(comparing.keys)
}

extension Interpreter {
  mutating func test(_ value: Value, _ name: String, _ arguments: CallArguments) throws(Failure) -> Bool {
    if let test = TestTable.plain[name] {
      _ = try arguments.positionalOnly(to: 0, name)
      return try test(&self, value)
    }
    guard let test = TestTable.comparing[name] else { throw .runtime("there is no test “\(name)”") }
    guard arguments.positional.count == 1, arguments.named.isEmpty else { throw .runtime("the test “\(name)” takes one argument") }
    return try test(&self, value, arguments.positional[0])
  }
}
