/// Cuts a template into tokens, with `trim_blocks` and `lstrip_blocks` as transformers sets them. Source: Jinja2's `lexer.py`.
///
/// White space around tags is decided here: `{%-` takes all of it before the tag and `-%}` all after it; without a sign, a statement or comment takes the
/// spaces before it on its line, and one line break after it; `+` keeps both.
struct Lexer {
  private(set) var source: [Text.Character]
  private var at = 0
  private var line = 1
  private var tokens: [Token] = []

  /// - Throws: `.syntax`.
  static func tokens(_ source: String) throws(TemplateError) -> [Token] {
    var lexer = Lexer(source)
    try lexer.run()
    return lexer.tokens
  }

  private init(_ source: String) {
    self.source = Text(source).characters.withNormalLineBreaks
    // Jinja drops the last line break of a template (`keep_trailing_newline` is off).
    if self.source.last.map({ $0 == "\n" }) == true { self.source.removeLast() }
  }

  private mutating func run() throws(TemplateError) {
    var lineStart = true
    while let tag = nextTag() {
      appendText(upTo: tag, lineStart: lineStart)
      let opening = source[tag + 1]
      at = tag + 2
      if let sign = source.at(at), sign == "-" || sign == "+" { at += 1 }
      if opening == "#" {
        try skipComment()
      } else if opening == "%", let rest = endOfWord("raw", at) {
        try readRaw(rest)
      } else {
        try readTag(opening == "{")
      }
      lineStart = at > 0 && source[at - 1] == "\n"
    }
    appendText(Array(source[at...]))
    tokens.append(Token(kind: .end, line: line))
  }

  /// Where the next `{{`, `{%` or `{#` stands.
  private func nextTag() -> Int? {
    var next = at
    while next + 1 < source.count {
      if source[next] == "{", source[next + 1] == "{" || source[next + 1] == "%" || source[next + 1] == "#" { return next }
      next += 1
    }
    return nil
  }

  private mutating func appendText(_ text: [Text.Character]) {
    if !text.isEmpty { tokens.append(Token(kind: .text(Text(text)), line: line)) }
    line += text.count { $0 == "\n" }
  }

  /// The text before a tag, without the white space that the tag takes.
  private mutating func appendText(upTo tag: Int, lineStart: Bool) {
    var end = tag
    let sign = source.at(tag + 2)
    if sign.map({ $0 == "-" }) == true {
      while end > at, source[end - 1].isSpace { end -= 1 }
    } else if sign.map({ $0 == "+" }) != true, source[tag + 1] != "{" {
      var start = end
      while start > at, source[start - 1] != "\n" { start -= 1 }
      if start > at || lineStart, source[start..<end].allSatisfy(\.isSpace) { end = start }
    }
    let taken = source[end..<tag].count { $0 == "\n" }
    appendText(Array(source[at..<end]))
    line += taken
  }

  /// Whether `word` stands at `place` after white space, ended by `%}` with or without a minus; where it goes on.
  private func endOfWord(_ word: String, _ place: Int) -> Int? {
    var next = place
    func skipSpace() { while let character = source.at(next), character.isSpace { next += 1 } }
    skipSpace()
    for scalar in word.unicodeScalars {
      guard source.at(next).map({ $0 == scalar }) == true else { return nil }
      next += 1
    }
    skipSpace()
    let sign = source.at(next).map { $0 == "-" || word == "endraw" && $0 == "+" } == true ? source[next] : nil
    if sign != nil { next += 1 }
    guard source.at(next).map({ $0 == "%" }) == true, source.at(next + 1).map({ $0 == "}" }) == true else { return nil }
    next += 2
    if let sign, sign == "-" { skipSpace() } else if sign == nil, word == "endraw", source.at(next).map({ $0 == "\n" }) == true { next += 1 }
    return next
  }

  /// `{% raw %}`: text up to `{% endraw %}`.
  private mutating func readRaw(_ start: Int) throws(TemplateError) {
    line += source[at..<start].count { $0 == "\n" }
    at = start
    guard start < source.count else { return }
    let lineStart = source[at - 1] == "\n"
    var tag = at
    while tag + 1 < source.count {
      if source[tag] == "{", source[tag + 1] == "%" {
        var inside = tag + 2
        if let sign = source.at(inside), sign == "-" || sign == "+" { inside += 1 }
        if let rest = endOfWord("endraw", inside) {
          appendText(upTo: tag, lineStart: lineStart)
          line += source[tag..<rest].count { $0 == "\n" }
          at = rest
          return
        }
      }
      tag += 1
    }
    throw TemplateError(.syntax, line: line, "{% raw %} has no {% endraw %}")
  }

  private mutating func skipComment() throws(TemplateError) {
    let start = at
    // As Jinja: what opens at the very end of a template is nothing.
    guard start < source.count else { return }
    while at + 1 < source.count {
      if source[at] == "#", source[at + 1] == "}" {
        let sign = at > start ? source[at - 1] : nil
        at += 2
        skipAfterTag(sign.map { $0 == "-" } == true, sign.map { $0 == "+" } == true)
        line += source[start..<at].count { $0 == "\n" }
        return
      }
      at += 1
    }
    throw TemplateError(.syntax, line: line, "{# has no #}")
  }

  /// What a statement's or comment's end takes of the text behind it.
  private mutating func skipAfterTag(_ minus: Bool, _ plus: Bool) {
    if minus {
      while let character = source.at(at), character.isSpace { at += 1 }
    } else if !plus, source.at(at).map({ $0 == "\n" }) == true {
      at += 1
    }
  }

  /// The inside of `{{ … }}` or `{% … %}`, and the tag's end.
  private mutating func readTag(_ isOutput: Bool) throws(TemplateError) {
    let opened = line
    tokens.append(Token(kind: isOutput ? .beginOutput : .beginStatement, line: line))
    var inside = ExpressionLexer(source, at: at, line: line)
    while true {
      inside.skipSpace()
      guard inside.at < source.count else { throw TemplateError(.syntax, line: opened, "\(isOutput ? "{{ has no }}" : "{% has no %}")") }
      if inside.brackets.isEmpty, let end = endOfTag(isOutput, inside.at) {
        tokens.append(Token(kind: isOutput ? .endOutput : .endStatement, line: inside.line))
        let first = inside.at
        at = end
        let minus = source[first] == "-"
        if isOutput { if minus { skipAfterTag(true, false) } } else { skipAfterTag(minus, source[first] == "+") }
        line = inside.line + source[first..<at].count { $0 == "\n" }
        return
      }
      tokens.append(try inside.next())
    }
  }

  /// Where the text goes on if the tag ends at `place`.
  private func endOfTag(_ isOutput: Bool, _ place: Int) -> Int? {
    var next = place
    if let sign = source.at(next), sign == "-" || sign == "+" && !isOutput { next += 1 }
    guard source.at(next).map({ $0 == (isOutput ? "}" : "%") }) == true, source.at(next + 1).map({ $0 == "}" }) == true else { return nil }
    return next + 2
  }
}

extension [Text.Character] {
  func at(_ index: Int) -> Text.Character? { index < count ? self[index] : nil }

  /// With `\n` for `\r\n` and `\r`.
  var withNormalLineBreaks: [Text.Character] {
    guard contains(where: { $0 == "\r" }) else { return self }
    var out: [Text.Character] = []
    for (place, character) in enumerated() {
      if character == "\n", place > 0, self[place - 1] == "\r" { continue }
      out.append(character == "\r" ? Text.Character(0x0A) : character)
    }
    return out
  }
}
