/// What Jinja calls globals, as transformers sets them.
extension Interpreter {
  mutating func callFunction(_ function: Value.Function, _ arguments: CallArguments) throws(Failure) -> Value {
    switch function {
    case .range: return try range(arguments)
    case .dict: return .dictionary(try dictionary(arguments))
    case .namespace:
      let attributes = try dictionary(arguments)
      for (key, _) in attributes.pairs {
        if case .text(let name) = key, name.characters.first.map({ $0 == "_" }) == true {
          throw .runtime("the attribute “\(name.string)” of a namespace begins with an underscore")
        }
      }
      try charge(Self.kept)
      namespaces.append(attributes)
      return .namespace(namespaces.count - 1)
    case .raiseException:
      let message = try arguments.bound(to: ["message"], required: 1, "raise_exception")[0] ?? .none
      throw Failure(kind: .raised, message: try printed(message).string)
    case .strftimeNow:
      let format = try text(arguments.bound(to: ["format"], required: 1, "strftime_now")[0], "strftime_now")
      return .text(try now.formatted(format))
    }
  }

  private mutating func range(_ arguments: CallArguments) throws(Failure) -> Value {
    var numbers: [Int] = []
    for value in try arguments.positionalOnly(to: 3, required: 1, "range") { if let number = try optionalInteger(value, "range") { numbers.append(number) } }
    let step = numbers.count > 2 ? numbers[2] : 1
    guard step != 0 else { throw .runtime("range() arg 3 must not be zero") }
    let (from, to) = numbers.count > 1 ? (numbers[0], numbers[1]) : (0, numbers[0])
    let (distance, overflow) = step > 0 ? to.subtractingReportingOverflow(from) : from.subtractingReportingOverflow(to)
    // The sandbox's MAX_RANGE.
    guard !overflow, distance <= 0 || (distance - 1) / abs(step == .min ? .max : step) < 100_000 else { throw .runtime("Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000).") }
    let items = Array(stride(from: from, to: to, by: step))
    try charge(items.count * 10)
    return .sequence(try Items(items.map { .integer($0) }, .range))
  }

  /// What `dict(…)` makes: of a dictionary or of pairs, then of what is named.
  private mutating func dictionary(_ arguments: CallArguments) throws(Failure) -> Dictionary {
    guard arguments.positional.count <= 1 else { throw .runtime("dict expected at most 1 argument, got \(arguments.positional.count)") }
    var made = Dictionary()
    if case .dictionary(let given)? = arguments.positional.first {
      made = given
    } else if case .undefined(let missing)? = arguments.positional.first {
      throw .runtime(missing.message)
    } else if let pairs = arguments.positional.first {
      for pair in try items(of: pairs) {
        let values = try items(of: pair)
        guard values.count == 2 else { throw .runtime("dictionary update sequence element has length \(values.count); 2 is required") }
        try made.set(values[0], values[1])
      }
    }
    for (name, value) in arguments.named { try made.set(.text(name), value) }
    return made
  }
}
