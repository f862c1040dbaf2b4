import Foundation
import TestSupport
import Testing
import Tokenization

/// What counts as a letter, a digit or a space, all over Unicode.
///
/// In a vocabulary where `a`, `1`, `!` and the first byte of a character make a token, the ids show which of the three it stays together with.
struct SplitTests {
  static let probes: [UInt8] = Array("a1!".utf8)
  /// The scalars of the planes that have characters, and the ends of the others; of the long runs of ideographs, syllables and unassigned ones
  /// every 16th and those at the ends.
  static let scalars: [Unicode.Scalar] = {
    let ranges: [Range<UInt32>] = [0..<0x40000, 0x4FFF0..<0x50000, 0xE0000..<0xE1000, 0xF0000..<0xF0010, 0x10FFF0..<0x110000]
    let long: [Range<UInt32>] = [0x3400..<0xA000, 0xAC00..<0xF900, 0x12000..<0x1B000, 0x20000..<0x40000]
    return ranges.joined().compactMap { Unicode.Scalar($0) }.filter { scalar in
      let value = scalar.value
      let category = scalar.properties.generalCategory
      return value % 16 == 0 || !long.contains { $0.contains(value) }
        || [value - 1, value + 1].contains { Unicode.Scalar($0)?.properties.generalCategory != category }
    }
  }()
  /// Without the digits that came after Unicode 16: the `Digits` pre-tokenizer asks another, newer table than the patterns do.
  static let settledScalars = scalars.filter { $0.properties.numericType == nil || $0.properties.age.map { $0.major <= 16 } ?? true }
  /// What ends whatever the scalar began.
  static let end = "\u{1} z"

  static func entries(_ scalar: Unicode.Scalar) -> [String] {
    probes.map { String(String.UnicodeScalarView([Unicode.Scalar($0), scalar])) + end }
  }

  /// Every scalar behind each probe, in texts of a size that no library minds.
  static func texts(_ scalars: [Unicode.Scalar]) -> [String] {
    stride(from: 0, to: scalars.count, by: 0x2000).map { start in
      scalars[start..<min(start + 0x2000, scalars.count)].flatMap(entries).joined()
    }
  }
  static let tokens: [[UInt8]] = (0...255).map { [$0] } + probes.flatMap { probe in (1...0xFF).map { [probe, $0] } }

  private func compare(_ ours: any Tokenizer, _ theirs: [[Int]], _ scalars: [Unicode.Scalar]) throws {
    let texts = Self.texts(scalars)
    #expect(theirs.count == texts.count)
    guard try zip(texts, theirs).contains(where: { try ours.encode($0) != $1 }) else { return }
    var ids = theirs.joined().makeIterator()
    var different: [String] = []
    for scalar in scalars {
      for entry in Self.entries(scalar) {
        var theirs: [Int] = []
        var left = entry.utf8.count
        while left > 0, let id = ids.next() {
          theirs.append(id)
          left -= Self.tokens[id].count
        }
        if try ours.encode(entry) != theirs { different.append("\(entry.first.map(String.init) ?? "")+\(String(scalar.value, radix: 16))") }
      }
    }
    Issue.record("\(different.count) differ: \(different.prefix(200))")
  }

  @Test(.needs(.python)) func llama3sPatternInTiktoken() throws {
    let lines = Self.tokens.enumerated().map { "\(Data($1).base64EncodedString()) \($0)\n" }.joined()
    let vocabulary = try Vocabulary.tiktoken(Array(lines.utf8), file: "probe")
    let theirs = try ask(
      #"""
      import tiktoken, base64
      ranks = {base64.b64decode(token): rank for rank, token in enumerate(given['tokens'])}
      pattern = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
      encoding = tiktoken.Encoding('probe', pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
      answer = [encoding.encode_ordinary(text) for text in given['texts']]
      """#, Given(tokens: Self.tokens.map { Data($0).base64EncodedString() }, texts: Self.texts(Self.scalars)), as: [[Int]].self)
    try compare(vocabulary.makeTokenizer(), theirs, Self.scalars)
  }

  /// GPT-2's pattern, and digits one by one, in Hugging Face's tokenizers.
  @Test(.needs(.python), arguments: [
    "ByteLevel(add_prefix_space=False)", "Sequence([Digits(individual_digits=True), ByteLevel(add_prefix_space=False)])",
    #"Sequence([Split(Regex(llama3), 'isolated'), ByteLevel(add_prefix_space=False, use_regex=False)])"#,
  ])
  func patternsInTokenizers(_ preTokenizer: String) throws {
    let scalars = preTokenizer.contains("Digits") ? Self.settledScalars : Self.scalars
    struct Answer: Decodable {
      let json: String
      let ids: [[Int]]
    }
    let answer = try ask(
      #"""
      from tokenizers import Tokenizer, Regex, models
      from tokenizers.pre_tokenizers import *
      import base64
      llama3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
      printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
      alphabet = {b: chr(b) for b in printable}
      for b in range(256):
          if b not in alphabet: alphabet[b] = chr(0x100 + len(alphabet) - len(printable))
      spell = lambda token: ''.join(alphabet[b] for b in base64.b64decode(token))
      words = [spell(token) for token in given['tokens']]
      tokenizer = Tokenizer(models.BPE(vocab={w: i for i, w in enumerate(words)}, merges=[(w[0], w[1]) for w in words[256:]]))
      tokenizer.pre_tokenizer = \#(preTokenizer)
      answer = {'json': tokenizer.to_str(), 'ids': [tokenizer.encode(text).ids for text in given['texts']]}
      """#, Given(tokens: Self.tokens.map { Data($0).base64EncodedString() }, texts: Self.texts(scalars)), as: Answer.self)
    try compare(try Vocabulary.huggingFace(Array(answer.json.utf8), file: "probe").makeTokenizer(), answer.ids, scalars)
  }

  private struct Given: Encodable {
    let tokens: [String]
    let texts: [String]
  }
}
