import Foundation
import SystemPackage
import TestSupport
import Testing
import Tokenization

/// SentencePiece models as a `tokenizer.json`: `tokenizers` makes sentencepiece's ids of it.
@Suite(.needs(.python), .needs(.sentencePieceModel))
struct SentencePieceJSONTests {
  struct Given: Encodable {
    let model: String
    let json: String
    let texts: [String]
  }

  struct Answer: Decodable {
    let ids: [[Int]]
    let theirs: [[Int]]
    let decoded: [String]
    let whole: [Int]
  }

  private static let compare = """
    import sentencepiece
    from tokenizers import Tokenizer
    truth = sentencepiece.SentencePieceProcessor(model_file=given['model'])
    tokenizer = Tokenizer.from_file(given['json'])
    # What is typed is text.
    tokenizer.encode_special_tokens = True
    texts = given['texts']
    theirs = [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]
    answer = {'ids': [truth.encode(t) for t in texts], 'theirs': theirs, 'decoded': tokenizer.decode_batch(theirs), 'whole': tokenizer.encode('a b').ids}
    """

  private static func real(_ name: String) -> String { Peer.sentencePieceModel.path.replacingOccurrences(of: "tokenizer.model.v1", with: name) }

  /// Real models of the Llama 2 kind, whose runs of spaces all have one score, and the demonstration's.
  static let models = ["tokenizer.model.v1", "mistral_instruct_tokenizer_240216.model.v2"].map(real) + [SentencePieceFiles.demo]

  @Test(arguments: models) func givesSentencePiecesIDs(model: String) throws {
    let texts = Texts.all + Texts.random(1500, seed: 91)
    let vocabulary = try Vocabulary.load(FilePath(model))
    try withTemporaryFolder { folder in
      let json = folder + "/tokenizer.json"
      try Data(vocabulary.huggingFaceFile()).write(to: URL(filePath: json))
      let answer = try ask(Self.compare, Given(model: model, json: json, texts: texts), as: Answer.self)
      expectEqual(answer.theirs, answer.ids, texts)
      for (text, decoded) in zip(texts, answer.decoded) where !text.unicodeScalars.contains("▁") && vocabulary.kinds.contains(.byte) { #expect(decoded == text) }
      let bos = try #require(vocabulary.bos)
      #expect(answer.whole.first == bos && answer.whole.count(where: { $0 == bos }) == 1)
      // And so does what we make of it ourselves.
      let read = try Vocabulary.load(FilePath(json)).makeTokenizer()
      expectEqual(try texts.map { try read.encode($0) }, answer.ids, texts)
    }
  }

  /// Pieces that users defined are added tokens, found in the prepared text as SentencePiece finds them: where no space is put in front of a text.
  @Test(.needs(.currentTorch), arguments: ["mistral_instruct_tokenizer_240323.model.v3", "mistral_instruct_tokenizer_241114.model.v7"])
  func piecesDefinedByUsers(_ name: String) throws {
    let pieces = ["[REFERENCE_DOC_19]", "[REFERENCE_DOC_1]", "[INST]", "</s>", "▁▁", "the▁", "REFERENCE", "▁x▁▁"]
    var random = Splitmix(seed: 92)
    let parts = pieces + [" ", "  ", "▁", "\n", "x", "The", "[", "]", "_19]", "字", "é", "<0x0A>"]
    let mixed = (0..<1500).map { _ in (0..<Int.random(in: 1..<9, using: &random)).map { _ in parts.randomElement(using: &random) ?? "" }.joined() }
    let texts = Texts.all + mixed + pieces
    try withTemporaryFolder { folder in
      // The same pieces, three more of them and with spaces among them defined by a user, and no space in front.
      let model = folder + "/tokenizer.model"
      let counts: [Int] = try ask(
        """
        from sentencepiece import sentencepiece_model_pb2 as proto
        model = proto.ModelProto.FromString(open(given['model'], 'rb').read())
        model.normalizer_spec.add_dummy_prefix = False
        free = [p for p in model.pieces if p.piece.startswith('[control_')]
        for piece, text in zip(free, given['texts']): piece.piece, piece.type = text, 4
        open(given['json'], 'wb').write(model.SerializeToString())
        answer = [sum(p.type == 4 for p in model.pieces)]
        """, Given(model: Self.real(name), json: model, texts: ["the▁", "REFERENCE", "▁x▁▁"]), with: .currentTorch)
      #expect(counts[0] >= 23)
      let vocabulary = try Vocabulary.load(FilePath(model))
      let json = folder + "/tokenizer.json"
      try Data(vocabulary.huggingFaceFile()).write(to: URL(filePath: json))
      let answer = try ask(Self.compare, Given(model: model, json: json, texts: texts), as: Answer.self)
      expectEqual(answer.theirs, answer.ids, texts)
      let read = try Vocabulary.load(FilePath(json)).makeTokenizer()
      expectEqual(try texts.map { try read.encode($0, parsingSpecials: false) }, answer.ids, texts)
      let own = vocabulary.makeTokenizer()
      expectEqual(try texts.map { try own.encode($0) }, answer.ids, texts)
    }
  }

  /// SentencePiece puts a space before a text that begins with such a piece, and none behind it; `tokenizers` does one or the other.
  @Test func piecesDefinedByUsersBehindASpaceAreRefused() throws {
    let vocabulary = try Vocabulary.load(FilePath(Self.real("mistral_instruct_tokenizer_241114.model.v7")))
    let error = #expect(throws: VocabularyError.self) { try vocabulary.huggingFaceFile() }
    #expect(error?.reason == .unsupported && error?.message.contains("“[/REF]” is defined by a user") == true, "\(error.map { "\($0)" } ?? "written")")
  }

  /// Two pieces with one score, or a character that is none: SentencePiece goes by where they are in the text, which no list of merges can say.
  @Test(arguments: [([0, 0, 0, -1, -1] as [Float], ["a", "b", "ab", "ba"]), ([0, 0, -1, -2, -3], ["a", "c", "ac", "bc"])])
  func whatAListCantSayIsRefused(scores: [Float], pieces: [String]) throws {
    var metadata = Vocabulary.GGUFMetadata(model: "llama")
    metadata.tokens = PackedStrings(["<unk>"] + pieces)
    metadata.scores = scores
    metadata.tokenTypes = [2] + pieces.map { _ in 1 }
    let vocabulary = try Vocabulary(gguf: metadata, file: "x.gguf")
    do {
      _ = try vocabulary.huggingFaceFile()
      Issue.record("written")
    } catch { #expect(error.reason == .unsupported, "\(error)") }
  }
}
