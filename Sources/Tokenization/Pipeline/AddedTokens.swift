/// Tokens that are looked for in text before the model sees it.
///
/// Source: `added_vocabulary.rs` of the `tokenizers` library.
struct AddedTokens: Sendable {
  struct Token: Sendable, Equatable {
    var id: Int
    var content: String
    /// Only where no word character touches it.
    var isSingleWord = false
    /// Takes the white space before or after it along.
    var stripsLeft = false
    var stripsRight = false
    /// Looked for in normalized text, itself normalized.
    var isNormalized = false
    /// A control token.
    var isSpecial = false
  }

  /// A token, or text (`token` is nil) that none was found in.
  struct Match: Sendable {
    var token: Token?
    var range: Range<Int>
  }

  private(set) var tokens: [Token]
  /// Of those that aren't normalized, and of those that are: where they stand in `tokens`.
  private var raw: TextMatcher
  private var normalized: TextMatcher

  init(_ tokens: [Token]) {
    self.tokens = tokens
    raw = TextMatcher(PackedStrings(tokens.map(\.content)), ids: tokens.indices.filter { !tokens[$0].isNormalized })
    normalized = TextMatcher(PackedStrings(), ids: [])
  }

  /// - Parameter normalize: how the contents of normalized tokens look in normalized text.
  init(_ tokens: [Token], normalize: ([UInt8]) throws(VocabularyError) -> [UInt8]) throws(VocabularyError) {
    self.init(tokens)
    var contents = PackedStrings()
    for token in tokens { contents.append(token.isNormalized ? try normalize(Array(token.content.utf8)) : []) }
    normalized = TextMatcher(contents, ids: tokens.indices.filter { tokens[$0].isNormalized })
  }

  /// Cuts raw or normalized text around the tokens in it.
  /// - Parameters:
  ///   - text: well-formed UTF-8.
  ///   - parsingSpecials: whether special tokens are found.
  ///   - forbids: says which tokens are text where they stand.
  func split(
    _ text: UnsafeBufferPointer<UInt8>, isNormalized: Bool, parsingSpecials: Bool, forbids: (_ id: Int, Range<Int>) -> Bool
  ) -> [Match] {
    let matcher = isNormalized ? normalized : raw
    var matches: [Match] = []
    var done = 0
    var at = 0
    while let found = matcher.next(in: text, from: at, to: text.count, skips: { forbids(tokens[$0].id, $1) }) {
      at = found.range.upperBound
      let token = tokens[found.id]
      if token.isSpecial, !parsingSpecials { continue }
      var (start, end) = (found.range.lowerBound, found.range.upperBound)
      if token.isSingleWord, touchesWord(text, start, end) { continue }
      // White space that the token before has taken isn't taken again.
      if token.stripsLeft { start = start < done ? done : start - UnicodeText.trailingSpace(UnsafeBufferPointer(rebasing: text[done..<start])) }
      if token.stripsRight { end = end < done ? done : end + UnicodeText.leadingSpace(UnsafeBufferPointer(rebasing: text[end...])) }
      // Nothing is left of a token that lies in white space which the one before has taken.
      guard start < end else { continue }
      if done < start { matches.append(Match(range: done..<start)) }
      matches.append(Match(token: token, range: start..<end))
      done = end
    }
    if done < text.count { matches.append(Match(range: done..<text.count)) }
    return matches
  }

  private func touchesWord(_ text: UnsafeBufferPointer<UInt8>, _ start: Int, _ end: Int) -> Bool {
    if let (value, _) = UnicodeText.lastScalar(text, start), UnicodeText.isWord(value) { return true }
    if end < text.count, let (value, _) = UTF8Scan.scalar(text, at: end, end: text.count), UnicodeText.isWord(value) { return true }
    return false
  }
}
