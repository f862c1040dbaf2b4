/// The values that a function, method, filter or test is called with.
struct CallArguments {
  var positional: [Value] = []
  var named: [(name: String, value: Value)] = []

  /// The values by parameter, in the order of `names`; nil where none was given.
  /// - Parameters:
  ///   - required: how many of the first parameters must be given.
  ///   - function: its name, for errors.
  func bound(to names: [String], required: Int = 0, _ function: String) throws(Failure) -> [Value?] {
    guard positional.count <= names.count else { throw .runtime("\(function) takes at most \(names.count) arguments, not \(positional.count)") }
    var values: [Value?] = positional + Array(repeating: nil, count: names.count - positional.count)
    for (name, value) in named {
      guard let at = names.firstIndex(of: name) else { throw .runtime("\(function) takes no argument “\(name)”") }
      guard values[at] == nil else { throw .runtime("\(function) gets its argument “\(name)” twice") }
      values[at] = value
    }
    for (at, name) in names.prefix(required).enumerated() where values[at] == nil { throw .runtime("\(function) needs its argument “\(name)”") }
    return values
  }

  var weight: Int { positional.reduce(0) { $0.addingUpTo(.max, $1.weight) } }
}

extension Interpreter {
  mutating func evaluate(_ arguments: Arguments) throws(Failure) -> CallArguments {
    var values = CallArguments()
    for argument in arguments.positional { values.positional.append(try evaluate(argument)) }
    for (name, argument) in arguments.named { values.named.append((name, try evaluate(argument))) }
    if let rest = arguments.rest { values.positional += try items(of: evaluate(rest)) }
    if let rest = arguments.namedRest {
      guard case .dictionary(let dictionary) = try evaluate(rest) else { throw .runtime("what follows ** must be a dictionary") }
      for (key, value) in dictionary.pairs {
        guard case .text(let name) = key else { throw .runtime("names of arguments must be text") }
        guard !values.named.contains(where: { $0.name == name.string }) else { throw .runtime("the argument “\(name.string)” comes twice") }
        values.named.append((name.string, value))
      }
    }
    return values
  }

  /// Calls whatever can be called.
  mutating func call(_ callee: Value, _ arguments: CallArguments) throws(Failure) -> Value {
    switch callee {
    case .macro(let number): return try callMacro(number, arguments)
    case .function(let function): return try callFunction(function, arguments)
    case .method(.loop(let number), let name): return try callLoopMethod(number, name, arguments)
    case .method(let receiver, let name):
      try charge(receiver.weight.addingUpTo(.max, arguments.weight))
      return try callMethod(of: receiver, name.string, arguments)
    case .loop(let number):
      guard arguments.positional.count == 1, arguments.named.isEmpty else { throw .runtime("loop takes one argument") }
      return try recurse(number, over: arguments.positional[0])
    case .undefined(let missing): throw .runtime(missing.message)
    default: throw .runtime("'\(callee.typeName)' object is not callable")
    }
  }

  /// What a macro prints. Source of how arguments find their parameters: `Macro.__call__` in Jinja2's `runtime.py`.
  private mutating func callMacro(_ number: Int, _ arguments: CallArguments) throws(Failure) -> Value {
    let closure = macros[number]
    let macro = closure.macro
    let name = macro.name ?? "caller"
    var named = arguments.named
    func take(_ name: String) -> Value? { named.firstIndex { $0.name == name }.map { named.remove(at: $0).value } }
    var given: [Value?] = arguments.positional.prefix(macro.parameters.count).map { $0 }
    for parameter in macro.parameters.dropFirst(given.count) { given.append(take(parameter.name)) }
    let caller = macro.usesCaller ? take("caller") ?? .missing("No caller defined") : nil
    guard macro.usesNamedRest || named.isEmpty else { throw .runtime("macro '\(name)' takes no keyword argument '\(named[0].name)'") }
    let rest = Array(arguments.positional.dropFirst(macro.parameters.count))
    guard macro.usesRest || rest.isEmpty else { throw .runtime("macro '\(name)' takes not more than \(macro.parameters.count) argument(s)") }
    let line = line
    return .text(
      try captured { (it) throws(Failure) in
        try it.deeper(at: line) { (it) throws(Failure) in
          try it.inScope(of: closure.scope) { (it) throws(Failure) in
            if let caller { it.set("caller", caller) }
            if macro.usesRest { it.set("varargs", try .tuple(rest)) }
            if macro.usesNamedRest {
              var dictionary = Dictionary()
              for (name, value) in named { try dictionary.set(.text(name), value) }
              it.set("kwargs", .dictionary(dictionary))
            }
            try it.bind(macro.parameters, given)
            _ = try it.run(macro.body)
          }
        }
      })
  }

  /// Gives a macro's parameters their values; defaults may use the parameters before them.
  private mutating func bind(_ parameters: [(name: String, preset: Expression?)], _ given: [Value?]) throws(Failure) {
    for (parameter, value) in zip(parameters, given) where value != nil { set(parameter.name, value ?? .none) }
    for (parameter, value) in zip(parameters, given) where value == nil {
      set(parameter.name, .missing("parameter '\(parameter.name)' was not provided"))
    }
    for (parameter, value) in zip(parameters, given) where value == nil {
      if let preset = parameter.preset { set(parameter.name, try evaluate(preset)) }
    }
  }
}
