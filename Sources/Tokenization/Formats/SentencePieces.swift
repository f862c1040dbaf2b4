import Platform

/// The pieces of a SentencePiece model, straight from the wire: as objects of the protocol-buffer library each would take some hundred bytes for the
/// five that it may have in the file. All other fields are few, and go to that library.
///
/// Source: protobuf's "Encoding" page; field numbers as in `sentencepiece.proto`.
struct SentencePieces {
  private(set) var tokens = PackedStrings()
  private(set) var scores: [Float] = []
  private(set) var kinds: [Vocabulary.TokenKind] = []
  /// The model without its pieces and without the samples for testing itself.
  private(set) var rest: [UInt8] = []

  private var controls = 0
  private let file: String
  /// How the pieces were made and how text is prepared: real models have up to 250 kB of it.
  private static let mostRest = 4 << 20
  private static let mostControls = 1 << 16

  init(_ bytes: [UInt8], file: String) throws(VocabularyError) {
    self.file = file
    var wire = Wire(bytes[...], file)
    while let field = try wire.next() {
      switch (field.number, field.value) {
      case (1, .bytes(let piece)): try add(piece)
      case (4, _): break
      default:
        rest += bytes[field.range]
        guard rest.count <= Self.mostRest else {
          throw VocabularyError(.corrupt, in: file, "a SentencePiece model with over \(Self.mostRest >> 20) MB beside its pieces, which none has")
        }
      }
    }
  }

  private mutating func add(_ piece: ArraySlice<UInt8>) throws(VocabularyError) {
    let id = tokens.count
    guard id < Vocabulary.mostTokens else { throw VocabularyError(.corrupt, in: file, "more than \(Vocabulary.mostTokens) pieces, which no vocabulary has") }
    var text: ArraySlice<UInt8> = []
    var score: Float = 0
    var kind = Vocabulary.TokenKind.normal
    var wire = Wire(piece, file)
    while let field = try wire.next() {
      switch (field.number, field.value) {
      case (1, .bytes(let bytes)): text = bytes
      case (2, .fixed32(let bits)): score = Float(bitPattern: bits)
      case (3, .varint(let value)):
        guard let known = UInt8(exactly: value).flatMap({ Vocabulary.TokenKind(rawValue: $0) }) else {
          throw VocabularyError(.corrupt, in: file, "piece \(id) is of the unknown type \(value)")
        }
        kind = known
      case (1...3, _): throw Self.malformed(file)
      default: throw VocabularyError(.unsupported, in: file, "piece \(id) has the field \(field.number), which isn't supported")
      }
    }
    guard !text.isEmpty else { throw VocabularyError(.corrupt, in: file, "piece \(id) is empty") }
    guard text.count <= Vocabulary.longestToken else { throw VocabularyError(.corrupt, in: file, "piece \(id) has \(text.count) bytes, which no piece has") }
    if kind == .control { controls += 1 }
    guard controls <= Self.mostControls else { throw VocabularyError(.corrupt, in: file, "more than \(Self.mostControls) control pieces, which no vocabulary has") }
    tokens.append(text)
    scores.append(score)
    kinds.append(kind)
  }

  static func malformed(_ file: String) -> VocabularyError {
    VocabularyError(.corrupt, in: file, "not a whole SentencePiece model: the protocol buffer is truncated or malformed; fetch it again")
  }

  /// The fields of a message that has few.
  static func fields(_ message: [UInt8], _ file: String) throws(VocabularyError) -> [(number: UInt64, value: Value)] {
    var fields: [(number: UInt64, value: Value)] = []
    var wire = Wire(message[...], file)
    while let field = try wire.next() { fields.append((field.number, field.value)) }
    return fields
  }

  enum Value {
    case varint(UInt64), fixed64, bytes(ArraySlice<UInt8>), fixed32(UInt32)
  }

  /// The fields of a message, one after the other.
  private struct Wire {

    private let message: ArraySlice<UInt8>
    private var at: Int
    private let file: String

    init(_ message: ArraySlice<UInt8>, _ file: String) { (self.message, self.at, self.file) = (message, message.startIndex, file) }

    mutating func next() throws(VocabularyError) -> (number: UInt64, value: Value, range: Range<Int>)? {
      guard at < message.endIndex else { return nil }
      let start = at
      let tag = try varint()
      let value: Value
      switch tag & 7 {
      case 0: value = .varint(try varint())
      case 1:
        _ = try take(8)
        value = .fixed64
      case 2:
        guard let count = Int(exactly: try varint()) else { throw SentencePieces.malformed(file) }
        value = .bytes(try take(count))
      case 5: value = .fixed32(try take(4).reversed().reduce(0) { $0 << 8 | UInt32($1) })
      default: throw SentencePieces.malformed(file)
      }
      guard tag >> 3 > 0 else { throw SentencePieces.malformed(file) }
      return (tag >> 3, value, start..<at)
    }

    private mutating func take(_ count: Int) throws(VocabularyError) -> ArraySlice<UInt8> {
      guard count <= message.endIndex - at else { throw SentencePieces.malformed(file) }
      defer { at += count }
      return message[at..<at + count]
    }

    private mutating func varint() throws(VocabularyError) -> UInt64 {
      var value: UInt64 = 0
      for shift in stride(from: 0, to: 64, by: 7) {
        guard at < message.endIndex else { throw SentencePieces.malformed(file) }
        let byte = message[at]
        at += 1
        value |= UInt64(byte & 0x7F) << UInt64(shift)
        if byte < 0x80 { return value }
      }
      throw SentencePieces.malformed(file)
    }
  }
}
