/// How much room text takes on a terminal.
enum TextWidth {
  /// Columns that `text` takes: none for escape codes, two for wide characters.
  static func of(_ text: String) -> Int {
    var width = 0
    forEach(text) { _, columns in
      width += columns
      return true
    }
    return width
  }

  /// The start of `text` that fits into `columns`, with its escape codes.
  static func clip(_ text: String, to columns: Int) -> String {
    var room = columns
    var clipped = ""
    forEach(text) { piece, width in
      guard width <= room else {
        room = 0
        return true
      }
      room -= width
      clipped += piece
      return true
    }
    return clipped
  }

  /// `text` in exactly `columns`: padded, or cut at the front, where paths are alike.
  static func fit(_ text: String, to columns: Int) -> String {
    var width = of(text)
    guard width > columns else { return text + String(repeating: " ", count: columns - width) }
    var rest = Substring(text)
    while width > columns - 1, let first = rest.popFirst() { width -= self.columns(first) }
    return columns > 0 ? "…" + rest + String(repeating: " ", count: max(0, columns - 1 - width)) : ""
  }

  /// Calls `body` with each escape code (0 columns) and each character, until it says false.
  private static func forEach(_ text: String, _ body: (String, Int) -> Bool) {
    var escape = ""
    for character in text {
      if character == "\u{1B}" || !escape.isEmpty {
        escape.append(character)
        guard character == "m" else { continue }
        guard body(escape, 0) else { return }
        escape = ""
      } else {
        guard body(String(character), columns(character)) else { return }
      }
    }
  }

  /// Unicode's East Asian Width, as far as file names need it: https://www.unicode.org/reports/tr11/
  private static func columns(_ character: Character) -> Int {
    guard let scalar = character.unicodeScalars.first else { return 0 }
    switch scalar.value {
    case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6,
      0x1F300...0x1F64F, 0x1F900...0x1F9FF, 0x20000...0x3FFFD:
      return 2
    default: return 1
    }
  }
}
