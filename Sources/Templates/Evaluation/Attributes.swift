/// `value.name`, `value[index]` and `value[a:b]`, as Jinja's immutable sandbox has them.
extension Interpreter {
  /// The methods that can be called, by Python's type.
  private static let methods: [String: Set<String>] = [
    "str": [
      "capitalize", "casefold", "center", "count", "endswith", "find", "format", "index", "isalnum", "isalpha", "isascii", "isdecimal", "isdigit",
      "islower", "isnumeric", "isprintable", "isspace", "isupper", "join", "ljust", "lower", "lstrip", "partition", "removeprefix",
      "removesuffix", "replace", "rfind", "rindex", "rjust", "rpartition", "rsplit", "rstrip", "split", "splitlines", "startswith", "strip",
      "swapcase", "title", "upper", "zfill",
    ],
    "dict": ["copy", "get", "items", "keys", "values"],
    "list": ["copy", "count", "index"],
    "tuple": ["count", "index"],
  ]

  /// What Python has as well, and drover doesn't.
  private static let absent: [String: Set<String>] = [
    "str": ["encode", "expandtabs", "format_map", "isidentifier", "istitle", "maketrans", "translate", "unescape", "striptags", "escape"],
    "dict": ["fromkeys"],
    "int": numbers, "float": numbers, "bool": numbers,
    "range": ["start", "stop", "step", "index", "count"],
    "dict_keys": ["mapping", "isdisjoint"], "dict_values": ["mapping"], "dict_items": ["mapping", "isdisjoint"],
    "generator": ["send", "throw", "close"],
    "Macro": ["name", "arguments", "catch_kwargs", "catch_varargs", "caller", "explicit_caller"],
  ]

  private static let numbers: Set = [
    "real", "imag", "numerator", "denominator", "conjugate", "bit_length", "bit_count", "to_bytes", "from_bytes", "as_integer_ratio", "is_integer",
    "hex", "fromhex",
  ]

  /// What would change a list or dictionary: the sandbox lets a template see it as undefined.
  private static let forbidden: [String: Set<String>] = [
    "list": ["append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"],
    "dict": ["clear", "pop", "popitem", "setdefault", "update"],
  ]

  /// `value.name`: an attribute, else an item.
  mutating func attribute(_ name: Text, of value: Value) throws(Failure) -> Value {
    if let found = try ownAttribute(name, of: value) { return found }
    if case .dictionary(let dictionary) = value, let found = dictionary[.text(name)] { return found }
    return .missing(name, of: value)
  }

  /// What Python's `getattr` gives; nil when there is no such attribute.
  func ownAttribute(_ name: Text, of value: Value) throws(Failure) -> Value? {
    let type = value.typeName
    let spelled = name.string
    switch value {
    case .undefined(let missing): throw .runtime(missing.message)
    case .namespace(let number): return namespaces[number][.text(name)]
    case .loop(let number): return loopAttribute(number, spelled)
    default: break
    }
    if Self.methods[type]?.contains(spelled) == true { return .method(of: value, name) }
    if Self.forbidden[type]?.contains(spelled) == true || spelled.hasPrefix("__") {
      return .missing("access to attribute '\(spelled)' of '\(type)' object is unsafe.")
    }
    guard Self.absent[type]?.contains(spelled) != true else { throw .unsupported("the attribute “\(spelled)” of a \(type)") }
    return nil
  }

  /// `value[index]`: an item, else an attribute.
  mutating func item(_ index: Value, of value: Value) throws(Failure) -> Value {
    switch value {
    case .undefined(let missing): throw .runtime(missing.message)
    case .dictionary(let dictionary):
      try charge(index.weight)
      switch index {
      case .sequence, .dictionary: break
      default: if let found = dictionary[try Dictionary.Key(index)] { return found }
      }
    case .text(let text):
      if let at = index.integral { return try element(at, text.count, of: value) { .text(text[$0..<$0 + 1]) } }
    case .sequence(let sequence) where sequence.kind.isIndexed:
      if let at = index.integral { return try element(at, sequence.items.count, of: value) { sequence.items[$0] } }
    default: break
    }
    if case .text(let name) = index {
      return try ownAttribute(name, of: value) ?? .missing(name, of: value)
    }
    return .missing("\(value.typeName) object has no element \((try? index.represented().string) ?? index.typeName)")
  }

  private func element(_ index: Int, _ count: Int, of value: Value, _ at: (Int) -> Value) throws(Failure) -> Value {
    let place = index < 0 ? index.addingUpTo(.max, count) : index
    guard place >= 0, place < count else { return .missing("\(value.typeName) object has no element \(index)") }
    return at(place)
  }

  /// `value[from:to:step]`
  mutating func slice(_ value: Value, _ bounds: [Value?]) throws(Failure) -> Value {
    var numbers: [Int?] = []
    for bound in bounds {
      switch bound {
      case nil, Value.none?: numbers.append(nil)
      case .undefined(let missing)?: throw .runtime("slice indices must be integers: \(missing.message)")
      case let bound?:
        guard let number = bound.integral else { throw .runtime("slice indices must be integers or None") }
        numbers.append(number)
      }
    }
    switch value {
    case .undefined(let missing): throw .runtime(missing.message)
    case .text(let text):
      let places = try places(numbers[0], numbers[1], numbers[2], text.count)
      return .text(Text(places.map { text.characters[$0] }, isSafe: text.isSafe))
    case .sequence(let sequence) where sequence.kind == .list || sequence.kind == .tuple:
      let places = try places(numbers[0], numbers[1], numbers[2], sequence.items.count)
      return .sequence(try Items(places.map { sequence.items[$0] }, sequence.kind))
    case .sequence(let sequence) where sequence.kind == .range: throw .unsupported("a slice of a \(sequence.kind.rawValue)")
    default: throw .runtime("'\(value.typeName)' object is not subscriptable by a slice")
    }
  }

  /// The places that a slice takes of `count` items.
  private mutating func places(_ from: Int?, _ to: Int?, _ step: Int?, _ count: Int) throws(Failure) -> StrideTo<Int> {
    let step = step ?? 1
    guard step != 0 else { throw .runtime("slice step cannot be zero") }
    func clamped(_ bound: Int) -> Int {
      let place = bound < 0 ? bound.addingUpTo(.max, count) : bound
      return step > 0 ? min(max(place, 0), count) : min(max(place, -1), count - 1)
    }
    let start = from.map(clamped) ?? (step > 0 ? 0 : count - 1)
    let end = to.map(clamped) ?? (step > 0 ? count : -1)
    try charge(abs(end - start))
    return stride(from: start, to: end, by: step)
  }
}
