/// Breaks text that comes in pieces into lines at spaces.
public struct LineWrapper {
  private let indent: String
  private let width: Int
  private var column: Int
  /// The start of a word whose end hasn't come yet, with the space before it.
  private var word = ""

  /// - Parameter column: where the cursor is.
  public init(indent: Int, width: Int, column: Int) {
    self.indent = String(repeating: " ", count: indent)
    self.width = width
    self.column = column
  }

  /// What may be written now that `text` has come.
  public mutating func wrap(_ text: String) -> String {
    var out = ""
    for character in text {
      if character == " " || character.isNewline {
        out += flush()
        word = character == " " ? " " : ""
        if character.isNewline {
          out += "\n" + indent
          column = indent.count
        }
      } else {
        word.append(character)
      }
    }
    return out
  }

  /// The word that was held back.
  public mutating func finish() -> String { flush() }

  private mutating func flush() -> String {
    defer { word = "" }
    let columns = TextWidth.of(word)
    if column + columns > width, word.first == " " {
      column = indent.count + columns - 1
      return "\n" + indent + word.dropFirst()
    }
    column += columns
    return word
  }
}
