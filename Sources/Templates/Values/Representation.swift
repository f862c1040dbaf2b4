/// What Python's `str` and `repr` write for a value.
extension Value {
  /// `str(value)`, which is what a template prints.
  func printed() throws(Failure) -> Text {
    switch self {
    case .text(let text): return text
    case .undefined: return Text("")
    default: return try represented()
    }
  }

  /// `repr(value)`.
  func represented() throws(Failure) -> Text {
    switch self {
    case .undefined: return Text("Undefined")
    case .none: return Text("None")
    case .boolean(let value): return Text(value ? "True" : "False")
    case .integer(let value): return Text(String(value))
    case .number(let value): return Text(pythonText(value))
    case .text(let text):
      guard !text.isSafe else { throw .unsupported("writing a text that is marked safe inside a list or dictionary") }
      return text.represented
    case .sequence(let sequence):
      var items: [Text] = []
      for item in sequence.items { items.append(try item.represented()) }
      let inside = Text(", ").joining(items)
      switch sequence.kind {
      case .list: return "[" + inside + "]"
      case .tuple: return "(" + inside + (items.count == 1 ? ",)" : ")")
      case .keys, .values, .items: return Text(sequence.kind.rawValue) + "([" + inside + "])"
      case .range: throw .unsupported("printing a range")
      }
    case .dictionary(let dictionary):
      var items: [Text] = []
      for (key, value) in dictionary.pairs { items.append(try key.represented() + ": " + value.represented()) }
      return "{" + Text(", ").joining(items) + "}"
    case .namespace, .generator, .loop, .macro, .function, .method: throw .unsupported("printing a \(typeName)")
    }
  }
}

extension Text {
  /// `repr(text)`: in quotes, with escapes for what can't be printed.
  fileprivate var represented: Text {
    let quote: Character = characters.contains { $0 == "'" } && !characters.contains { $0 == "\"" } ? Character(0x22) : Character(0x27)
    var out = [quote]
    for character in characters {
      func escape(_ letters: String) { out += letters.unicodeScalars.map { Character($0.value, typed: character.isTyped) } }
      switch character.value {
      case 0x5C: escape("\\\\")
      case quote.value: escape(quote == "'" ? "\\'" : "\\\"")
      case 0x0A: escape("\\n")
      case 0x0D: escape("\\r")
      case 0x09: escape("\\t")
      case _ where character.isPrintable: out.append(character)
      case 0..<0x100: escape("\\x" + character.value.hexadecimal(2))
      case 0..<0x10000: escape("\\u" + character.value.hexadecimal(4))
      default: escape("\\U" + character.value.hexadecimal(8))
      }
    }
    return Text(out + [quote])
  }
}

extension UInt32 {
  /// In lower case, with zeros up to `width`.
  func hexadecimal(_ width: Int) -> String {
    let digits = String(self, radix: 16)
    return String(repeating: "0", count: Swift.max(0, width - digits.count)) + digits
  }
}
