/// Turns token ids into text as they come, holding back the bytes of a character that isn't whole yet.
///
/// The pieces joined are what ``Tokenizer/decode(_:keepingSpecials:)`` gives for all ids at once.
public struct StreamingDecoder: Sendable {
  private let tokenizer: any Tokenizer
  private let vocabulary: Vocabulary
  private let keepsSpecials: Bool
  /// Tokens stand for single bytes: malformed ones are replaced one by one, and only inside a run of such tokens.
  private let hasByteTokens: Bool
  /// What of the start of the text isn't shown.
  private var lead: TokenDecoder.Lead
  private var pending: [UInt8] = []

  /// - Parameters:
  ///   - keepingSpecials: whether control tokens show as their text. SentencePiece never shows them.
  ///   - continuing: the ids go on from earlier text, so a leading space is one and not SentencePiece's dummy prefix.
  public init(_ tokenizer: any Tokenizer, keepingSpecials: Bool = false, continuing: Bool = false) {
    self.tokenizer = tokenizer
    vocabulary = tokenizer.vocabulary
    let isSentencePiece = vocabulary.model == .sentencePiece && vocabulary.pipeline == nil
    keepsSpecials = keepingSpecials && !isSentencePiece
    hasByteTokens = isSentencePiece || vocabulary.pipeline?.decoder.hasByteTokens ?? false
    lead = if continuing { .nothing } else if isSentencePiece { Self.lead(vocabulary.rules) } else { vocabulary.pipeline?.decoder.lead ?? .nothing }
  }

  /// Source: `Decode` in `sentencepiece_processor.cc`.
  private static func lead(_ rules: SentencePieceRules) -> TokenDecoder.Lead {
    if rules.removesExtraSpaces { return .spaceOfEachToken }
    return rules.prefix == .never ? .nothing : .spaces(1)
  }

  /// The text that `id` completes; often empty.
  public mutating func append(_ id: Int) -> String {
    let kind = vocabulary.kind(of: id)
    let isShownSpecial = keepsSpecials && (kind == .control || kind == .unknown)
    let bytes = isShownSpecial ? Array(vocabulary.tokens[id]) : tokenizer.bytes(of: id)
    guard hasByteTokens else {
      pending += withoutLead(bytes, id)
      let held = UTF8Scan.incompleteSuffix(pending)
      defer { pending.removeFirst(pending.count - held) }
      return String(decoding: pending.dropLast(held), as: UTF8.self)
    }
    if kind == .byte {
      // SentencePiece's dummy prefix is a piece, never a byte.
      if vocabulary.pipeline == nil { lead = .nothing }
      pending += withoutLead(bytes, id)
      return takeCharacters(atEnd: false)
    }
    let text = takeCharacters(atEnd: true)
    guard !bytes.isEmpty else { return text }
    // SentencePiece shows an unknown token with spaces around it.
    if kind == .unknown, !isShownSpecial { lead = .nothing }
    return text + String(decoding: withoutLead(bytes, id), as: UTF8.self)
  }

  private mutating func withoutLead(_ bytes: [UInt8], _ id: Int) -> ArraySlice<UInt8> {
    guard !bytes.isEmpty else { return [] }
    switch lead {
    case .nothing: return bytes[...]
    case .firstTokens:
      lead = .nothing
      return vocabulary.pipeline.map { $0.decoder.bytes(ofFirst: vocabulary.tokens[id])[...] } ?? bytes[...]
    case .spaces(let most):
      let count = bytes.prefix(most).prefix { $0 == UInt8(ascii: " ") }.count
      lead = count == bytes.count && count < most ? .spaces(most - count) : .nothing
      return bytes.dropFirst(count)
    case .spaceOfEachToken:
      if bytes != [UInt8(ascii: " ")] { lead = .nothing }
      return bytes.first == UInt8(ascii: " ") ? bytes.dropFirst() : bytes[...]
    }
  }

  /// What was held back: a character that never became whole shows as U+FFFD.
  public mutating func finish() -> String {
    if hasByteTokens { return takeCharacters(atEnd: true) }
    defer { pending = [] }
    return String(decoding: pending, as: UTF8.self)
  }

  private mutating func takeCharacters(atEnd: Bool) -> String {
    guard !pending.isEmpty else { return "" }
    var text = ""
    var at = 0
    pending.withUnsafeBufferPointer { bytes in
      while at < bytes.count {
        if let (value, length) = UTF8Scan.scalar(bytes, at: at, end: bytes.count), let scalar = Unicode.Scalar(value) {
          text.unicodeScalars.append(scalar)
          at += length
        } else if !atEnd, UTF8Scan.incompleteSuffix(bytes[at...]) == bytes.count - at {
          break
        } else {
          text += "\u{FFFD}"
          at += 1
        }
      }
    }
    pending.removeFirst(at)
    return text
  }
}
