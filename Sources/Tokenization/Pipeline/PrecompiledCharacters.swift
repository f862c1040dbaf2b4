/// SentencePiece's precompiled character map: a double array (Darts-clone's) from strings to what replaces them.
///
/// Sources: `normalizer.cc` of SentencePiece, `darts.h` of Darts-clone, and the `spm_precompiled` crate.
struct PrecompiledCharacters: Sendable {
  private let units: [UInt32]
  /// Replacements, each ended by a zero byte.
  private let replacements: [UInt8]

  /// - Returns: nil when the bytes aren't such a map.
  init?(_ bytes: [UInt8]) {
    guard bytes.count > 4 else { return nil }
    let size = bytes.withUnsafeBytes { Int($0.loadUnaligned(as: UInt32.self).littleEndian) }
    guard size >= 4, size % 4 == 0, bytes.count >= 4 + size else { return nil }
    units = bytes.withUnsafeBytes { raw in
      (0..<size / 4).map { UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: 4 + 4 * $0, as: UInt32.self)) }
    }
    replacements = Array(bytes[(4 + size)...])
    // What replaces text is text.
    guard String(validating: replacements, as: UTF8.self) != nil else { return nil }
  }

  /// Calls `body` with the length and the replacement's place of each entry that `text` begins with, the shortest first.
  private func forEachPrefix(of text: UnsafeBufferPointer<UInt8>, _ body: (_ length: Int, _ place: Int) -> Bool) {
    func offset(_ unit: UInt32) -> Int { Int((unit >> 10) << ((unit & 1 << 9) >> 6)) }
    var node = offset(units[0])
    for (index, byte) in text.enumerated() {
      if byte == 0 { return }
      node ^= Int(byte)
      guard node < units.count else { return }
      let unit = units[node]
      guard unit & (1 << 31 | 0xFF) == UInt32(byte) else { return }
      node ^= offset(unit)
      guard node < units.count else { return }
      if unit >> 8 & 1 == 1, !body(index + 1, Int(units[node] & 0x7FFF_FFFF)) { return }
    }
  }

  private func replacement(_ place: Int) -> ArraySlice<UInt8> {
    // A place within a character is none.
    guard place < replacements.count, replacements[place] & 0xC0 != 0x80 else { return [] }
    return replacements[place...].prefix { $0 != 0 }
  }

  /// As `tokenizers` does: each short grapheme cluster is looked for as a whole, else each of its characters; the shortest entry counts.
  func normalizedByGraphemes(_ text: [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(text.count)
    func first(_ part: UnsafeBufferPointer<UInt8>) -> ArraySlice<UInt8>? {
      var found: ArraySlice<UInt8>?
      forEachPrefix(of: part) { _, place in
        found = replacement(place)
        return false
      }
      return found
    }
    text.withUnsafeBufferPointer { text in
      UnicodeText.forEachGrapheme(text) { range in
        if range.count < 6, let found = first(UnsafeBufferPointer(rebasing: text[range])) {
          result += found
          return
        }
        var at = range.lowerBound
        while at < range.upperBound {
          let end = at + max(1, UTF8Scan.expectedLength(text[at]))
          let character = UnsafeBufferPointer(rebasing: text[at..<end])
          result += first(character) ?? Array(character)[...]
          at = end
        }
      }
    }
    return result
  }

  /// As SentencePiece does at each place: the longest entry counts.
  /// - Returns: what replaces the first bytes of `text`, and how many of them; nil where nothing does.
  func longest(at text: UnsafeBufferPointer<UInt8>) -> (replacement: ArraySlice<UInt8>, length: Int)? {
    var found: (place: Int, length: Int)?
    forEachPrefix(of: text) { length, place in
      found = (place, length)
      return true
    }
    return found.map { (replacement($0.place), $0.length) }
  }
}
