import Foundation
import SystemPackage
import TestSupport
import Testing
import Tokenization

/// SentencePiece models that are at hand: a path for each.
enum SentencePieceFiles {
  static let demo = Peer.packageRoot + "/Sources/CDemoModel/model/tokenizer.model"
  static let all = [Peer.sentencePieceModel.path, demo]
}

/// SmolLM2's vocabulary, as its GGUF has it.
struct SmolLM2: Decodable {
  let tokens: [String]
  let types: [Int]
  let merges: [String]
  let template: String

  static let shared = Result {
    try ask(
      """
      import gguf
      fields = gguf.GGUFReader(given).fields
      value = lambda key: fields[key].contents()
      answer = {'tokens': value('tokenizer.ggml.tokens'), 'types': value('tokenizer.ggml.token_type'), 'merges': value('tokenizer.ggml.merges'),
                'template': value('tokenizer.chat_template')}
      """, Peer.smolLM2.path, as: SmolLM2.self)
  }

  var metadata: Vocabulary.GGUFMetadata {
    var metadata = Vocabulary.GGUFMetadata(model: "gpt2")
    metadata.tokens = PackedStrings(tokens)
    metadata.tokenTypes = types
    metadata.merges = PackedStrings(merges)
    metadata.pre = "smollm"
    (metadata.bos, metadata.eos, metadata.unknown) = (1, 2, 0)
    metadata.addsBOS = false
    metadata.chatTemplate = template
    return metadata
  }

  static func vocabulary() throws -> Vocabulary { try Vocabulary(gguf: try shared.get().metadata, file: "smollm2.gguf") }

  /// Python that builds `tokenizer`, a `tokenizers.Tokenizer` over the same arrays.
  static let peer = """
    import gguf
    from tokenizers import Tokenizer, AddedToken, Regex, models, pre_tokenizers, decoders, processors
    def smollm2(path):
        fields = gguf.GGUFReader(path).fields
        value = lambda key: fields['tokenizer.ggml.' + key].contents()
        names = value('tokens')
        tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(names)}, merges=[tuple(m.split(' ')) for m in value('merges')]))
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t, k in zip(names, value('token_type')) if k == 3])
        return tokenizer
    """
}

/// Compares ids with a peer's, text by text, and shows the first few that differ.
func expectEqual(_ ours: [[Int]], _ theirs: [[Int]], _ texts: [some Any], sourceLocation: SourceLocation = #_sourceLocation) {
  #expect(ours.count == theirs.count, sourceLocation: sourceLocation)
  let different = zip(zip(ours, theirs), texts).filter { $0.0.0 != $0.0.1 }
  for ((ours, theirs), text) in different.prefix(5) {
    Issue.record("\(String(reflecting: text)): \(ours) and not \(theirs)", sourceLocation: sourceLocation)
  }
  #expect(different.isEmpty, "\(different.count) of \(texts.count) differ", sourceLocation: sourceLocation)
}

func expectEqual(_ ours: [String], _ theirs: [String], _ inputs: [some Any], sourceLocation: SourceLocation = #_sourceLocation) {
  #expect(ours.count == theirs.count, sourceLocation: sourceLocation)
  let different = zip(zip(ours, theirs), inputs).filter { Array($0.0.0.unicodeScalars) != Array($0.0.1.unicodeScalars) }
  for ((ours, theirs), input) in different.prefix(5) {
    Issue.record("\(input): \(String(reflecting: ours)) and not \(String(reflecting: theirs))", sourceLocation: sourceLocation)
  }
  #expect(different.isEmpty, "\(different.count) of \(inputs.count) differ", sourceLocation: sourceLocation)
}

extension Tokenizer {
  func encode(bytes: [UInt8]) throws -> [Int] {
    var ids: [Int] = []
    try bytes.withUnsafeBufferPointer { try encode(utf8: $0, parsingSpecials: false, into: &ids) }
    return ids
  }
}

/// Lists of ids that no encoder would make: halves of characters, control tokens, bytes.
func randomIDs(_ count: Int, below limit: Int, seed: UInt64) -> [[Int]] {
  var generator = Splitmix(seed: seed)
  return (0..<count).map { _ in
    (0..<generator.next(upTo: 12)).map { _ in generator.next(upTo: generator.next(upTo: 2) == 0 ? min(300, limit) : limit) }
  }
}
