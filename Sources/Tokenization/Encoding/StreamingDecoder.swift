/// Turns token ids into text as they come, holding back the bytes of a character that isn't whole yet.
///
/// The pieces joined are what ``Tokenizer/decode(_:keepingSpecials:)`` gives for all ids at once.
public struct StreamingDecoder: Sendable {
  private let tokenizer: any Tokenizer
  private let vocabulary: Vocabulary
  private let keepsSpecials: Bool
  /// SentencePiece: malformed bytes are replaced one by one, and only inside a run of byte tokens.
  private let isSentencePiece: Bool
  private var dropsSpace: Bool
  private var pending: [UInt8] = []

  /// - Parameters:
  ///   - keepingSpecials: whether control tokens show as their text. SentencePiece never shows them.
  ///   - continuing: the ids go on from earlier text, so a leading space is one and not SentencePiece's dummy prefix.
  public init(_ tokenizer: any Tokenizer, keepingSpecials: Bool = false, continuing: Bool = false) {
    self.tokenizer = tokenizer
    vocabulary = tokenizer.vocabulary
    isSentencePiece = vocabulary.model == .sentencePiece || vocabulary.model == .byteFallback
    keepsSpecials = keepingSpecials && !isSentencePiece
    dropsSpace = isSentencePiece && vocabulary.spacePrefix != .never && !continuing
  }

  /// The text that `id` completes; often empty.
  public mutating func append(_ id: Int) -> String {
    guard isSentencePiece else {
      if keepsSpecials, let kind = vocabulary.kind(of: id), kind == .control || kind == .unknown {
        pending += vocabulary.tokens[id]
      } else {
        pending += tokenizer.bytes(of: id)
      }
      let held = UTF8Scan.incompleteSuffix(pending)
      defer { pending.removeFirst(pending.count - held) }
      return String(decoding: pending.dropLast(held), as: UTF8.self)
    }
    let bytes = tokenizer.bytes(of: id)
    if vocabulary.kind(of: id) == .byte {
      dropsSpace = false
      pending += bytes
      return takeCharacters(atEnd: false)
    }
    let text = takeCharacters(atEnd: true)
    guard !bytes.isEmpty else { return text }
    let drops = dropsSpace && bytes.first == UInt8(ascii: " ") && vocabulary.kind(of: id) != .unknown
    dropsSpace = false
    return text + String(decoding: bytes.dropFirst(drops ? 1 : 0), as: UTF8.self)
  }

  /// What was held back: a character that never became whole shows as U+FFFD.
  public mutating func finish() -> String {
    if isSentencePiece { return takeCharacters(atEnd: true) }
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
