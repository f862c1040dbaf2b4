/// Python's `str.format`.
extension Interpreter {
  mutating func braceFormat(_ format: Text, _ arguments: CallArguments) throws(Failure) -> Text {
    guard !format.isSafe else { throw .unsupported("formatting a text that is marked safe") }
    var out: [Text.Character] = []
    var rest = format.characters[...]
    var next = 0
    while let character = rest.popFirst() {
      guard character == "{" || character == "}" else {
        out.append(character)
        continue
      }
      if let second = rest.first, second == character {
        out.append(character)
        rest.removeFirst()
        continue
      }
      guard character == "{" else { throw .runtime("Single '}' encountered in format string") }
      guard let end = rest.firstIndex(where: { $0 == "}" }) else { throw .runtime("expected '}' before end of string") }
      let field = rest[..<end]
      guard !field.contains(where: { $0 == "{" }) else { throw .unsupported("a field inside a field of a format") }
      out += try self.field(field, arguments, &next).characters
      rest = rest[(end + 1)...]
    }
    try charge(out.count)
    return Text(out)
  }

  /// `name!conversion:format`
  private mutating func field(_ field: ArraySlice<Text.Character>, _ arguments: CallArguments, _ next: inout Int) throws(Failure) -> Text {
    let colon = field.firstIndex { $0 == ":" }
    var name = field[..<(colon ?? field.endIndex)]
    let spec = colon.map { Text(field[($0 + 1)...]) } ?? Text("")
    var conversion: Text.Character?
    if let mark = name.firstIndex(where: { $0 == "!" }) {
      guard mark + 2 == name.endIndex else { throw .runtime("a conversion of a format is one letter") }
      conversion = name[mark + 1]
      name = name[..<mark]
    }
    var value = try fieldValue(name, arguments, &next)
    switch conversion?.scalar {
    case nil: break
    case "s": value = .text(try printed(value))
    case "r":
      try charge(value.weight)
      value = .text(try value.represented())
    default: throw .unsupported("the conversion “!\(Text([conversion ?? .init(0x20)]).string)” of a format")
    }
    return try formatted(value, try FieldFormat(spec))
  }

  /// `name`, `0`, nothing for the next one, with `.attribute` and `[item]` behind it.
  private mutating func fieldValue(_ name: ArraySlice<Text.Character>, _ arguments: CallArguments, _ next: inout Int) throws(Failure) -> Value {
    let first = name.prefix { $0 != "." && $0 != "[" }
    var rest = name[first.endIndex...]
    var value: Value
    if first.isEmpty {
      guard next >= 0 else { throw .runtime("cannot switch from manual field specification to automatic field numbering") }
      guard next < arguments.positional.count else { throw .runtime("Replacement index \(next) out of range for positional args tuple") }
      value = arguments.positional[next]
      next += 1
    } else if let index = Int(Text(first).string) {
      guard next <= 0 else { throw .runtime("cannot switch from automatic field numbering to manual field specification") }
      next = -1
      guard index >= 0, index < arguments.positional.count else { throw .runtime("Replacement index \(index) out of range for positional args tuple") }
      value = arguments.positional[index]
    } else {
      guard let named = arguments.named.first(where: { $0.name == Text(first).string }) else { throw .runtime("KeyError: '\(Text(first).string)'") }
      value = named.value
    }
    while let mark = rest.popFirst() {
      if mark == "." {
        let attribute = rest.prefix { $0 != "." && $0 != "[" }
        value = try self.attribute(Text(attribute), of: value)
        rest = rest[attribute.endIndex...]
      } else {
        guard mark == "[", let end = rest.firstIndex(where: { $0 == "]" }) else { throw .runtime("Missing ']' in format string") }
        let key = Text(rest[..<end])
        value = try item(Int(key.string).map { .integer($0) } ?? .text(key), of: value)
        rest = rest[(end + 1)...]
      }
    }
    return value
  }
}
