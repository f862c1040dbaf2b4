/// Turns a piece of text into tokens.
///
/// Sources: `models/bpe/model.rs` and `models/unigram/model.rs` of the `tokenizers` library.
enum PieceModel: Sendable {
  case bpe(BPEModel)
  case unigram(UnigramModel)

  /// Appends the ids of the tokens of `piece`, which isn't empty.
  func encode(_ piece: UnsafeBufferPointer<UInt8>, _ merger: inout MergeBuffer, into ids: inout [Int]) {
    switch self {
    case .bpe(let model): model.encode(piece, &merger, into: &ids)
    case .unigram(let model): model.encode(piece, into: &ids)
    }
  }
}

/// The model's own tokens, which are fewer than the vocabulary's where tokens were added.
struct ModelTokens: Sendable {
  /// In the order of the file, as it spells them.
  let tokens: PackedStrings
  /// The id of each.
  let ids: [Int]
  let index: TokenIndex

  /// The places of the tokens `<0x00>` to `<0xFF>`; nil where there is none.
  var bytePlaces: [Int?] {
    (0..<256).map { byte in
      let digits = String(byte, radix: 16, uppercase: true)
      return index.find("<0x\(byte < 16 ? "0" : "")\(digits)>".utf8)
    }
  }
}

/// Byte-pair encoding over characters, by a list of merges.
struct BPEModel: Sendable {
  private let tokens: ModelTokens
  private let rule: PairRule
  private let unknown: Int?
  private let fusesUnknown: Bool
  private let ignoresMerges: Bool
  private let bytePlaces: [Int?]

  /// - Parameters:
  ///   - merges: in places of `tokens`.
  ///   - unknown: a place too.
  init(_ tokens: ModelTokens, merges: [Vocabulary.Merge], unknown: Int?, fusesUnknown: Bool, fallsBackToBytes: Bool, ignoresMerges: Bool) {
    self.tokens = tokens
    self.unknown = unknown
    self.fusesUnknown = fusesUnknown
    self.ignoresMerges = ignoresMerges
    rule = PairRule(merges)
    bytePlaces = fallsBackToBytes ? tokens.bytePlaces : []
  }

  func encode(_ piece: UnsafeBufferPointer<UInt8>, _ merger: inout MergeBuffer, into ids: inout [Int]) {
    guard let base = piece.baseAddress else { return }
    if ignoresMerges, let place = tokens.index.find(base, piece.count) {
      ids.append(tokens.ids[place])
      return
    }
    merger.removeAll()
    // Where a run of characters without a token begins and how long it is, until it is known what follows.
    var open: Symbol?
    func close() {
      if let symbol = open { merger.append(symbol) }
      open = nil
    }
    var at = 0
    while at < piece.count {
      let length = min(max(1, UTF8Scan.expectedLength(piece[at])), piece.count - at)
      if let place = tokens.index.find(base + at, length) {
        close()
        merger.append(Symbol(start: at, length: length, id: Int32(place)))
      } else if let places = bytes(piece[at..<at + length]) {
        for (offset, place) in places.enumerated() { merger.append(Symbol(start: at + offset, length: 1, id: Int32(place))) }
      } else if let unknown {
        if fusesUnknown, let symbol = open {
          open = Symbol(start: symbol.start, length: symbol.length + length, id: symbol.id)
        } else {
          close()
          open = Symbol(start: at, length: length, id: Int32(unknown))
        }
      }
      at += length
    }
    close()
    merger.merge(in: base, by: rule)
    for symbol in merger.symbols { ids.append(tokens.ids[Int(symbol.id)]) }
  }

  private func bytes(_ character: Slice<UnsafeBufferPointer<UInt8>>) -> [Int]? {
    guard !bytePlaces.isEmpty else { return nil }
    let places = character.compactMap { bytePlaces[Int($0)] }
    return places.count == character.count ? places : nil
  }
}
