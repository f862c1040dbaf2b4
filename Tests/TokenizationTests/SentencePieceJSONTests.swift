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

  private static func real(_ name: String) -> String { Peer.sentencePieceModel.path.replacingOccurrences(of: "tokenizer.model.v1", with: name) }

  /// Real models of the Llama 2 kind, whose runs of spaces all have one score, and the demonstration's.
  static let models = ["tokenizer.model.v1", "mistral_instruct_tokenizer_240216.model.v2"].map(real) + [SentencePieceFiles.demo]

  @Test(arguments: models) func givesSentencePiecesIDs(model: String) throws {
    let texts = Texts.all + Texts.random(1500, seed: 91)
    let vocabulary = try Vocabulary.load(FilePath(model))
    try withTemporaryFolder { folder in
      let json = folder + "/tokenizer.json"
      try Data(vocabulary.huggingFaceFile()).write(to: URL(filePath: json))
      let answer = try ask(
        """
        import sentencepiece
        from tokenizers import Tokenizer
        truth = sentencepiece.SentencePieceProcessor(model_file=given['model'])
        tokenizer = Tokenizer.from_file(given['json'])
        # What is typed is text.
        tokenizer.encode_special_tokens = True
        texts = given['texts']
        theirs = [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]
        answer = {'ids': [truth.encode(t) for t in texts], 'theirs': theirs, 'decoded': tokenizer.decode_batch(theirs), 'whole': tokenizer.encode('a b').ids}
        """, Given(model: model, json: json, texts: texts), as: Answer.self)
      expectEqual(answer.theirs, answer.ids, texts)
      for (text, decoded) in zip(texts, answer.decoded) where !text.unicodeScalars.contains("▁") && vocabulary.kinds.contains(.byte) { #expect(decoded == text) }
      let bos = try #require(vocabulary.bos)
      #expect(answer.whole.first == bos && answer.whole.count(where: { $0 == bos }) == 1)
      // And so does what we make of it ourselves.
      let read = try Vocabulary.load(FilePath(json)).makeTokenizer()
      expectEqual(try texts.map { try read.encode($0) }, answer.ids, texts)
    }
  }

  /// After a piece that a user defined SentencePiece puts no space, and `tokenizers` does.
  @Test func piecesDefinedByUsersAreRefused() throws {
    let vocabulary = try Vocabulary.load(FilePath(Self.real("mistral_instruct_tokenizer_241114.model.v7")))
    do {
      _ = try vocabulary.huggingFaceFile()
      Issue.record("written")
    } catch { #expect(error.reason == .unsupported && "\(error)".contains("defined by a user"), "\(error)") }
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
