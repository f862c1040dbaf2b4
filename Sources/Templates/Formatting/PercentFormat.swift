/// Python's `text % values`.
extension Interpreter {
  mutating func percentFormat(_ format: Text, _ values: Value) throws(Failure) -> Text {
    guard !format.isSafe else { throw .unsupported("formatting a text that is marked safe") }
    var given = [values]
    if case .sequence(let sequence) = values, sequence.kind == .tuple { given = sequence.items }
    var used = 0
    var byName = false
    var out: [Text.Character] = []
    var rest = format.characters[...]
    func following() throws(Failure) -> Value {
      guard used < given.count else { throw .runtime("not enough arguments for format string") }
      used += 1
      return given[used - 1]
    }
    while let character = rest.popFirst() {
      guard character == "%" else {
        out.append(character)
        continue
      }
      var named: Value?
      if rest.first.map({ $0 == "(" }) == true {
        guard case .dictionary(let dictionary) = values, let end = rest.firstIndex(where: { $0 == ")" }) else { throw .runtime("format requires a mapping") }
        let name = Text(rest[(rest.startIndex + 1)..<end])
        guard let value = dictionary[.text(name)] else { throw .runtime("KeyError: '\(name.string)'") }
        named = value
        byName = true
        rest = rest[(end + 1)...]
      }
      var field = FieldFormat()
      field.align = ">"
      while let flag = rest.first?.scalar, "-+ 0#".unicodeScalars.contains(flag) {
        switch flag {
        case "-": field.align = "<"
        case "0": field.fill = field.align == "<" ? field.fill : .init(0x30)
        case "#": throw .unsupported("“#” in a format")
        default: field.sign = flag
        }
        rest.removeFirst()
      }
      field.width = try FieldFormat.number(&rest) ?? 0
      if rest.first.map({ $0 == "." }) == true {
        rest.removeFirst()
        field.precision = try FieldFormat.number(&rest) ?? 0
      }
      guard let letter = rest.popFirst()?.scalar else { throw .runtime("incomplete format") }
      if letter == "%" {
        out.append(.init(0x25))
        continue
      }
      let value: Value = if let named { named } else { try following() }
      out += try percentField(value, letter, &field).characters
    }
    if used < given.count, !byName {
      switch values {
      // What Python could look a name up in may be left over.
      case .dictionary, .undefined: break
      case .sequence(let sequence) where sequence.kind == .list || sequence.kind == .range: break
      default: throw .runtime("not all arguments converted during string formatting")
      }
    }
    try charge(out.count)
    return Text(out)
  }

  private mutating func percentField(_ value: Value, _ letter: Unicode.Scalar, _ field: inout FieldFormat) throws(Failure) -> Text {
    switch letter {
    case "s", "r":
      try charge(value.weight)
      field.fill = .init(0x20)
      field.sign = "-"
      return try formatted(.text(letter == "s" ? value.printed() : value.represented()), field)
    case "d", "i", "u", "x", "X", "o":
      var number = value
      if case .number(let float) = value, letter == "d" || letter == "i" || letter == "u" {
        guard let whole = Int(exactly: float.rounded(.towardZero)) else { throw Arithmetic.tooLarge }
        number = .integer(whole)
      }
      guard let whole = number.integral else { throw .runtime("%\(letter) format: a number is required, not \(value.typeName)") }
      guard field.precision == nil else { throw .unsupported("a whole number with a precision in a format") }
      field.type = letter == "i" || letter == "u" ? "d" : letter
      number = .integer(whole)
      if field.fill == "0" { field.align = "=" }
      return try formatted(number, field)
    case "f", "F", "e", "E":
      let number: Double
      switch value {
      case .number(let float): number = float
      default:
        guard let whole = value.integral else { throw .runtime("must be real number, not \(value.typeName)") }
        number = Double(whole)
      }
      field.type = letter
      if field.fill == "0" { field.align = "=" }
      return try formatted(.number(number), field)
    default: throw .unsupported("%\(letter) in a format")
    }
  }
}
