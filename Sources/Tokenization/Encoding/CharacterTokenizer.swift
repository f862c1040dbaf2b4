/// SentencePiece's BPE: over characters, with spaces written as U+2581 and bytes for what has no token.
struct CharacterTokenizer: Tokenizer {
  let vocabulary: Vocabulary
  private let rule: ScoreRule
  /// The token of each byte, nil when there is no byte fallback.
  private let byteIDs: [Int]?
  /// The byte of each byte token.
  private let byteValues: [Int: UInt8]
  private let specials: TextMatcher
  private let userDefined: TextMatcher
  /// No piece continues past a space, so words can be merged one by one.
  private let cutsAtSpaces: Bool
  private let hasUnused: Bool
  private static var space: [UInt8] { [0xE2, 0x96, 0x81] }
  private static var replacement: [UInt8] { [0xEF, 0xBF, 0xBD] }

  init(_ vocabulary: Vocabulary) {
    self.vocabulary = vocabulary
    rule = ScoreRule(index: vocabulary.index, scores: vocabulary.scores)
    let kinds = vocabulary.kinds
    var values: [Int: UInt8] = [:]
    var ids = [Int?](repeating: nil, count: 256)
    for id in kinds.indices where kinds[id] == .byte {
      guard let byte = Vocabulary.byteValue(vocabulary.tokens[id]) else { continue }
      values[id] = byte
      ids[Int(byte)] = ids[Int(byte)] ?? id
    }
    byteValues = values
    byteIDs = ids.contains(nil) ? nil : ids.compactMap(\.self)
    let defined = kinds.indices.filter { kinds[$0] == .userDefined }
    userDefined = TextMatcher(vocabulary.tokens, ids: defined)
    specials = TextMatcher(vocabulary.tokens, ids: vocabulary.specials.values)
    hasUnused = kinds.contains(.unused)
    // Which halves an unused piece falls into may depend on the whole text.
    cutsAtSpaces = !hasUnused && kinds.indices.allSatisfy { id in
      switch kinds[id] {
      case .normal, .userDefined, .unused: !vocabulary.tokens.withBytes(id, Self.hasInnerSpace)
      case .unknown, .control, .byte: true
      }
    }
  }

  /// Whether a U+2581 follows anything but another one.
  private static func hasInnerSpace(_ piece: UnsafeBufferPointer<UInt8>) -> Bool {
    var at = 0
    while isSpace(piece, at) { at += 3 }
    while at < piece.count {
      if isSpace(piece, at) { return true }
      at += 1
    }
    return false
  }

  private static func isSpace(_ text: UnsafeBufferPointer<UInt8>, _ at: Int) -> Bool {
    at + 2 < text.count && text[at] == 0xE2 && text[at + 1] == 0x96 && text[at + 2] == 0x81
  }

  func encode(utf8: UnsafeBufferPointer<UInt8>, parsingSpecials: Bool, typed: inout TypedBytes, into ids: inout [Int]) {
    var state = State(merger: MergeBuffer(keepsHalves: hasUnused))
    // The closures below take turns with it.
    var noted = typed
    func encode(_ range: Range<Int>) {
      let normalized = normalize(UnsafeBufferPointer(rebasing: utf8[range]))
      let isTyped = noted.isTyped.isEmpty ? [] : follow(Array(noted.isTyped[range]), of: UnsafeBufferPointer(rebasing: utf8[range]), into: normalized.count)
      normalized.withUnsafeBufferPointer { text in
        userDefined.split(text) { noted.forbids($0, at: $1, isTyped) } text: { encodeWords($0, of: text, &state, into: &ids) } token: {
          state.emit($0, into: &ids)
        }
      }
    }
    defer { typed = noted }
    if parsingSpecials {
      specials.split(utf8, skips: { noted.forbids($0, at: $1) }, text: encode) { state.emit($0, into: &ids) }
    } else if !utf8.isEmpty {
      encode(0..<utf8.count)
    }
  }

  private struct State {
    var merger: MergeBuffer
    var endsWithUnknown = false

    mutating func emit(_ id: Int, into ids: inout [Int]) {
      ids.append(id)
      endsWithUnknown = false
    }
  }

  /// Spaces become U+2581, malformed bytes U+FFFD, and the dummy prefix is put in front.
  private func normalize(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(text.count + text.count / 4 + 3)
    if vocabulary.spacePrefix == .always { result += Self.space }
    var at = 0
    while at < text.count {
      if text[at] == UInt8(ascii: " ") {
        result += Self.space
        at += 1
      } else if let (_, length) = UTF8Scan.scalar(text, at: at, end: text.count) {
        result.append(contentsOf: text[at..<at + length])
        at += length
      } else {
        result += Self.replacement
        at += 1
      }
    }
    return result
  }

  /// Which bytes of a normalized text of `count` bytes come from typed ones.
  private func follow(_ isTyped: [Bool], of text: UnsafeBufferPointer<UInt8>, into count: Int) -> [Bool] {
    var result: [Bool] = []
    result.reserveCapacity(count)
    var at = 0
    while at < text.count {
      let isSpace = text[at] == UInt8(ascii: " ")
      let length = isSpace ? 1 : UTF8Scan.scalar(text, at: at, end: text.count)?.length
      result += Array(repeating: isTyped[at], count: isSpace ? 3 : length ?? 3)
      at += length ?? 1
    }
    // What is in front of it all is the dummy prefix.
    return Array(repeating: false, count: count - result.count) + result
  }

  private func encodeWords(_ range: Range<Int>, of text: UnsafeBufferPointer<UInt8>, _ state: inout State, into ids: inout [Int]) {
    guard cutsAtSpaces else { return encode(range, of: text, &state, into: &ids) }
    var start = range.lowerBound
    while start < range.upperBound {
      var end = start
      while end < range.upperBound, Self.isSpace(text, end) { end += 3 }
      while end < range.upperBound, !Self.isSpace(text, end) { end += 1 }
      encode(start..<end, of: text, &state, into: &ids)
      start = end
    }
  }

  private func encode(_ range: Range<Int>, of text: UnsafeBufferPointer<UInt8>, _ state: inout State, into ids: inout [Int]) {
    guard let base = text.baseAddress else { return }
    state.merger.removeAll()
    var at = range.lowerBound
    while at < range.upperBound {
      let length = max(1, UTF8Scan.expectedLength(text[at]))
      state.merger.append(Symbol(start: at, length: length, id: Int32(vocabulary.index.find(base + at, length) ?? -1)))
      at += length
    }
    state.merger.merge(in: base, by: rule)
    for symbol in state.merger.symbols { emit(symbol, of: text, &state, into: &ids) }
  }

  private func emit(_ symbol: Symbol, of text: UnsafeBufferPointer<UInt8>, _ state: inout State, into ids: inout [Int]) {
    if symbol.id >= 0 {
      // SentencePiece merges through unused pieces, and takes those apart again that are left.
      if hasUnused, vocabulary.kinds[Int(symbol.id)] == .unused, let left = state.merger.halves[symbol.id] {
        for half in [symbol.start..<symbol.start + left, symbol.start + left..<symbol.start + symbol.length] {
          let id = vocabulary.index.find(UnsafeBufferPointer(rebasing: text[half])) ?? -1
          emit(Symbol(start: half.lowerBound, length: half.count, id: Int32(id)), of: text, &state, into: &ids)
        }
      } else {
        state.emit(Int(symbol.id), into: &ids)
      }
    } else if let byteIDs {
      for byte in text[symbol.start..<symbol.start + symbol.length] { state.emit(byteIDs[Int(byte)], into: &ids) }
    } else if let unknown = vocabulary.unknown, !state.endsWithUnknown {
      // SentencePiece makes one token of a run of unknown characters.
      ids.append(unknown)
      state.endsWithUnknown = true
    }
  }

  func bytes(of id: Int) -> [UInt8] {
    switch vocabulary.kind(of: id) {
    case nil, .control: return []
    case .unknown: return Array(" \u{2047} ".utf8)
    case .byte: return byteValues[id].map { [$0] } ?? []
    case .normal, .userDefined, .unused:
      var bytes: [UInt8] = []
      var rest = vocabulary.tokens[id]
      while let byte = rest.first {
        if rest.starts(with: Self.space) {
          bytes.append(UInt8(ascii: " "))
          rest = rest.dropFirst(3)
        } else {
          bytes.append(byte)
          rest = rest.dropFirst()
        }
      }
      return bytes
    }
  }
}

extension Vocabulary {
  /// The byte that a piece such as `<0x0A>` stands for.
  static func byteValue(_ piece: ArraySlice<UInt8>) -> UInt8? {
    guard piece.count == 6, piece.starts(with: "<0x".utf8), piece.last == UInt8(ascii: ">") else { return nil }
    return UInt8(String(decoding: piece.dropFirst(3).dropLast(), as: UTF8.self), radix: 16)
  }

  /// What turns text into this vocabulary's tokens and back.
  public func makeTokenizer() -> any Tokenizer {
    if let pipeline { return PipelineTokenizer(self, pipeline) }
    return switch model {
    case .tiktoken: ByteTokenizer(self, rule: RankRule(index: index))
    case .byteLevel: ByteTokenizer(self, rule: PairRule(merges))
    case .sentencePiece, .pipeline: CharacterTokenizer(self)
    }
  }
}
