#if canImport(Glibc)
  import Glibc
#endif

extension FilterTable {
  /// Filters that make numbers.
  static let numberFilters: [String: Filter] = [
    "length": length, "count": length,
    "abs": { (_, value, arguments) throws(Failure) in
      try arguments.none("abs")
      if let whole = value.integral {
        guard whole != .min else { throw Arithmetic.tooLarge }
        return .integer(abs(whole))
      }
      guard case .number(let number) = value else { throw value.refused(by: "abs") }
      return .number(abs(number))
    },
    "int": { (run, value, arguments) throws(Failure) in
      let values = try arguments.bound(to: ["default", "base"], "int")
      return try integer(value, base: run.optionalInteger(values[1], "int") ?? 10) ?? values[0] ?? .integer(0)
    },
    "float": { (_, value, arguments) throws(Failure) in
      let values = try arguments.bound(to: ["default"], "float")
      return try float(value).map { .number($0) } ?? values[0] ?? .number(0)
    },
    "round": { (run, value, arguments) throws(Failure) in try round(value, arguments, &run) },
    "sum": { (run, value, arguments) throws(Failure) in
      let values = try arguments.bound(to: ["attribute", "start"], "sum")
      var sum = values[1] ?? .integer(0)
      if case .text = sum { throw .runtime("sum() can't sum strings") }
      for item in try run.items(of: value) {
        var term = item
        if let attribute = values[0], try !run.isNone(attribute) { term = try run.look(up: attribute, in: item) }
        sum = try run.compute(.add, sum, term)
      }
      return sum
    },
  ]

  private static let length: Filter = { (run, value, arguments) throws(Failure) in
    try arguments.none("length")
    switch value {
    case .undefined: return .integer(0)
    case .text(let text): return .integer(text.count)
    case .sequence(let sequence): return .integer(sequence.items.count)
    case .dictionary(let dictionary): return .integer(dictionary.pairs.count)
    case .loop(let number): return .integer(run.loops[number].items.count)
    default: throw .runtime("object of type '\(value.typeName)' has no len()")
    }
  }

  /// nil where Jinja gives the default.
  private static func integer(_ value: Value, base: Int) throws(Failure) -> Value? {
    switch value {
    case .boolean, .integer: return value.integral.map { .integer($0) }
    case .text(let text):
      guard base == 10 || base == 0 || (2...36).contains(base) else { return nil }
      if let whole = pythonInteger(text, base: base) { return .integer(whole) }
      let digits = text.stripping(nil).stripping("+-").characters
      guard digits.count < 19 || !digits.allSatisfy(\.isDecimal) else { throw Arithmetic.tooLarge }
      guard let number = pythonFloat(text), number.isFinite else { return nil }
      guard let whole = Int(exactly: number.rounded(.towardZero)) else { throw Arithmetic.tooLarge }
      return .integer(whole)
    case .number(let number):
      guard !number.isNaN else { return nil }
      guard number.isFinite else { throw .runtime("cannot convert float infinity to integer") }
      guard let whole = Int(exactly: number.rounded(.towardZero)) else { throw Arithmetic.tooLarge }
      return .integer(whole)
    case .undefined(let missing): throw .runtime(missing.message)
    default: return nil
    }
  }

  private static func float(_ value: Value) throws(Failure) -> Double? {
    switch value {
    case .number(let number): return number
    case .text(let text): return pythonFloat(text)
    case .undefined(let missing): throw .runtime(missing.message)
    default: return value.integral.map { Double($0) }
    }
  }

  private static func round(_ value: Value, _ arguments: CallArguments, _ run: inout Interpreter) throws(Failure) -> Value {
    let values = try arguments.bound(to: ["precision", "method"], "round")
    let precision = try run.optionalInteger(values[0], "round") ?? 0
    let method = try run.optionalText(values[1], "round")?.string ?? "common"
    guard ["common", "ceil", "floor"].contains(method) else { throw .runtime("method must be common, ceil or floor") }
    if method == "common", value.integral != nil {
      guard precision >= 0 else { throw .unsupported("rounding a whole number to tens") }
      return .integer(value.integral ?? 0)
    }
    guard let number = try float(value), value.integral != nil || value.typeName == "float" else { throw value.refused(by: "round") }
    guard (0...15).contains(precision), abs(number) < 1e15 else { throw .unsupported("rounding to \(precision) digits") }
    let scale = pow(10, Double(precision))
    if method == "ceil" { return .number(ceil(number * scale) / scale) }
    if method == "floor" { return .number(floor(number * scale) / scale) }
    // As Python does: the decimal digits of the value itself decide, halves to even.
    var buffer = [CChar](repeating: 0, count: 400)
    _ = withVaList([Int32(precision), number]) { vsnprintf(&buffer, 400, "%.*f", $0) }
    return .number(strtod(buffer, nil))
  }
}

extension Value {
  func refused(by filter: String) -> Failure {
    if case .undefined(let missing) = self { .runtime(missing.message) } else { .runtime("\(filter) takes a number, not \(typeName)") }
  }
}
