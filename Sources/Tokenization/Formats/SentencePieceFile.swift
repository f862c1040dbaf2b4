internal import FoundationEssentials
internal import SwiftProtobuf

typealias SentencePieceModel = Sentencepiece_ModelProto

/// SentencePiece's `tokenizer.model`: a protocol buffer with the pieces, their scores and kinds, and how text is prepared.
///
/// Source: `sentencepiece_model.proto`, `bpe_model.cc`, `unigram_model.cc` and `normalizer.cc` for what the fields mean to encoding.
extension Vocabulary {
  /// Parses a SentencePiece model of type BPE or Unigram.
  ///
  /// - Parameter file: the name that errors carry.
  public static func sentencePiece(_ bytes: [UInt8], file: String) throws(VocabularyError) -> Vocabulary {
    let pieces: SentencePieces
    let proto: SentencePieceModel
    do {
      pieces = try SentencePieces(bytes, file: file)
      proto = try SentencePieceModel(serializedBytes: pieces.rest)
    } catch let error as VocabularyError {
      throw error
    } catch {
      throw SentencePieces.malformed(file)
    }
    let trainer = proto.trainerSpec
    guard pieces.tokens.count > 0 else { throw VocabularyError(.corrupt, in: file, "a SentencePiece model without pieces") }
    guard trainer.modelType == .bpe || trainer.modelType == .unigram else {
      throw VocabularyError(.unsupported, in: file, "a SentencePiece model of type \(trainer.modelType), and only BPE and Unigram are supported")
    }
    var vocabulary = try sentencePiece(
      tokens: pieces.tokens, scores: pieces.scores, kinds: pieces.kinds, rules: try SentencePieceRules(proto, file: file), file: file)
    for id in 0..<vocabulary.count {
      let kind = vocabulary.kinds[id]
      guard let first = vocabulary.index.find(vocabulary.tokens[id]), first < id, kind != .control, kind != .unknown, kind != .byte else { continue }
      throw VocabularyError(.corrupt, in: file, "“\(vocabulary.tokens.string(id))” is both piece \(first) and piece \(id)")
    }
    if trainer.byteFallback, !vocabulary.hasAllBytes {
      throw VocabularyError(.corrupt, in: file, "falls back to bytes, but has not all 256 byte pieces")
    }
    // As in sentencepiece_processor.cc: the ids are those of the named pieces, if these are control pieces.
    vocabulary.bos = vocabulary.control(trainer.bosPiece)
    vocabulary.eos = vocabulary.control(trainer.eosPiece)
    vocabulary.addsBOS = vocabulary.bos != nil
    return vocabulary
  }

  /// Checks what a SentencePiece file and a GGUF have in common, and makes a vocabulary of it.
  static func sentencePiece(
    tokens: PackedStrings, scores: [Float], kinds: [TokenKind], rules: SentencePieceRules, file: String
  ) throws(VocabularyError) -> Vocabulary {
    for id in 0..<tokens.count {
      guard !tokens[id].isEmpty else { throw VocabularyError(.corrupt, in: file, "piece \(id) is empty") }
      guard scores[id].isFinite else { throw VocabularyError(.corrupt, in: file, "piece \(id) has the score \(scores[id])") }
      if kinds[id] == .byte, byteValue(tokens[id]) == nil {
        throw VocabularyError(.corrupt, in: file, "byte piece \(id) is spelled “\(tokens.string(id))”, not like <0x0A>")
      }
    }
    guard let unknown = kinds.firstIndex(of: .unknown) else { throw VocabularyError(.corrupt, in: file, "no piece stands for unknown characters") }
    var vocabulary = Vocabulary(model: .sentencePiece, tokens: tokens, kinds: kinds, scores: scores, rules: rules)
    vocabulary.unknown = unknown
    return vocabulary
  }

  var hasAllBytes: Bool { Set(kinds.indices.lazy.filter { kinds[$0] == .byte }.map { Self.byteValue(tokens[$0]) }).count == 256 }

  /// The control token spelled `text`.
  func control(_ text: String) -> Int? { specials[text].flatMap { kinds[$0] == .control ? $0 : nil } }

  /// This vocabulary as SentencePiece's own file, which `sentencepiece` loads and Meta's programs expect as `tokenizer.model`.
  ///
  /// - Throws: `unsupported` for any other model than ``Model/sentencePiece``, for one that came in such a file and prepares text as no GGUF can say, and for
  ///   tokens that such a file can't say.
  public func sentencePieceFile() throws(VocabularyError) -> [UInt8] {
    guard model == .sentencePiece, rules.characters == nil, !rules.isUnigram, rules.prefix != .first else {
      throw VocabularyError(.unsupported, in: "tokenizer.model", "a \(model.rawValue) vocabulary can't be written as a SentencePiece model")
    }
    try checkPlainTokens()
    var proto = SentencePieceModel()
    // sentencepiece takes one unknown piece and no more. GGUFs call padding so too (Phi 3's), which no text becomes either.
    let theUnknown = unknown ?? kinds.firstIndex(of: .unknown)
    proto.pieces = (0..<count).map { id in
      var piece = SentencePieceModel.SentencePiece()
      piece.piece = Data(tokens[id])
      piece.score = scores[id]
      let kind: Vocabulary.TokenKind = id == theUnknown ? .unknown : kinds[id] == .unknown ? .control : kinds[id]
      if kind != .normal { piece.type = .init(rawValue: Int(kind.rawValue)) ?? .normal }
      return piece
    }
    proto.trainerSpec.modelType = .bpe
    proto.trainerSpec.vocabSize = Int32(clamping: count)
    proto.trainerSpec.byteFallback = hasAllBytes
    func name(_ id: Int?) -> (Int32, String)? { id.map { (Int32(clamping: $0), tokens.string($0)) } }
    if let (id, piece) = name(unknown) { (proto.trainerSpec.unkID, proto.trainerSpec.unkPiece) = (id, piece) }
    if let (id, piece) = name(bos) { (proto.trainerSpec.bosID, proto.trainerSpec.bosPiece) = (id, piece) } else { proto.trainerSpec.bosID = -1 }
    if let (id, piece) = name(eos) { (proto.trainerSpec.eosID, proto.trainerSpec.eosPiece) = (id, piece) } else { proto.trainerSpec.eosID = -1 }
    proto.normalizerSpec.name = "identity"
    proto.normalizerSpec.addDummyPrefix = rules.prefix != .never
    proto.normalizerSpec.removeExtraWhitespaces = rules.removesExtraSpaces
    do {
      return try proto.serializedBytes()
    } catch {
      throw VocabularyError(.unsupported, in: "tokenizer.model", "can't be written: \(error)")
    }
  }
  /// Checks that the tokens which are looked for in the text as it is written would be found in SentencePiece's prepared text alike. There they are
  /// found as well, but a space is put before the whole text only, and not anew behind each of them; and a space and U+2581 are one.
  private func checkPlainTokens() throws(VocabularyError) {
    for token in added?.tokens ?? [] where !token.isSpecial {
      guard rules.prefix != .never || token.content.unicodeScalars.contains(where: { " \u{2581}\u{FFFD}".unicodeScalars.contains($0) }) else { continue }
      throw VocabularyError(
        .unsupported, in: "tokenizer.model",
        "the text behind the token “\(token.content)”, or the spaces in it, are read otherwise than a SentencePiece model can say")
    }
  }
}
