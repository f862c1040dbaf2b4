import Foundation
import SystemPackage
import TestSupport
import Testing
import Tokenization

/// SentencePiece models of all kinds, made by the library's own trainer, against the library.
@Suite(.needs(.python)) struct TrainedModelTests {
  struct Kind: Sendable, CustomTestStringConvertible {
    let type: String
    let rule: String
    var options = ""
    var testDescription: String { "\(type) \(rule) \(options)" }
  }

  static let kinds = ["bpe", "unigram"].flatMap { type in
    ["identity", "nfkc", "nmt_nfkc", "nfkc_cf"].map { Kind(type: type, rule: $0, options: "byte_fallback=True") }
      + [
        Kind(type: type, rule: "nmt_nfkc", options: "user_defined_symbols=['<sep>', 'ing', '①b', 'a  b'], remove_extra_whitespaces=False"),
        Kind(type: type, rule: "nfkc", options: "user_defined_symbols=['<sep>', '▁▁'], byte_fallback=True, add_dummy_prefix=False"),
        Kind(type: type, rule: "nfkc_cf", options: "treat_whitespace_as_suffix=True, unk_surface='?'"),
        Kind(type: type, rule: "identity", options: "control_symbols=['<c>'], split_by_whitespace=False, character_coverage=0.98"),
      ]
  }

  private struct Answer: Decodable {
    let ids: [[Int]]
    let malformed: [[Int]]
    let decoded: [String]
  }

  private struct Given: Encodable {
    let corpus: [String]
    let model: String
    let texts: [String]
    let malformed: [Data]
    let random: [[Int]]
  }

  @Test(arguments: kinds) func encodesAndDecodes(_ kind: Kind) throws {
    let texts = Texts.chosen + Texts.random(max(2000, RandomTextTests.count), seed: 21)
    let malformed = Texts.malformed(2000, seed: 22)
    let random = randomIDs(2000, below: 300, seed: 23)
    try withTemporaryFolder { folder in
      let model = folder + "/m.model"
      let theirs = try ask(
        """
        import io, base64, sentencepiece
        out = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(given['corpus'] * 3), model_writer=out, model_type='\(kind.type)', vocab_size=900,
            minloglevel=2, normalization_rule_name='\(kind.rule)', hard_vocab_limit=False, \(kind.options))
        open(given['model'], 'wb').write(out.getvalue())
        model = sentencepiece.SentencePieceProcessor(model_file=given['model'])
        answer = {'ids': model.encode(given['texts']), 'malformed': [model.encode(base64.b64decode(t)) for t in given['malformed']],
                  'decoded': [model.decode(i) for i in given['random']]}
        """,
        Given(
          corpus: Texts.chosen.filter { !$0.contains("\0") }, model: model, texts: texts, malformed: malformed.map { Data($0) }, random: random),
        as: Answer.self)
      let tokenizer = try Vocabulary.load(FilePath(model)).makeTokenizer()
      expectEqual(try texts.map { try tokenizer.encode($0) }, theirs.ids, texts)
      expectEqual(try malformed.map(tokenizer.encode(bytes:)), theirs.malformed, malformed)
      expectEqual(random.map { tokenizer.decode($0) }, theirs.decoded, random)
    }
  }
}
