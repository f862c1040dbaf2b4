import Foundation
import SystemPackage
import TestSupport
import Testing
import Tokenization

/// Against the sentencepiece library.
@Suite(.needs(.python), .needs(.sentencePieceModel))
struct SentencePieceTests {
  static let load = """
    import base64, sentencepiece
    model = sentencepiece.SentencePieceProcessor(model_file=given['model'])
    """

  struct Given<Value: Encodable>: Encodable {
    let model: String
    let values: Value
  }

  @Test(arguments: SentencePieceFiles.all)
  func encodes(_ path: String) throws {
    let tokenizer = try Vocabulary.load(FilePath(path)).makeTokenizer()
    let theirs = try ask(Self.load + "\nanswer = model.encode(given['values'], add_bos=True, add_eos=True)", Given(model: path, values: Texts.all), as: [[Int]].self)
    expectEqual(try Texts.all.map { try tokenizer.encode($0, bos: true, eos: true) }, theirs, Texts.all)
  }

  @Test(arguments: SentencePieceFiles.all)
  func encodesMalformedUTF8(_ path: String) throws {
    let tokenizer = try Vocabulary.load(FilePath(path)).makeTokenizer()
    let texts = Texts.malformed(2000, seed: 2)
    let theirs = try ask(
      Self.load + "\nanswer = [model.encode(base64.b64decode(text)) for text in given['values']]", Given(model: path, values: texts.map { Data($0) }),
      as: [[Int]].self)
    expectEqual(try texts.map(tokenizer.encode(bytes:)), theirs, texts)
  }

  @Test(arguments: SentencePieceFiles.all)
  func decodes(_ path: String) throws {
    let tokenizer = try Vocabulary.load(FilePath(path)).makeTokenizer()
    let ids = try Texts.all.map { try tokenizer.encode($0, bos: true) } + randomIDs(3000, below: tokenizer.vocabulary.count, seed: 3)
    let theirs = try ask(Self.load + "\nanswer = [model.decode(ids) for ids in given['values']]", Given(model: path, values: ids), as: [String].self)
    expectEqual(ids.map { tokenizer.decode($0) }, theirs, ids)
  }

  @Test(arguments: SentencePieceFiles.all)
  func knowsItsTokens(_ path: String) throws {
    let vocabulary = try Vocabulary.load(FilePath(path))
    let theirs = try ask(
      Self.load + "\nanswer = [model.vocab_size(), model.bos_id(), model.eos_id(), model.unk_id()]", Given(model: path, values: 0), as: [Int].self)
    #expect([vocabulary.count, vocabulary.bos, vocabulary.eos, vocabulary.unknown] == theirs)
  }

  /// A model that a GGUF's vocabulary was written to gives what the original gives.
  @Test(arguments: SentencePieceFiles.all)
  func writesAModelThatSentencePieceLoads(_ path: String) throws {
    let vocabulary = try Vocabulary.load(FilePath(path))
    try withTemporaryFolder { folder in
      let copy = folder + "/tokenizer.model"
      try Data(try vocabulary.sentencePieceFile()).write(to: URL(filePath: copy))
      let answers = try [path, copy].map { file in
        try ask(
          Self.load + "\nanswer = model.encode(given['values'], add_bos=True) + [[model.bos_id(), model.eos_id(), model.unk_id(), model.pad_id(), model.vocab_size()]]",
          Given(model: file, values: Texts.chosen), as: [[Int]].self)
      }
      #expect(answers[0] == answers[1])
    }
  }

  /// Models with what Llama's don't have, made by the library's own trainer.
  @Test(arguments: [
    "user_defined_symbols=['<sep>', 'ing', '▁▁▁▁'], byte_fallback=True", "byte_fallback=False", "add_dummy_prefix=False, byte_fallback=True",
    "control_symbols=['<c>'], user_defined_symbols=['<', '<s', 'a b'], byte_fallback=False, character_coverage=0.98",
  ])
  func encodesWithOtherOptions(_ options: String) throws {
    try withTemporaryFolder { folder in
      let model = folder + "/m.model"
      let theirs = try ask(
        """
        import io, sentencepiece
        out = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(given['values'] * 3), model_writer=out, model_type='bpe', vocab_size=700, minloglevel=2,
            normalization_rule_name='identity', remove_extra_whitespaces=False, split_digits=True, hard_vocab_limit=False, \(options))
        open(given['model'], 'wb').write(out.getvalue())
        model = sentencepiece.SentencePieceProcessor(model_file=given['model'])
        answer = model.encode(given['values'])
        """, Given(model: model, values: Texts.chosen.filter { !$0.contains("\0") }), as: [[Int]].self)
      let tokenizer = try Vocabulary.load(FilePath(model)).makeTokenizer()
      let texts = Texts.chosen.filter { !$0.contains("\0") }
      expectEqual(try texts.map { try tokenizer.encode($0) }, theirs, texts)
    }
  }

  /// Pieces that are switched off are merged through, and taken apart where they would come out.
  @Test(.needs(.sentencePieceModel)) func encodesWithUnusedPieces() throws {
    let full = try Vocabulary.load(FilePath(Peer.sentencePieceModel.path))
    var metadata = Vocabulary.GGUFMetadata(model: "llama")
    metadata.tokens = full.tokens
    metadata.scores = full.scores
    metadata.tokenTypes = full.kinds.enumerated().map { id, kind in
      let isOff = kind == .normal && id % 3 != 0 && full.tokens.string(id).unicodeScalars.count > 1
      return Int((isOff ? Vocabulary.TokenKind.unused : kind).rawValue)
    }
    let vocabulary = try Vocabulary(gguf: metadata, file: "gguf")
    let tokenizer = vocabulary.makeTokenizer()
    let theirs = try withTemporaryFolder { folder in
      try Data(vocabulary.sentencePieceFile()).write(to: URL(filePath: folder + "/m.model"))
      return try ask(Self.load + "\nanswer = model.encode(given['values'])", Given(model: folder + "/m.model", values: Texts.all), as: [[Int]].self)
    }
    expectEqual(try Texts.all.map { try tokenizer.encode($0) }, theirs, Texts.all)
  }
}
