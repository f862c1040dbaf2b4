extension FilterTable {
  /// Filters that make text.
  static let textFilters: [String: Filter] = [
    "upper": { (run, value, arguments) throws(Failure) in
      try arguments.none("upper")
      return .text(try run.printed(value).uppercased)
    },
    "lower": { (run, value, arguments) throws(Failure) in
      try arguments.none("lower")
      return .text(try run.printed(value).lowercased)
    },
    "capitalize": { (run, value, arguments) throws(Failure) in
      try arguments.none("capitalize")
      return .text(try run.printed(value).capitalized)
    },
    "title": { (run, value, arguments) throws(Failure) in
      try arguments.none("title")
      return .text(title(try run.printed(value)))
    },
    "trim": { (run, value, arguments) throws(Failure) in
      let set = try run.optionalText(arguments.bound(to: ["chars"], "trim")[0], "trim")
      return .text(try run.printed(value).stripping(set))
    },
    "string": { (run, value, arguments) throws(Failure) in
      try arguments.none("string")
      return .text(try run.printed(value))
    },
    "safe": { (run, value, arguments) throws(Failure) in
      try arguments.none("safe")
      var text = try run.printed(value)
      text.isSafe = true
      return .text(text)
    },
    "e": escape, "escape": escape,
    "forceescape": { (run, value, arguments) throws(Failure) in
      try arguments.none("forceescape")
      var text = try run.printed(value)
      text.isSafe = false
      return .text(text.escaped)
    },
    "replace": { (run, value, arguments) throws(Failure) in
      let values = try arguments.bound(to: ["old", "new", "count"], required: 2, "replace")
      var text = try run.printed(value)
      text.isSafe = false
      let count: Int? = if case Value.none? = values[2] { nil } else { try run.optionalInteger(values[2], "replace") }
      return .text(try run.replace(text, try run.printed(values[0] ?? .none), try run.printed(values[1] ?? .none), count ?? -1))
    },
    "indent": { (run, value, arguments) throws(Failure) in .text(try run.indented(value, arguments)) },
    "join": { (run, value, arguments) throws(Failure) in .text(try run.joined(value, arguments)) },
    "center": { (run, value, arguments) throws(Failure) in
      let width = try run.optionalInteger(arguments.bound(to: ["width"], "center")[0], "center") ?? 80
      return .text(try run.pad(run.printed(value), to: width, .init(0x20), "center"))
    },
    "truncate": { (run, value, arguments) throws(Failure) in .text(try run.truncated(value, arguments)) },
    "wordcount": { (run, value, arguments) throws(Failure) in
      try arguments.none("wordcount")
      var words = 0
      var inWord = false
      for character in try run.printed(value).characters {
        let isWord = character == "_" || character.isAlphabetic || character.isNumeric
        if isWord, !inWord { words += 1 }
        inWord = isWord
      }
      return .integer(words)
    },
    "format": { (run, value, arguments) throws(Failure) in
      let text = try run.printed(value)
      guard arguments.named.isEmpty else {
        guard arguments.positional.isEmpty else { throw .runtime("can't handle positional and keyword arguments at the same time") }
        var dictionary = Dictionary()
        for (name, value) in arguments.named { try dictionary.set(.text(name), value) }
        return .text(try run.percentFormat(text, .dictionary(dictionary)))
      }
      return .text(try run.percentFormat(text, try .tuple(arguments.positional)))
    },
    "tojson": { (run, value, arguments) throws(Failure) in .text(try run.json(value, arguments)) },
  ]

  private static let escape: Filter = { (run, value, arguments) throws(Failure) in
    try arguments.none("escape")
    return .text(try run.printed(value).escaped)
  }

  /// Jinja's own idea of a title: what follows white space, a hyphen or an opening bracket is in upper case.
  private static func title(_ text: Text) -> Text {
    var out: [Text.Character] = []
    var word: [Text.Character] = []
    func end() {
      guard let first = word.first else { return }
      out += first.uppercased + Text(word.dropFirst()).lowercased.characters
      word = []
    }
    for character in text.characters {
      if character.isSpace || ["-", "(", "{", "[", "<"].contains(where: { character == $0 }) {
        end()
        out.append(character)
      } else {
        word.append(character)
      }
    }
    end()
    return Text(out)
  }
}

extension CallArguments {
  /// For what takes no arguments.
  func none(_ function: String) throws(Failure) { _ = try bound(to: [], function) }
}

extension Interpreter {
  fileprivate mutating func indented(_ value: Value, _ arguments: CallArguments) throws(Failure) -> Text {
    let values = try arguments.bound(to: ["width", "first", "blank"], "indent")
    guard case .text(let text) = value else { throw .runtime("indent takes text, not \(value.typeName)") }
    var indent: Text
    if case .text(let given)? = values[0] {
      indent = given
    } else {
      let width = max(0, try optionalInteger(values[0], "indent") ?? 4)
      try charge(width)
      indent = Text(Array(repeating: Text.Character(0x20), count: width))
    }
    guard !text.isSafe else { throw .unsupported("indenting a text that is marked safe") }
    let first = values[1]?.isTrue ?? false
    let blank = values[2]?.isTrue ?? false
    indent.isSafe = false
    let lines = (text + "\n").splitLines()
    try charge(lines.count.multipliedUpToMax(by: indent.count))
    var out = first ? indent.characters : []
    for (at, line) in lines.enumerated() {
      if at > 0 { out.append(.init(0x0A)) }
      if at > 0, blank || !line.isEmpty { out += indent.characters }
      out += line.characters
    }
    return Text(out)
  }

  fileprivate mutating func joined(_ value: Value, _ arguments: CallArguments) throws(Failure) -> Text {
    let values = try arguments.bound(to: ["d", "attribute"], "join")
    var separator = try printed(values[0] ?? .text(""))
    separator.isSafe = false
    var pieces: [Text] = []
    for item in try items(of: value) {
      var shown = item
      if let attribute = values[1], try !isNone(attribute) { shown = try look(up: attribute, in: item) }
      pieces.append(try printed(shown))
    }
    return try joined(pieces, with: separator)
  }

  fileprivate mutating func truncated(_ value: Value, _ arguments: CallArguments) throws(Failure) -> Text {
    let values = try arguments.bound(to: ["length", "killwords", "end", "leeway"], "truncate")
    let text = try self.text(value, "truncate")
    let length = try optionalInteger(values[0], "truncate") ?? 255
    let end = try optionalText(values[2], "truncate") ?? Text("...")
    let leeway = try optionalInteger(values[3], "truncate") ?? 5
    guard length >= end.count, leeway >= 0 else { throw .runtime("truncate needs a length of at least \(end.count) and a leeway that isn't negative") }
    guard text.count > length.addingUpTo(.max, leeway) else { return text }
    let cut = text[0..<length - end.count]
    if values[1]?.isTrue ?? false { return cut + end }
    return (cut.lastIndex(of: " ").map { cut[0..<$0] } ?? cut) + end
  }

  fileprivate mutating func json(_ value: Value, _ arguments: CallArguments) throws(Failure) -> Text {
    let values = try arguments.bound(to: ["ensure_ascii", "indent", "separators", "sort_keys"], "tojson")
    var form = JSONForm()
    form.ensuresASCII = values[0]?.isTrue ?? false
    form.sortsKeys = values[3]?.isTrue ?? false
    if let indent = values[1], try !isNone(indent) {
      form.itemSeparator = ","
      if case .text(let text) = indent {
        form.indent = text
      } else {
        let width = max(0, try optionalInteger(indent, "tojson") ?? 0)
        try charge(value.weight.multipliedUpToMax(by: width.multipliedUpToMax(by: value.depth + 1)))
        form.indent = Text(Array(repeating: Text.Character(0x20), count: width))
      }
    }
    if let separators = values[2], try !isNone(separators) {
      let pair = try items(of: separators)
      guard pair.count == 2 else { throw .runtime("separators must be two") }
      form.itemSeparator = try text(pair[0], "tojson")
      form.keySeparator = try text(pair[1], "tojson")
    }
    try charge(value.weight.multipliedUpToMax(by: 1 + form.itemSeparator.count + form.keySeparator.count + (form.indent?.count ?? 0).multipliedUpToMax(by: value.depth + 1)))
    return try form.write(value)
  }

  func isNone(_ value: Value) throws(Failure) -> Bool {
    if case .none = value { true } else { false }
  }
}
