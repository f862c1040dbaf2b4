/// Cuts text into the pieces that are merged by themselves: the patterns that GPT-2 and Llama 3 give to a regex engine, written out as scanners.
///
/// Bytes that are not UTF-8 count as symbols, one by one.
struct PreTokenizer {
  let text: UnsafeBufferPointer<UInt8>

  /// Calls `body` with each piece of `range`, in order.
  /// - Parameter cuts: applied one after the other, each to what the last one left.
  func forEachPiece(
    _ range: Range<Int>, _ cuts: ArraySlice<Vocabulary.Cut>, _ body: (Range<Int>) -> Void
  ) throws(VocabularyError) {
    guard let cut = cuts.first else {
      if !range.isEmpty { body(range) }
      return
    }
    let rest = cuts.dropFirst()
    var pieces: [Range<Int>] = []
    switch cut {
    case .scan(let split) where rest.isEmpty: return scan(range, split, body)
    case .scan(let split): scan(range, split) { pieces.append($0) }
    case .pattern(let pattern): pieces = try match(range, pattern)
    }
    for piece in pieces { try forEachPiece(piece, rest, body) }
  }

  /// What matches and what lies between, in each run of well-formed text; other bytes one by one.
  private func match(_ range: Range<Int>, _ pattern: Pattern) throws(VocabularyError) -> [Range<Int>] {
    var pieces: [Range<Int>] = []
    var start = range.lowerBound
    while start < range.upperBound {
      var end = start
      while end < range.upperBound, let (_, length) = UTF8Scan.scalar(text, at: end, end: range.upperBound) { end += length }
      for (piece, _) in try TextCutter.pattern(pattern).cut(Array(text[start..<end])) where !piece.isEmpty {
        pieces.append(start + piece.lowerBound..<start + piece.upperBound)
      }
      if end < range.upperBound { pieces.append(end..<end + 1) }
      start = end + 1
    }
    return pieces
  }

  /// Calls `body` with each piece of `range` that a scanner makes.
  func scan(_ range: Range<Int>, _ split: Vocabulary.Split, _ body: (Range<Int>) -> Void) {
    var at = range.lowerBound
    while at < range.upperBound {
      let end =
        switch split {
        case .gpt2: gpt2(at, range.upperBound)
        case .llama3: llama3(at, range.upperBound)
        case .digits: digits(at, range.upperBound)
        }
      body(at..<end)
      at = end
    }
  }

  /// `\p{N}`, or all up to the next one.
  private func digits(_ start: Int, _ end: Int) -> Int {
    let first = character(start, end)
    guard first.kind != .number else { return start + first.length }
    return run(start, end) { $0 != .number }
  }

  /// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
  private func gpt2(_ start: Int, _ end: Int) -> Int {
    if let after = contraction(start, end, ignoringCase: false) { return after }
    let word = text[start] == UInt8(ascii: " ") ? start + 1 : start
    if word < end {
      let kind = character(word, end).kind
      switch kind {
      case .letter, .number, .symbol: return run(word, end) { $0 == kind }
      case .space, .newline: break
      }
    }
    return whitespace(start, end)
  }

  /// `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
  private func llama3(_ start: Int, _ end: Int) -> Int {
    if let after = contraction(start, end, ignoringCase: true) { return after }
    let first = character(start, end)
    let second = start + first.length
    switch first.kind {
    case .letter: return run(second, end) { $0 == .letter }
    case .number:
      var at = second
      for _ in 0..<2 where at < end {
        let next = character(at, end)
        guard next.kind == .number else { break }
        at += next.length
      }
      return at
    case .symbol, .space:
      if second < end, character(second, end).kind == .letter { return run(second, end) { $0 == .letter } }
    case .newline: break
    }
    let symbols = text[start] == UInt8(ascii: " ") ? second : start
    if symbols < end, character(symbols, end).kind == .symbol {
      return run(run(symbols, end) { $0 == .symbol }, end) { $0 == .newline }
    }
    var at = start
    var afterNewline = start
    while at < end {
      let next = character(at, end)
      guard next.kind == .space || next.kind == .newline else { break }
      at += next.length
      if next.kind == .newline { afterNewline = at }
    }
    return afterNewline > start ? afterNewline : whitespace(start, end)
  }

  /// `\s+(?!\S)|\s+`: whitespace up to the text's end, or without the last character when a word follows and it isn't the only one.
  private func whitespace(_ start: Int, _ end: Int) -> Int {
    var at = start
    var last = start
    while at < end {
      let next = character(at, end)
      guard next.kind == .space || next.kind == .newline else { break }
      last = at
      at += next.length
    }
    return at == end || last == start ? at : last
  }

  private func contraction(_ start: Int, _ end: Int, ignoringCase: Bool) -> Int? {
    guard text[start] == UInt8(ascii: "'"), start + 1 < end else { return nil }
    func letter(_ at: Int) -> UInt8 { at < end ? text[at] | (ignoringCase ? 0x20 : 0) : 0 }
    let first = text[start + 1]
    // What (?i:s) also means in Unicode: U+017F, the long s.
    if ignoringCase, first == 0xC5, start + 2 < end, text[start + 2] == 0xBF { return start + 3 }
    guard first < 0x80 else { return nil }
    switch letter(start + 1) {
    case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"): return start + 2
    case UInt8(ascii: "r"), UInt8(ascii: "v"): return letter(start + 2) == UInt8(ascii: "e") ? start + 3 : nil
    case UInt8(ascii: "l"): return letter(start + 2) == UInt8(ascii: "l") ? start + 3 : nil
    default: return nil
    }
  }

  private func run(_ start: Int, _ end: Int, _ belongs: (CharacterKind) -> Bool) -> Int {
    var at = start
    while at < end {
      let next = character(at, end)
      guard belongs(next.kind) else { break }
      at += next.length
    }
    return at
  }

  @inline(__always)
  private func character(_ at: Int, _ end: Int) -> (kind: CharacterKind, length: Int) {
    if text[at] < 0x80 { return (CharacterKind.ascii[Int(text[at])], 1) }
    guard let (value, length) = UTF8Scan.scalar(text, at: at, end: end) else { return (.symbol, 1) }
    if value < 0x10000 { return (CharacterKind.basic[Int(value)], length) }
    return (Unicode.Scalar(value).map { CharacterKind($0) } ?? .symbol, length)
  }
}

/// What the patterns tell apart.
enum CharacterKind: UInt8 {
  /// `\p{L}`
  case letter
  /// `\p{N}`
  case number
  /// `[\r\n]`
  case newline
  /// Any other `\s`
  case space
  /// `[^\s\p{L}\p{N}]`
  case symbol

  /// The kind that Unicode 16 gives `scalar`, which is what the regex engines under tiktoken and `tokenizers` know: what a later version added
  /// is a symbol to them.
  init(_ scalar: Unicode.Scalar) {
    // Hangul and the ideographs: half of the plane, and letters since long ago.
    if 0x4E00...0x9FFF ~= scalar.value || 0xAC00...0xD7A3 ~= scalar.value {
      self = .letter
      return
    }
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: self = .letter
    case .decimalNumber, .letterNumber, .otherNumber: self = .number
    default:
      if scalar == "\r" || scalar == "\n" { self = .newline } else { self = scalar.properties.isWhitespace ? .space : .symbol }
      return
    }
    if let age = scalar.properties.age, age.major > 16 { self = .symbol }
  }

  static let ascii: [CharacterKind] = (0..<128).map { CharacterKind(Unicode.Scalar(UInt8($0))) }
  /// The Basic Multilingual Plane, looked up once: the standard library's tables take a search for each character.
  static let basic: [CharacterKind] = (0..<0x10000).map { Unicode.Scalar(UInt16($0)).map { CharacterKind($0) } ?? .symbol }
}
