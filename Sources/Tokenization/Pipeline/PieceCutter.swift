extension TextPipeline {
  /// One step that cuts text into the pieces that the model sees.
  enum PreTokenizer: Sendable {
    /// - byPattern: cut by GPT-2's pattern first.
    case byteLevel(prefixesSpace: Bool, byPattern: Bool)
    case split(TextCutter, Behavior, inverted: Bool)
    /// By GPT-2's or Llama 3's pattern, which a scanner stands for.
    case scan(Vocabulary.Split)
    case digits(single: Bool)
    case metaspace(replacement: [UInt8], Prefix, splits: Bool)

    /// When `Metaspace` puts its character in front.
    enum Prefix: String, Sendable { case always, first, never }
  }

  /// What becomes of a match.
  enum Behavior: String, Sendable {
    case removed = "Removed"
    case isolated = "Isolated"
    case mergedWithPrevious = "MergedWithPrevious"
    case mergedWithNext = "MergedWithNext"
    case contiguous = "Contiguous"
  }
}

extension TextPipeline.PreTokenizer {
  func apply(_ pieces: [TextPipeline.Piece]) throws(VocabularyError) -> [TextPipeline.Piece] {
    var result: [TextPipeline.Piece] = []
    for piece in pieces where !piece.text.isEmpty { try apply(piece, &result) }
    return result
  }

  private func apply(_ piece: TextPipeline.Piece, _ result: inout [TextPipeline.Piece]) throws(VocabularyError) {
    var text = piece.text
    func add(_ text: ArraySlice<UInt8>) {
      guard !text.isEmpty else { return }
      result.append(.init(text: Array(text), isFirst: piece.isFirst && text.startIndex == 0))
    }
    switch self {
    case .byteLevel(let prefixesSpace, let byPattern):
      if prefixesSpace, text.first != UInt8(ascii: " ") { text.insert(UInt8(ascii: " "), at: 0) }
      for range in byPattern ? Self.scanned(text, .gpt2) : [0..<text.count] {
        result.append(.init(text: Array(ByteAlphabet.encode(text[range]).utf8), isFirst: piece.isFirst && range.lowerBound == 0))
      }
    case .scan(let split):
      for range in Self.scanned(text, split) { add(text[range]) }
    case .split(let cutter, let behavior, let inverted):
      let pieces = try cutter.cut(text).map { (range: $0.range, isMatch: $0.isMatch != inverted) }
      for range in behavior.joined(pieces) { add(text[range]) }
    case .digits(let single):
      for range in Self.digits(text, single: single) { add(text[range]) }
    case .metaspace(let replacement, let prefix, let splits):
      let cutter = TextCutter(string: " ")
      text = try Normalizer.replace(cutter, with: replacement).apply(text)
      if !text.starts(with: replacement), prefix == .always || prefix == .first && piece.isFirst { text = replacement + text }
      guard splits else { return add(text[...]) }
      let pieces = try TextCutter(string: String(decoding: replacement, as: UTF8.self)).cut(text)
      for range in TextPipeline.Behavior.mergedWithNext.joined(pieces) { add(text[range]) }
    }
  }

  private static func scanned(_ text: [UInt8], _ split: Vocabulary.Split) -> [Range<Int>] {
    var ranges: [Range<Int>] = []
    text.withUnsafeBufferPointer { bytes in
      Tokenization.PreTokenizer(text: bytes).scan(0..<bytes.count, split) { ranges.append($0) }
    }
    return ranges
  }

  /// Numeric characters by themselves, or in runs.
  private static func digits(_ text: [UInt8], single: Bool) -> [Range<Int>] {
    let ranges = scanned(text, .digits)
    guard !single else { return ranges }
    var joined: [(Range<Int>, Bool)] = []
    for range in ranges {
      let isNumber = text.withUnsafeBufferPointer { bytes in
        UTF8Scan.scalar(bytes, at: range.lowerBound, end: bytes.count).map { UnicodeText.isNumber($0.value) } ?? false
      }
      if let last = joined.last, last.1, isNumber { joined[joined.count - 1].0 = last.0.lowerBound..<range.upperBound } else { joined.append((range, isNumber)) }
    }
    return joined.map(\.0)
  }
}

extension TextPipeline.Behavior {
  /// The pieces that are left, joined as the behaviour says.
  func joined(_ pieces: [(range: Range<Int>, isMatch: Bool)]) -> [Range<Int>] {
    var result: [Range<Int>] = []
    var wasMatch = false
    switch self {
    case .removed: return pieces.filter { !$0.isMatch }.map(\.range)
    case .isolated: return pieces.map(\.range)
    case .contiguous:
      for (range, isMatch) in pieces {
        if isMatch == wasMatch, let last = result.last { result[result.count - 1] = last.lowerBound..<range.upperBound } else { result.append(range) }
        wasMatch = isMatch
      }
    case .mergedWithPrevious:
      for (range, isMatch) in pieces {
        if isMatch, !wasMatch, let last = result.last { result[result.count - 1] = last.lowerBound..<range.upperBound } else { result.append(range) }
        wasMatch = isMatch
      }
    case .mergedWithNext:
      for (range, isMatch) in pieces.reversed() {
        if isMatch, !wasMatch, let last = result.last { result[result.count - 1] = range.lowerBound..<last.upperBound } else { result.append(range) }
        wasMatch = isMatch
      }
      result.reverse()
    }
    return result
  }
}
