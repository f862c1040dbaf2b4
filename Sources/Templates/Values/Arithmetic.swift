#if canImport(Glibc)
  import Glibc
#endif

/// `+`, `-`, `*`, `/`, `//`, `%` and `**` on numbers, as Python has them, within 64 bits.
enum Arithmetic: String, Sendable {
  case add = "+"
  case subtract = "-"
  case multiply = "*"
  case divide = "/"
  case floorDivide = "//"
  case modulo = "%"
  case power = "**"

  /// - Returns: nil unless both are numbers.
  func callAsFunction(_ a: Value, _ b: Value) throws(Failure) -> Value? {
    if let x = a.integral, let y = b.integral { return try integers(x, y) }
    guard let x = Self.float(a), let y = Self.float(b) else { return nil }
    return .number(try floats(x, y))
  }

  private static func float(_ value: Value) -> Double? {
    if case .number(let value) = value { value } else { value.integral.map { Double($0) } }
  }

  private func integers(_ x: Int, _ y: Int) throws(Failure) -> Value {
    let (result, overflow): (Int, Bool)
    switch self {
    case .add: (result, overflow) = x.addingReportingOverflow(y)
    case .subtract: (result, overflow) = x.subtractingReportingOverflow(y)
    case .multiply: (result, overflow) = x.multipliedReportingOverflow(by: y)
    case .divide:
      guard y != 0 else { throw .runtime("division by zero") }
      return .number(Double(x) / Double(y))
    case .floorDivide, .modulo:
      guard y != 0 else { throw .runtime("integer division or modulo by zero") }
      guard y != -1 else { return self == .modulo ? .integer(0) : try Self.subtract.integers(0, x) }
      let rest = x % y
      let below = rest != 0 && (rest < 0) != (y < 0)
      return .integer(self == .modulo ? (below ? rest + y : rest) : (below ? x / y - 1 : x / y))
    case .power:
      guard y >= 0 else { return .number(try floats(Double(x), Double(y))) }
      return .integer(try Self.power(x, y))
    }
    guard !overflow else { throw Self.tooLarge }
    return .integer(result)
  }

  private static func power(_ base: Int, _ exponent: Int) throws(Failure) -> Int {
    switch base {
    case 0: return exponent == 0 ? 1 : 0
    case 1: return 1
    case -1: return exponent % 2 == 0 ? 1 : -1
    default: break
    }
    var result = 1
    for _ in 0..<min(exponent, 64) {
      let (next, overflow) = result.multipliedReportingOverflow(by: base)
      guard !overflow else { throw tooLarge }
      result = next
    }
    return result
  }

  private func floats(_ x: Double, _ y: Double) throws(Failure) -> Double {
    switch self {
    case .add: return x + y
    case .subtract: return x - y
    case .multiply: return x * y
    case .divide, .floorDivide, .modulo:
      guard y != 0 else { throw .runtime("float division by zero") }
      if self == .divide { return x / y }
      var rest = fmod(x, y)
      if rest != 0, (rest < 0) != (y < 0) { rest += y }
      return self == .modulo ? rest : ((x - rest) / y).rounded()
    case .power:
      guard x != 0 || y >= 0 else { throw .runtime("0.0 cannot be raised to a negative power") }
      guard x >= 0 || y == y.rounded() else { throw .unsupported("a root of a negative number") }
      return pow(x, y)
    }
  }

  static let tooLarge = Failure.unsupported("a whole number beyond 64 bits")

  /// `-x`.
  static func negate(_ value: Value) throws(Failure) -> Value {
    if let whole = value.integral { return try Self.subtract.integers(0, whole) }
    guard case .number(let number) = value else { throw .runtime("bad operand type for unary -: '\(value.typeName)'") }
    return .number(-number)
  }
}
