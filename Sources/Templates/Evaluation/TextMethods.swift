/// The methods of Python's `str`.
extension Interpreter {
  mutating func callMethod(of receiver: Value, _ name: String, _ arguments: CallArguments) throws(Failure) -> Value {
    switch receiver {
    case .text(let text): return try callMethod(of: text, name, arguments)
    case .dictionary(let dictionary): return try callMethod(of: dictionary, name, arguments)
    case .sequence(let sequence): return try callMethod(of: sequence, name, arguments)
    default: throw .unsupported("the method “\(name)” of a \(receiver.typeName)")
    }
  }

  private mutating func callMethod(of text: Text, _ name: String, _ arguments: CallArguments) throws(Failure) -> Value {
    switch name {
    case "format": return .text(try braceFormat(text, arguments))
    case "strip", "lstrip", "rstrip":
      let set = try arguments.positionalOnly(to: 1, name)[0]
      return .text(text.stripping(try optionalText(set, name), leading: name != "rstrip", trailing: name != "lstrip"))
    case "split", "rsplit": return try split(text, name, arguments)
    case "splitlines":
      let keeps = try optionalInteger(arguments.bound(to: ["keepends"], name)[0], name) ?? 0
      return try texts(text.splitLines(keepingEnds: keeps != 0))
    case "partition", "rpartition": return try partition(text, name, arguments)
    case "join":
      let items = try items(of: arguments.positionalOnly(to: 1, required: 1, name)[0] ?? .none)
      var pieces: [Text] = []
      for (at, item) in items.enumerated() {
        guard case .text(let piece) = item else { throw .runtime("sequence item \(at): expected str instance, \(item.typeName) found") }
        pieces.append(piece)
      }
      return .text(try joined(pieces, with: text))
    case "replace":
      let values = try arguments.positionalOnly(to: 3, required: 2, name)
      return .text(try replace(text, try self.text(values[0], name), try self.text(values[1], name), try optionalInteger(values[2], name) ?? -1))
    case "startswith", "endswith": return .boolean(try matches(text, name, arguments))
    case "find", "rfind", "index", "rindex", "count": return .integer(try find(text, name, arguments))
    case "removeprefix", "removesuffix":
      let part = try self.text(arguments.positionalOnly(to: 1, required: 1, name)[0], name)
      if name == "removeprefix" { return .text(text.hasPrefix(part) ? text[part.count..<text.count] : text) }
      return .text(text.hasSuffix(part) ? text[0..<text.count - part.count] : text)
    case "center", "ljust", "rjust", "zfill": return .text(try padded(text, name, arguments))
    default: return try plainMethod(of: text, name, arguments)
    }
  }

  /// The methods without arguments.
  private func plainMethod(of text: Text, _ name: String, _ arguments: CallArguments) throws(Failure) -> Value {
    _ = try arguments.positionalOnly(to: 0, name)
    func all(_ holds: (Text.Character) -> Bool) -> Value { .boolean(!text.isEmpty && text.characters.allSatisfy(holds)) }
    switch name {
    case "upper": return .text(text.uppercased)
    case "lower": return .text(text.lowercased)
    case "casefold":
      guard text.characters.allSatisfy({ $0.value < 0x80 }) else { throw .unsupported("casefold of text beyond ASCII") }
      return .text(text.lowercased)
    case "capitalize": return .text(text.capitalized)
    case "title": return .text(text.titlecased)
    case "swapcase": return .text(text.swappingCase)
    case "isupper": return .boolean(text.isUpper)
    case "islower": return .boolean(text.isLower)
    case "isspace": return all(\.isSpace)
    case "isalpha": return all(\.isAlphabetic)
    case "isalnum": return all { $0.isAlphabetic || $0.isDecimal || $0.isDigit || $0.isNumeric }
    case "isdecimal": return all(\.isDecimal)
    case "isdigit": return all(\.isDigit)
    case "isnumeric": return all(\.isNumeric)
    case "isascii": return .boolean(text.characters.allSatisfy { $0.value < 0x80 })
    case "isprintable": return .boolean(text.characters.allSatisfy(\.isPrintable))
    default: throw .unsupported("the method “\(name)” of a str")
    }
  }

  private mutating func split(_ text: Text, _ name: String, _ arguments: CallArguments) throws(Failure) -> Value {
    let values = try arguments.bound(to: ["sep", "maxsplit"], name)
    let limit = try optionalInteger(values[1], name) ?? -1
    let most = limit < 0 ? Int.max : limit
    guard let separator = try optionalText(values[0], name) else {
      return try texts(name == "split" ? text.splitBySpace(most: most) : text.splitBySpaceFromEnd(most: most))
    }
    guard !separator.isEmpty else { throw .runtime("empty separator") }
    try chargeSearch(text, separator)
    return try texts(name == "split" ? text.split(by: separator, most: most) : text.splitFromEnd(by: separator, most: most))
  }

  private mutating func partition(_ text: Text, _ name: String, _ arguments: CallArguments) throws(Failure) -> Value {
    let separator = try self.text(arguments.positionalOnly(to: 1, required: 1, name)[0], name)
    guard !separator.isEmpty else { throw .runtime("empty separator") }
    try chargeSearch(text, separator)
    guard let at = name == "partition" ? text.firstIndex(of: separator) : text.lastIndex(of: separator) else {
      let whole = Value.text(text)
      return try .tuple(name == "partition" ? [whole, .text(""), .text("")] : [.text(""), .text(""), whole])
    }
    return try .tuple([.text(text[0..<at]), .text(text[at..<at + separator.count]), .text(text[at + separator.count..<text.count])])
  }

  mutating func replace(_ text: Text, _ old: Text, _ new: Text, _ most: Int) throws(Failure) -> Text {
    try chargeSearch(text, old)
    try charge(text.occurrences(of: old, from: 0, to: text.count).multipliedUpToMax(by: new.count))
    return text.replacing(old, with: text.isSafe ? new.escaped : new, most: most)
  }

  mutating func joined(_ pieces: [Text], with separator: Text) throws(Failure) -> Text {
    try charge(pieces.reduce(0) { $0.addingUpTo(.max, $1.count, separator.count) })
    return separator.joining(pieces)
  }

  /// The part of `text` between a method's bounds, which Python reads as a slice; nil when it begins behind the end.
  private func part(_ text: Text, _ values: [Value?], _ name: String) throws(Failure) -> Range<Int>? {
    func place(_ bound: Int) -> Int { bound < 0 ? max(0, bound.addingUpTo(.max, text.count)) : bound }
    let start = try optionalInteger(values[1], name).map(place) ?? 0
    let end = min(try optionalInteger(values[2], name).map(place) ?? text.count, text.count)
    return start <= end ? start..<end : nil
  }

  private mutating func matches(_ text: Text, _ name: String, _ arguments: CallArguments) throws(Failure) -> Bool {
    let values = try arguments.positionalOnly(to: 3, required: 1, name)
    var parts: [Text] = []
    if case .sequence(let sequence)? = values[0], sequence.kind == .tuple {
      for item in sequence.items { parts.append(try self.text(item, name)) }
    } else {
      parts = [try self.text(values[0], name)]
    }
    guard let range = try part(text, values, name) else { return false }
    let inside = text[range]
    return parts.contains { name == "startswith" ? inside.hasPrefix($0) : inside.hasSuffix($0) }
  }

  private mutating func find(_ text: Text, _ name: String, _ arguments: CallArguments) throws(Failure) -> Int {
    let values = try arguments.positionalOnly(to: 3, required: 1, name)
    let part = try self.text(values[0], name)
    try chargeSearch(text, part)
    let range = try self.part(text, values, name)
    if name == "count" { return range.map { text.occurrences(of: part, from: $0.lowerBound, to: $0.upperBound) } ?? 0 }
    let backwards = name.hasPrefix("r")
    let found = range.flatMap {
      backwards ? text.lastIndex(of: part, from: $0.lowerBound, to: $0.upperBound) : text.firstIndex(of: part, from: $0.lowerBound, to: $0.upperBound)
    }
    guard found != nil || name.hasSuffix("find") else { throw .runtime("substring not found") }
    return found ?? -1
  }

  private mutating func padded(_ text: Text, _ name: String, _ arguments: CallArguments) throws(Failure) -> Text {
    let values = try arguments.positionalOnly(to: name == "zfill" ? 1 : 2, required: 1, name)
    let width = try optionalInteger(values[0], name) ?? 0
    let fill = name == "zfill" ? Text("0") : try optionalText(values.count > 1 ? values[1] : nil, name) ?? Text(" ")
    guard fill.count == 1 else { throw .runtime("the fill character must be exactly one character long") }
    return try pad(text, to: width, fill.characters[0], name)
  }

  mutating func texts(_ pieces: [Text]) throws(Failure) -> Value {
    try charge(pieces.count.multipliedUpToMax(by: 10))
    return try .list(pieces.map { .text($0) })
  }
}

extension CallArguments {
  /// The arguments of what takes none by name.
  func positionalOnly(to most: Int, required: Int = 0, _ function: String) throws(Failure) -> [Value?] {
    guard named.isEmpty else { throw .runtime("\(function)() takes no keyword arguments") }
    guard (required...most).contains(positional.count) else { throw .runtime("\(function)() takes \(required) to \(most) arguments, not \(positional.count)") }
    return positional + Array(repeating: nil, count: most - positional.count)
  }
}
