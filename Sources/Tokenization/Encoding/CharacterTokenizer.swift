/// SentencePiece: over characters, with spaces written as U+2581 and bytes for what has no token.
struct CharacterTokenizer: Tokenizer {
  let vocabulary: Vocabulary
  private let rule: ScoreRule
  /// Of a Unigram model.
  private let paths: BestPath?
  private let normalizer: SentencePieceNormalizer
  /// The token of each byte, nil when there is no byte fallback.
  private let byteIDs: [Int]?
  /// The byte of each byte token.
  private let byteValues: [Int: UInt8]
  /// Looked for in the text as it is.
  private let added: AddedTokens
  /// Looked for in the prepared text.
  private let userDefined: TextMatcher
  /// No piece continues past a space, so words can be merged one by one.
  private let cutsAtSpaces: Bool
  private let hasUnused: Bool
  private static var space: [UInt8] { [0xE2, 0x96, 0x81] }

  init(_ vocabulary: Vocabulary) {
    self.vocabulary = vocabulary
    rule = ScoreRule(index: vocabulary.index, scores: vocabulary.scores)
    paths = vocabulary.rules.isUnigram ? Self.paths(vocabulary) : nil
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
    added = vocabulary.added ?? AddedTokens(vocabulary.specials.map { AddedTokens.Token(id: $0.value, content: $0.key, isSpecial: true) })
    let isAdded = Set(added.tokens.map(\.id))
    userDefined = TextMatcher(vocabulary.tokens, ids: kinds.indices.filter { kinds[$0] == .userDefined && !isAdded.contains($0) })
    normalizer = SentencePieceNormalizer(vocabulary.rules, userDefined: userDefined)
    hasUnused = kinds.contains(.unused)
    // Which halves an unused piece falls into may depend on the whole text.
    cutsAtSpaces = !hasUnused && kinds.indices.allSatisfy { id in
      switch isAdded.contains(id) ? .control : kinds[id] {
      case .normal, .userDefined, .unused: !vocabulary.tokens.withBytes(id, Self.hasInnerSpace)
      case .unknown, .control, .byte: true
      }
    }
  }

  /// Source: `unigram_model.cc`.
  private static func paths(_ vocabulary: Vocabulary) -> BestPath {
    let kinds = vocabulary.kinds
    let least = kinds.indices.lazy.filter { kinds[$0] == .normal }.map { vocabulary.scores[$0] }.min() ?? 0
    // A user-defined piece gets a score that almost always wins.
    let scores = kinds.indices.map { id in
      kinds[id] == .userDefined ? Double(Float(vocabulary.tokens[id].count) * 0.1 - 0.1) : Double(vocabulary.scores[id])
    }
    let prefixes = PrefixSearch(vocabulary.tokens) { kinds[$0] == .normal || kinds[$0] == .userDefined }
    return BestPath(prefixes, scores: scores, unknownScore: Double(least - Float(BestPath.unknownPenalty)), roundsSums: true)
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
      let part = UnsafeBufferPointer(rebasing: utf8[range])
      let (prepared, isTyped) = normalizer.prepare(part, isTyped: noted.isTyped.isEmpty ? [] : noted.isTyped[range], isFirst: range.lowerBound == 0)
      prepared.withUnsafeBufferPointer { text in
        if let paths {
          for step in paths.find(text, skips: { vocabulary.kinds[$0] == .userDefined && noted.forbids($0, at: $1, isTyped) }) {
            emit(Symbol(start: step.range.lowerBound, length: step.range.count, id: Int32(step.place ?? -1)), of: text, &state, into: &ids)
          }
        } else {
          userDefined.split(text) { noted.forbids($0, at: $1, isTyped) } text: { encodeWords($0, of: text, &state, into: &ids) } token: {
            state.emit($0, into: &ids)
          }
        }
      }
    }
    defer { typed = noted }
    for match in added.split(utf8, isNormalized: false, parsingSpecials: parsingSpecials, forbids: { noted.forbids($0, at: $1) }) {
      if let token = match.token { state.emit(token.id, into: &ids) } else { encode(match.range) }
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
      let length = min(max(1, UTF8Scan.expectedLength(text[at])), range.upperBound - at)
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
    case .unknown: return Array(vocabulary.rules.unknownSurface.utf8)
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
