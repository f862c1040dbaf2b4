/// One step that rewrites text before it is cut.
enum Normalizer: Sendable {
  case prepend([UInt8])
  case replace(TextCutter, with: [UInt8])
  case form(UnicodeText.Form)
  case lowercase
  case strip(left: Bool, right: Bool)
  case precompiled(PrecompiledCharacters)

  func apply(_ text: [UInt8]) throws(VocabularyError) -> [UInt8] {
    switch self {
    case .prepend(let prefix): return text.isEmpty ? text : prefix + text
    case .replace(let cutter, let content):
      var result: [UInt8] = []
      for (range, isMatch) in try cutter.cut(text) { result += isMatch ? content[...] : text[range] }
      return result
    case .form(let form):
      guard let result = UnicodeText.normalized(text, form) else {
        throw VocabularyError(.unreadable, in: "text", "there is no memory to normalize it")
      }
      return result
    case .lowercase: return UnicodeText.lowercased(text)
    case .strip(let left, let right):
      return text.withUnsafeBufferPointer { bytes in
        let start = left ? UnicodeText.leadingSpace(bytes) : 0
        let end = right ? bytes.count - UnicodeText.trailingSpace(bytes) : bytes.count
        return start < end ? Array(bytes[start..<end]) : []
      }
    case .precompiled(let characters): return characters.normalizedByGraphemes(text)
    }
  }
}

/// Finds what a `Replace` or `Split` step is about: a pattern, or a string as it stands.
enum TextCutter: Sendable {
  case pattern(Pattern)
  case string(TextMatcher)

  init(string: String) { self = .string(TextMatcher(PackedStrings([string]), ids: [0])) }

  /// The text in pieces, those that match and those between.
  func cut(_ text: [UInt8]) throws(VocabularyError) -> [(range: Range<Int>, isMatch: Bool)] {
    var matches: [Range<Int>] = []
    switch self {
    case .pattern(let pattern):
      let found = text.withUnsafeBufferPointer { bytes in Result { () throws(VocabularyError) in try pattern.matches(in: bytes) } }
      matches = try found.get()
    case .string(let matcher):
      text.withUnsafeBufferPointer { bytes in
        var at = 0
        while let found = matcher.next(in: bytes, from: at, to: bytes.count) {
          matches.append(found.range)
          at = found.range.upperBound
        }
      }
    }
    var pieces: [(range: Range<Int>, isMatch: Bool)] = []
    var done = 0
    for match in matches {
      if done < match.lowerBound { pieces.append((done..<match.lowerBound, false)) }
      pieces.append((match, true))
      done = match.upperBound
    }
    if done < text.count { pieces.append((done..<text.count, false)) }
    return pieces
  }
}
