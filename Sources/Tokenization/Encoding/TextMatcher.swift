import Glibc

/// Finds tokens that are looked for in text before anything is merged: the leftmost, and of those the longest.
struct TextMatcher: Sendable {
  private struct Word: Sendable {
    let bytes: [UInt8]
    let id: Int
  }
  /// By first byte, longest first.
  private let words: [[Word]]
  let isEmpty: Bool

  init(_ tokens: PackedStrings, ids: some Sequence<Int>) {
    var words = [[Word]](repeating: [], count: 256)
    for id in ids {
      guard let first = tokens[id].first else { continue }
      words[Int(first)].append(Word(bytes: Array(tokens[id]), id: id))
    }
    isEmpty = words.allSatisfy(\.isEmpty)
    self.words = words.map { $0.sorted { ($0.bytes.count, $1.id) > ($1.bytes.count, $0.id) } }
  }

  /// The first token in `text[start..<end]`.
  /// - Parameter skips: says which tokens are passed over where they stand.
  func next(
    in text: UnsafeBufferPointer<UInt8>, from start: Int, to end: Int, skips: (Int, Range<Int>) -> Bool = { _, _ in false }
  ) -> (range: Range<Int>, id: Int)? {
    guard !isEmpty else { return nil }
    for at in start..<end { if let match = prefix(of: text, at: at, to: end, skips: skips) { return match } }
    return nil
  }

  /// The longest token that begins at `at`.
  func prefix(
    of text: UnsafeBufferPointer<UInt8>, at: Int, to end: Int, skips: (Int, Range<Int>) -> Bool = { _, _ in false }
  ) -> (range: Range<Int>, id: Int)? {
    guard !isEmpty, let base = text.baseAddress else { return nil }
    for word in words[Int(text[at])] where word.bytes.count <= end - at && memcmp(word.bytes, base + at, word.bytes.count) == 0 {
      let range = at..<at + word.bytes.count
      if !skips(word.id, range) { return (range, word.id) }
    }
    return nil
  }

  /// Calls `text` with what lies between the tokens and `token` with each of them.
  func split<Failure: Error>(
    _ buffer: UnsafeBufferPointer<UInt8>, skips: (Int, Range<Int>) -> Bool, text: (Range<Int>) throws(Failure) -> Void, token: (Int) -> Void
  ) throws(Failure) {
    var at = 0
    while let match = next(in: buffer, from: at, to: buffer.count, skips: skips) {
      if match.range.lowerBound > at { try text(at..<match.range.lowerBound) }
      token(match.id)
      at = match.range.upperBound
    }
    if at < buffer.count { try text(at..<buffer.count) }
  }
}
