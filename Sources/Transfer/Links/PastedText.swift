/// What someone pasted where a link belongs: the link, and what mails, pages, shells and chats put around it and into it.
struct PastedText {
  private(set) var text: String
  /// What was mended, in sentences. They never quote the text.
  private(set) var notes: [String] = []

  init(_ text: String) { self.text = text }

  /// Takes away what isn't the link's. What is left may still be no link.
  mutating func clean() throws(LinkError) {
    removeInvisible()
    removeQuoteMarks()
    trim()
    decodeQuotedPrintable()
    decodeEntities()
    takeMarkdownTarget()
    takeAssignedValue()
    // The command's own = kept it from being recognised.
    decodeQuotedPrintable()
    try joinLines()
    decodeWholeLink()
    try completeScheme()
    if text.contains("\\") {
      text = text.replacing("\\", with: "")
      notes.append("the link had backslashes in it, as a shell wants them where there are no quotes, which were taken out")
    }
  }

  /// Soft hyphens, zero-width spaces, marks of direction and of byte order: nobody sees them, and no link has them.
  private mutating func removeInvisible() {
    let kept = text.unicodeScalars.filter { $0.properties.generalCategory != .format && !(0xFE00...0xFE0F).contains($0.value) && ($0.value >= 0x20 || "\t\n\r".unicodeScalars.contains($0)) }
    guard kept.count < text.unicodeScalars.count else { return }
    text = String(String.UnicodeScalarView(kept))
    notes.append("the link had invisible characters in it, which were taken out")
  }

  /// A mail that answers another one begins each of its lines with `>`.
  private mutating func removeQuoteMarks() {
    let lines = text.split(whereSeparator: \.isNewline)
    guard lines.contains(where: { $0.drop(while: \.isWhitespace).hasPrefix(">") }) else { return }
    text = lines.map { $0.drop { $0 == ">" || $0.isWhitespace } }.joined(separator: "\n")
    notes.append("the link was quoted with >, which was taken out")
  }

  private static let opening = "\"'`<(“‘«‹„‚「『"
  private static let closing = "\"'`>)”’»›“‘」』"

  private mutating func trim() {
    var trimmed = text[...]
    while let first = trimmed.first, first.isWhitespace || Self.opening.contains(first) || Self.closing.contains(first) { trimmed.removeFirst() }
    while let last = trimmed.last, last.isWhitespace || Self.closing.contains(last) || Self.opening.contains(last) { trimmed.removeLast() }
    text = String(trimmed)
  }

  /// `[text](link)`, `[text](<link> "title")`.
  private mutating func takeMarkdownTarget() {
    guard let start = text.firstRange(of: "](") else { return }
    // The last parenthesis was trimmed already, unless something follows it.
    text = String(text[start.upperBound...].prefix { $0 != ")" && $0 != "\"" })
    trim()
    notes.append("the link was taken out of a text in Markdown")
  }

  /// `export DROVER_URL='link'`, `DROVER_URL=link drover …`, `$env:DROVER_URL = "link"`, `drover download 7B --url 'link'`.
  private mutating func takeAssignedValue() {
    guard let scheme = text.firstMatch(of: /(?i)https?(:|%3A)/)?.range.lowerBound else { return }
    let before = text[..<scheme]
    guard before.firstMatch(of: /([A-Za-z_][A-Za-z_0-9]*\s*=|--url[= ])\s*["'«“‘]?$/) != nil else { return }
    let quote = before.last.flatMap { "\"'".contains($0) ? $0 : nil }
    text = String(text[scheme...])
    // A shell's word ends where its quote does, and without one at a space.
    text = String(text.prefix { character in quote.map { character != $0 } ?? (character != " ") })
    trim()
    notes.append("the link was taken out of a command line")
  }

  /// As mails are stored: `=3D` for `=`, and a `=` at the end of a line that goes on in the next (RFC 2045, section 6.7). In a link that is so encoded
  /// no `=` stands for itself, so all of them say whether it is.
  private mutating func decodeQuotedPrintable() {
    var decoded: [UInt8] = []
    var escapes = 0
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "=") else {
        decoded.append(byte)
        continue
      }
      let blanks = rest.prefix { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D || $0 == 0x0A }
      if !blanks.isEmpty {
        rest = rest.dropFirst(blanks.count)
        continue
      }
      let digits = String(decoding: rest.prefix(2), as: UTF8.self)
      guard digits.utf8.count == 2, digits == digits.uppercased(), let value = UInt8(digits, radix: 16) else { return }
      decoded.append(value)
      if value == UInt8(ascii: "=") { escapes += 1 }
      rest = rest.dropFirst(2)
    }
    // One value may begin with 3D by chance; two won't.
    guard escapes >= 2, let decoded = String(validating: decoded, as: UTF8.self) else { return }
    text = decoded
    notes.append("the link had =3D where = belongs (it was copied from a mail's source), which was mended")
  }

  private static let entities = ["&amp;": "&", "&equals;": "=", "&ast;": "*", "&quest;": "?", "&quot;": "\"", "&lt;": "<", "&gt;": ">", "&nbsp;": " "]

  /// A page's source has `&amp;` for `&`, or its number; one that went through two programs has `&amp;amp;`.
  private mutating func decodeEntities() {
    let before = text
    for _ in 0..<5 {
      var decoded = text.replacing(/&#([0-9]{1,3}|[xX][0-9a-fA-F]{1,2});/) { match -> String in
        let number = match.output.1
        let value = number.first == "x" || number.first == "X" ? UInt8(number.dropFirst(), radix: 16) : UInt8(number)
        return value.flatMap { 0x20..<0x7F ~= $0 ? String(Unicode.Scalar($0)) : nil } ?? String(match.output.0)
      }
      for (entity, character) in Self.entities { decoded = decoded.replacing(entity, with: character) }
      if decoded == text { break }
      text = decoded
    }
    guard text != before else { return }
    trim()
    notes.append("the link had &amp; where & belongs (it was copied from a page's source), which was mended")
  }

  /// A mail breaks a long line, and the break comes along.
  private mutating func joinLines() throws(LinkError) {
    guard text.contains(where: \.isWhitespace) else { return }
    let parts = text.split(whereSeparator: \.isWhitespace)
    guard parts.first?.contains("://") == true, parts.dropFirst().allSatisfy({ !$0.contains("://") }) else { throw .notALink }
    text = parts.joined()
    notes.append("the link had line breaks or spaces in it, which were taken out")
  }

  /// A link that is a parameter of another one has its punctuation encoded.
  private mutating func decodeWholeLink() {
    guard text.firstMatch(of: /^(?i)https?%(25)*3A%(25)*2F%(25)*2F/) != nil else { return }
    var decoded = text
    for _ in 0..<5 where !decoded.contains("://") { decoded = percentDecoded(decoded) ?? decoded }
    guard decoded.contains("://") else { return }
    text = decoded
    notes.append("the link was percent-encoded, which was undone")
  }

  private mutating func completeScheme() throws(LinkError) {
    guard !text.isEmpty, !text.contains("://") else { return }
    guard text.contains("?Policy="), text.prefix(while: { $0 != "/" }).contains(".") else { throw .notALink }
    text = "https://" + text
    notes.append("the link lacked its https://, which was put back")
  }
}
