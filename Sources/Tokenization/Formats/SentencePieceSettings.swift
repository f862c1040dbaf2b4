internal import FoundationEssentials
internal import SwiftProtobuf

extension SentencePieceRules {
  /// What a model file says of preparing text.
  /// - Throws: for settings that change what comes out and aren't known here.
  init(_ proto: SentencePieceModel, file: String) throws(VocabularyError) {
    let (trainer, normalizer) = (proto.trainerSpec, proto.normalizerSpec)
    isUnigram = trainer.modelType == .unigram
    if !normalizer.precompiledCharsmap.isEmpty {
      guard let map = PrecompiledCharacters(Array(normalizer.precompiledCharsmap)) else {
        throw VocabularyError(.corrupt, in: file, "the precompiled character map of its normalizer (\(normalizer.name)) is malformed")
      }
      characters = map
    }
    prefix = normalizer.addDummyPrefix ? .always : .never
    spaceFollows = trainer.treatWhitespaceAsSuffix
    removesExtraSpaces = normalizer.removeExtraWhitespaces
    escapesSpaces = normalizer.escapeWhitespaces

    func refuse(_ number: UInt64, of part: String) -> VocabularyError {
      VocabularyError(.unsupported, in: file, "its \(part) has the field \(number), which isn't supported")
    }
    // What the trainer did is said in fields up to 54, but for those above no more than how the pieces were made.
    for (number, value) in try SentencePieces.fields(Array(trainer.unknownFields.data), file) {
      if number == 44, case .bytes(let surface) = value { unknownSurface = String(decoding: surface, as: UTF8.self) } else if number > 54 {
        throw refuse(number, of: "trainer_spec")
      }
    }
    // 6: the rules that the map was compiled from.
    for (number, _) in try SentencePieces.fields(Array(normalizer.unknownFields.data), file) where number != 6 { throw refuse(number, of: "normalizer_spec") }
    for (number, value) in try SentencePieces.fields(Array(proto.unknownFields.data), file) {
      guard number == 5, case .bytes(let denormalizer) = value else { throw refuse(number, of: "model") }
      for case (2, .bytes(let map)) in try SentencePieces.fields(Array(denormalizer), file) where !map.isEmpty {
        throw VocabularyError(.unsupported, in: file, "it rewrites what it decodes (denormalizer_spec), which isn't supported")
      }
    }
  }
}
