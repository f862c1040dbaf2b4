/// Python's `json.dumps`, as transformers' `tojson` filter calls it.
struct JSONForm {
  var ensuresASCII = false
  /// What a level is indented by; nil for everything on one line.
  var indent: Text?
  var itemSeparator = Text(", ")
  var keySeparator = Text(": ")
  var sortsKeys = false

  func write(_ value: Value, level: Int = 0) throws(Failure) -> Text {
    switch value {
    case .none: return "null"
    case .boolean(let value): return Text(value ? "true" : "false")
    case .integer(let value): return Text(String(value))
    case .number(let value): return Text(number(value))
    case .text(let text): return quoted(text)
    case .sequence(let sequence) where sequence.kind == .list || sequence.kind == .tuple:
      var items: [Text] = []
      for item in sequence.items { items.append(try write(item, level: level + 1)) }
      return wrapped("[", items, "]", level)
    case .dictionary(let dictionary):
      let pairs = sortsKeys ? try Value.sort(dictionary.pairs, descending: false) { $0.key } : dictionary.pairs
      var items: [Text] = []
      for (key, value) in pairs { items.append(try quoted(name(key)) + keySeparator + write(value, level: level + 1)) }
      return wrapped("{", items, "}", level)
    default: throw .runtime("Object of type \(value.typeName) is not JSON serializable")
    }
  }

  private func number(_ value: Double) -> String { value.isFinite ? pythonText(value) : value.isNaN ? "NaN" : value < 0 ? "-Infinity" : "Infinity" }

  /// A key as text.
  private func name(_ key: Value) throws(Failure) -> Text {
    switch key {
    case .text(let text): return text
    case .none, .boolean, .integer, .number: return try write(key)
    default: throw .runtime("keys must be str, int, float, bool or None, not \(key.typeName)")
    }
  }

  private func wrapped(_ open: Text, _ items: [Text], _ close: Text, _ level: Int) -> Text {
    guard let indent, !items.isEmpty else { return open + itemSeparator.joining(items) + close }
    func line(_ level: Int) -> Text { Text([Text.Character(0x0A)] + Array(repeating: indent.characters, count: level).joined()) }
    return open + line(level + 1) + (itemSeparator + line(level + 1)).joining(items) + line(level) + close
  }

  private func quoted(_ text: Text) -> Text {
    var out = [Text.Character(0x22)]
    out.reserveCapacity(text.count + 2)
    for character in text.characters {
      func escape(_ letters: String) { out += letters.unicodeScalars.map { Text.Character($0.value, typed: character.isTyped) } }
      switch character.value {
      case 0x22: escape("\\\"")
      case 0x5C: escape("\\\\")
      case 0x0A: escape("\\n")
      case 0x0D: escape("\\r")
      case 0x09: escape("\\t")
      case 0x0C: escape("\\f")
      case 0x08: escape("\\b")
      case 0..<0x20: escape("\\u" + character.value.hexadecimal(4))
      case 0x80..<0x10000 where ensuresASCII: escape("\\u" + character.value.hexadecimal(4))
      case 0x10000... where ensuresASCII:
        let above = character.value - 0x10000
        escape("\\u" + (0xD800 + (above >> 10)).hexadecimal(4) + "\\u" + (0xDC00 + (above & 0x3FF)).hexadecimal(4))
      default: out.append(character)
      }
    }
    return Text(out + [Text.Character(0x22)])
  }
}
