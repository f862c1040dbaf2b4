/// What a SentencePiece model does with a text before it looks for pieces, and how it looks for them.
struct SentencePieceRules: Sendable {
  /// Pieces are chosen for the best sum of their scores (Unigram) in place of being merged (BPE).
  var isUnigram = false
  /// Characters that are replaced before anything else (`precompiled_charsmap`).
  var characters: PrecompiledCharacters?
  /// When a space is put before a text, or behind it where `spaceFollows`.
  var prefix = Prefix.always
  var spaceFollows = false
  /// Spaces at both ends go, and of several in a row all but one.
  var removesExtraSpaces = false
  /// A space is written as U+2581.
  var escapesSpaces = true
  /// What an unknown piece shows as.
  var unknownSurface = " \u{2047} "

  enum Prefix: Sendable {
    case never
    /// Before every run of text between added tokens.
    case always
    /// Before the text that comes first of all, unless it begins with a space: `transformers`' `legacy: false`.
    case first
  }
}

/// Prepares a text for a SentencePiece model.
///
/// Source: `normalizer.cc` of SentencePiece.
struct SentencePieceNormalizer: Sendable {
  private let rules: SentencePieceRules
  /// Pieces that are kept as they are written.
  private let userDefined: TextMatcher
  private let space: [UInt8]
  private static let replacement: [UInt8] = [0xEF, 0xBF, 0xBD]
  /// Bytes that a rule of a character map may replace: those of the library's own maps have some 20. A damaged map can be one that matches without end.
  private static let longestRule = 256

  init(_ rules: SentencePieceRules, userDefined: TextMatcher) {
    self.rules = rules
    self.userDefined = userDefined
    space = rules.escapesSpaces ? [0xE2, 0x96, 0x81] : [UInt8(ascii: " ")]
  }

  /// - Parameters:
  ///   - text: may be malformed; each byte that isn't UTF-8 becomes U+FFFD.
  ///   - isTyped: by byte of `text`; empty where nothing was typed.
  ///   - isFirst: whether nothing comes before this text.
  /// - Returns: the text that the model sees, and which bytes of it come from typed ones.
  func prepare(_ text: UnsafeBufferPointer<UInt8>, isTyped: ArraySlice<Bool>, isFirst: Bool) -> (text: [UInt8], isTyped: [Bool]) {
    var result: [UInt8] = []
    var typed: [Bool] = []
    var at = 0
    if rules.removesExtraSpaces {
      while at < text.count {
        let (replacement, length) = next(text, at)
        guard replacement.map({ $0.elementsEqual(" ".utf8) }) ?? (length == 1 && text[at] == UInt8(ascii: " ")) else { break }
        at += length
      }
    }
    guard at < text.count else { return ([], []) }
    result.reserveCapacity(text.count + text.count / 4 + 3)
    if rules.prefix == .always, !rules.spaceFollows { result += space }

    // Whether a space that comes next is one too many.
    var isAfterSpace = rules.removesExtraSpaces
    func add(_ bytes: some Sequence<UInt8>) {
      var last: UInt8?
      for byte in bytes {
        if byte == UInt8(ascii: " ") {
          if last == nil, isAfterSpace { continue }
          result += space
        } else {
          result.append(byte)
        }
        last = byte
      }
      if let last { isAfterSpace = rules.removesExtraSpaces && last == UInt8(ascii: " ") }
    }
    if !isTyped.isEmpty { typed = Array(repeating: false, count: result.count) }
    while at < text.count {
      let (replacement, length) = next(text, at)
      if let replacement { add(replacement) } else { add(text[at..<at + length]) }
      if !isTyped.isEmpty {
        let places = isTyped.startIndex + at..<isTyped.startIndex + at + length
        typed += Array(repeating: isTyped[places].contains(true), count: result.count - typed.count)
      }
      at += length
    }
    if rules.removesExtraSpaces { while result.suffix(space.count) == space[...] { result.removeLast(space.count) } }
    if !isTyped.isEmpty { typed.removeLast(typed.count - result.count) }
    if rules.prefix == .always, rules.spaceFollows {
      result += space
      if !isTyped.isEmpty { typed += space.map { _ in false } }
    }
    if rules.prefix == .first, isFirst, !result.starts(with: space) {
      result = space + result
      if !isTyped.isEmpty { typed = space.map { _ in false } + typed }
    }
    return (result, typed)
  }

  /// What the bytes at `at` become (nil: what they are) and how many these are.
  private func next(_ text: UnsafeBufferPointer<UInt8>, _ at: Int) -> (replacement: ArraySlice<UInt8>?, length: Int) {
    if rules.characters != nil || rules.removesExtraSpaces, let match = userDefined.prefix(of: text, at: at, to: text.count) { return (nil, match.range.count) }
    if let found = rules.characters?.longest(at: UnsafeBufferPointer(rebasing: text[at...].prefix(Self.longestRule))) { return (found.replacement, found.length) }
    if let (_, length) = UTF8Scan.scalar(text, at: at, end: text.count) { return (nil, length) }
    return (Self.replacement[...], 1)
  }
}
