import Foundation
import SystemPackage
import TestSupport
import Testing
import Tokenization

/// Against Meta's Llama 3 tokenizer and the tiktoken library under it.
@Suite(.needs(.python), .needs(.llama3Tokenizer))
struct TiktokenTests {
  /// Meta's own class, from the package that the tokenizer file is in.
  static let load = """
    import sys, pathlib, base64
    path = pathlib.Path(given['model'])
    sys.path.insert(0, str(path.parents[2]))
    from llama_models.llama3.tokenizer import Tokenizer
    tokenizer = Tokenizer(path)
    """
  typealias Given = SentencePieceTests.Given

  static func tokenizer() throws -> any Tokenizer { try Vocabulary.load(FilePath(Peer.llama3Tokenizer.path)).makeTokenizer() }

  @Test(arguments: [false, true])
  func encodes(parsingSpecials: Bool) throws {
    let tokenizer = try Self.tokenizer()
    let theirs = try ask(
      Self.load + "\nanswer = [tokenizer.encode(text, bos=True, eos=True, allowed_special=\(parsingSpecials ? "'all'" : "set()")) for text in given['values']]",
      Given(model: Peer.llama3Tokenizer.path, values: Texts.all), as: [[Int]].self)
    expectEqual(try Texts.all.map { try tokenizer.encode($0, bos: true, eos: true, parsingSpecials: parsingSpecials) }, theirs, Texts.all)
  }

  /// Where the reference cuts long runs and long texts, so do we.
  @Test func encodesLongRuns() throws {
    let texts = [
      String(repeating: "a", count: 60_000), String(repeating: " ", count: 60_000), String(repeating: "ab ", count: 20_000) + String(repeating: "x", count: 25_001),
      String(repeating: "é", count: 25_000) + " " + String(repeating: "é", count: 25_001), String(repeating: "word\u{1C}", count: 90_000),
      String(repeating: " ", count: 25_001) + "x", "x" + String(repeating: "\n", count: 30_000) + "y",
    ]
    let tokenizer = try Self.tokenizer()
    let theirs = try ask(
      Self.load + "\nanswer = [tokenizer.encode(text, bos=False, eos=False) for text in given['values']]",
      Given(model: Peer.llama3Tokenizer.path, values: texts), as: [[Int]].self)
    expectEqual(try texts.map { try tokenizer.encode($0) }, theirs, texts.map { $0.count })
  }

  @Test func decodes() throws {
    let tokenizer = try Self.tokenizer()
    let ids = try Texts.all.map { try tokenizer.encode($0, bos: true) } + randomIDs(3000, below: tokenizer.vocabulary.count, seed: 4)
    let theirs = try ask(
      Self.load + "\nanswer = [tokenizer.decode(ids) for ids in given['values']]", Given(model: Peer.llama3Tokenizer.path, values: ids), as: [String].self)
    expectEqual(ids.map { tokenizer.decode($0, keepingSpecials: true) }, theirs, ids)
  }

  @Test func knowsItsTokens() throws {
    let vocabulary = try Self.tokenizer().vocabulary
    struct Answer: Decodable {
      let count, bos, eos, eot: Int
      let specials: [String: Int]
    }
    let theirs = try ask(
      Self.load + """

        answer = {'count': tokenizer.n_words, 'bos': tokenizer.bos_id, 'eos': tokenizer.eos_id, 'eot': tokenizer.eot_id, 'specials': tokenizer.special_tokens}
        """, Given(model: Peer.llama3Tokenizer.path, values: 0), as: Answer.self)
    #expect([vocabulary.count, vocabulary.bos, vocabulary.eos, vocabulary.eot] == [theirs.count, theirs.bos, theirs.eos, theirs.eot])
    #expect(vocabulary.specials == theirs.specials)
  }

  /// Malformed bytes can't be lost: they are tokens like any others.
  @Test func keepsMalformedUTF8() throws {
    let tokenizer = try Self.tokenizer()
    for text in Texts.malformed(2000, seed: 5) { #expect(try tokenizer.encode(bytes: text).flatMap { tokenizer.bytes(of: $0) } == text) }
  }

  /// The same vocabulary as a list of merges, which is how Hugging Face and GGUF hold it.
  @Test func writesATokenizerJSON() throws {
    let tokenizer = try Self.tokenizer()
    let json = try tokenizer.vocabulary.huggingFaceFile()
    let theirs = try ask(
      """
      from tokenizers import Tokenizer
      answer = [e.ids for e in Tokenizer.from_str(given['model']).encode_batch(given['values'])]
      """, Given(model: String(decoding: json, as: UTF8.self), values: Texts.all), as: [[Int]].self)
    expectEqual(try Texts.all.map { try tokenizer.encode($0, bos: true, parsingSpecials: true) }, theirs, Texts.all)
    let read = try Vocabulary.huggingFace(json, file: "tokenizer.json")
    #expect(read.tokens == tokenizer.vocabulary.tokens)
    #expect([read.bos, read.eos, read.eot] == [128000, 128001, 128009])
    #expect(read.splits == [.scan(.llama3)] && read.ignoresMerges && read.addsBOS)
    let ours = read.makeTokenizer()
    expectEqual(try Texts.all.map { try ours.encode($0, bos: true, parsingSpecials: true) }, theirs, Texts.all)
  }
}
