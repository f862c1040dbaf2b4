import Foundation
import SystemPackage
import TestSupport
import Testing
import Tokenization

/// A damaged or hostile file gets an error that names it, the place and the reason.
struct HostileFileTests {
  struct Case: CustomTestStringConvertible, Sendable {
    let name: String
    let bytes: [UInt8]
    let reason: VocabularyError.Reason
    let message: String
    var testDescription: String { name }

    init(_ name: String, _ bytes: [UInt8], _ reason: VocabularyError.Reason = .corrupt, _ message: String) {
      (self.name, self.bytes, self.reason, self.message) = (name, bytes, reason, message)
    }

    init(_ name: String, _ text: String, _ reason: VocabularyError.Reason = .corrupt, _ message: String) {
      self.init(name, Array(text.utf8), reason, message)
    }
  }

  /// A rank file with a token for each byte, and `lines` behind it.
  static func ranks(_ lines: String) -> String { (0...255).map { "\(Data([UInt8($0)]).base64EncodedString()) \($0)\n" }.joined() + lines }

  /// A byte-level tokenizer.json with three tokens.
  static func json(
    vocab: String = #"{"a":0,"b":1,"ab":2}"#, merges: String = #"["a b"]"#, added: String = "[]", type: String = "BPE", model: String = "",
    normalizer: String = "null", pre: String = #"{"type":"ByteLevel","add_prefix_space":false}"#
  ) -> String {
    #"{"added_tokens":\#(added),"normalizer":\#(normalizer),"pre_tokenizer":\#(pre),"model":{"type":"\#(type)",\#(model)"vocab":\#(vocab),"merges":\#(merges)}}"#
  }

  /// A field of a protocol buffer with `bytes` in it.
  static func field(_ number: UInt8, _ bytes: [UInt8]) -> [UInt8] { [number << 3 | 2, UInt8(bytes.count)] + bytes }
  /// A piece of a SentencePiece model.
  static func piece(_ text: String, score: [UInt8] = [0, 0, 0, 0], type: UInt8 = 1) -> [UInt8] {
    field(1, field(1, Array(text.utf8)) + [0x15] + score + [0x18, type])
  }
  /// A BPE model of `pieces` without normalisation.
  static func model(_ pieces: [[UInt8]], trainer: [UInt8] = [0x18, 2], normalizer: [UInt8] = [0x20, 0]) -> [UInt8] {
    Array(pieces.joined()) + field(2, trainer) + field(3, normalizer)
  }
  static let unknown = piece("<unk>", type: 2)

  static let cases: [Case] = [
    Case("empty", "", .corrupt, "neither"),
    Case("text", "hello", .corrupt, "neither"),
    Case("web page", "<!DOCTYPE html><html></html>", .corrupt, "web page"),
    Case("web page after blank lines", "\n\n\n<html></html>", .corrupt, "web page"),
    Case("zeros", [UInt8](repeating: 0, count: 100), .corrupt, "neither"),

    Case("rank is a word", ranks("YWI= x\n"), .corrupt, "line 257 has no rank"),
    Case("no rank", ranks("YWI=\n"), .corrupt, "line 257 is not a token in base64, a space and a rank"),
    Case("no token", ranks(" 256\n"), .corrupt, "line 257 does not begin with a token"),
    Case("base64 of five digits", ranks("YWJjZ 256\n"), .corrupt, "line 257 is not base64"),
    Case("base64 without padding", ranks("YWI 256\n"), .corrupt, "line 257 has base64 of a wrong length"),
    Case("padding only", ranks("==== 256\n"), .corrupt, "line 257 does not begin with a token"),
    Case("three fields", ranks("YWI= 256 1\n"), .corrupt, "line 257 has more"),
    Case("negative rank", ranks("YWI= -1\n"), .corrupt, "line 257 has no rank"),
    Case("rank past 64 bits", ranks("YWI= 99999999999999999999999\n"), .corrupt, "line 257 has a rank that is too large"),
    Case("rank past the end", ranks("YWI= 2147483647\n"), .corrupt, "rank 2147483647 is out of range: there are 257 tokens"),
    Case("rank twice", ranks("YWI= 255\n"), .corrupt, "rank 255 occurs twice"),
    Case("token twice", ranks("YQ== 256\n"), .corrupt, "the same token at two ranks"),
    Case("a byte without a token", "YQ== 0\n", .corrupt, "has no token for byte 0"),

    Case("truncated in a piece", Array(model([unknown, piece("abc")]).prefix(14)), .corrupt, "truncated or malformed"),
    Case("length past the end", [0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0x07, 0x0A], .corrupt, "truncated or malformed"),
    Case("no pieces", field(2, [0x18, 2]) + field(3, [0x20, 0]), .corrupt, "neither"),
    Case("empty piece", model([unknown, piece("")]), .corrupt, "piece 1 is empty"),
    Case("score is NaN", model([unknown, piece("a", score: [0, 0, 0xC0, 0x7F])]), .corrupt, "piece 1 has the score nan"),
    Case("no unknown", model([piece("abc")]), .corrupt, "no piece stands for unknown"),
    Case("bad byte piece", model([unknown, piece("<0xG0>", type: 6)]), .corrupt, "byte piece 1"),
    Case("byte fallback without bytes", model([unknown, piece("a")], trainer: [0x18, 2, 0x98, 0x02, 1]), .corrupt, "256 byte pieces"),
    Case("same piece twice", model([unknown, piece("a"), piece("a")]), .corrupt, "“a” is both piece 1 and piece 2"),
    Case("words", model([unknown], trainer: [0x18, 3]), .unsupported, "only BPE and Unigram"),
    Case("character map without an array", model([unknown], normalizer: field(2, [1]) + [0x20, 0]), .corrupt, "character map of its normalizer () is malformed"),
    Case("character map longer than itself", model([unknown], normalizer: field(2, [8, 0, 0, 0, 1, 2, 3, 4]) + [0x20, 0]), .corrupt, "character map"),
    Case("character map to no text", model([unknown], normalizer: field(2, [4, 0, 0, 0, 1, 2, 3, 4, 0xFF, 0]) + [0x20, 0]), .corrupt, "character map"),
    Case("decodes otherwise", model([unknown]) + field(5, field(2, [1])), .unsupported, "denormalizer_spec"),
    Case("field of a piece", field(1, field(1, Array("a".utf8)) + [0x28, 1]), .unsupported, "piece 0 has the field 5"),
    Case("field of the trainer", model([unknown], trainer: [0x18, 2, 0xC0, 0x03, 1]), .unsupported, "trainer_spec has the field 56"),
    Case("field of the normalizer", model([unknown], normalizer: [0x20, 0, 0x38, 1]), .unsupported, "normalizer_spec has the field 7"),
    Case("field of the model", model([unknown]) + field(6, [1]), .unsupported, "model has the field 6"),

    Case("json: cut off", String(json().dropLast(3)), .corrupt, "the file ends"),
    Case("json: cut off in a string", #"{"model":{"vocab":{"a"#, .corrupt, "the file ends inside a string"),
    Case("json: deep", #"{"x":"# + String(repeating: "[", count: 1_000_000), .corrupt, "nested more than 64 deep"),
    Case("json: deep objects", String(repeating: #"{"x":"#, count: 1_000_000), .corrupt, "nested more than 64 deep"),
    Case("json: something else", #"{"dim": 4096, "n_layers": 32}"#, .corrupt, "not a tokenizer.json"),
    Case("json: more behind it", json() + "{}", .corrupt, "more after the end"),
    Case("json: missing comma", #"{"a":1 "b":2}"#, .corrupt, "byte 7"),
    Case("json: bad escape", #"{"a\x":1}"#, .corrupt, "unknown escape"),
    Case("json: bad number", #"{"a":1e}"#, .corrupt, "“1e”"),
    Case("json: huge id", json(vocab: #"{"a":0,"b":2147483646}"#), .corrupt, "“b” has id 2147483646, and there are 2 tokens"),
    Case("json: id past 64 bits", json(vocab: #"{"a":99999999999999999999}"#), .corrupt, "too large"),
    Case("json: negative id", json(vocab: #"{"a":-1}"#), .corrupt, "no id"),
    Case("json: id twice", json(vocab: #"{"a":0,"b":0}"#), .corrupt, "id 0 is given to “a” and to “b”"),
    Case("json: merge of the unknown", json(merges: #"["a x"]"#), .corrupt, "merge 0 names a token"),
    Case("json: merge without result", json(merges: #"["b a"]"#), .corrupt, "merge 0 names a token"),
    Case("json: merge of one", json(merges: #"["ab"]"#), .corrupt, "not two tokens"),
    Case("json: merge of three", json(merges: #"[["a","b","a"]]"#), .corrupt, "more than two"),
    Case("json: merge of none", json(merges: #"[[]]"#), .corrupt, "fewer than two"),
    Case("json: no vocab", json(vocab: "{}"), .corrupt, "no vocab"),
    Case("json: added out of range", json(added: #"[{"id":99,"content":"x","special":true}]"#), .corrupt, "“x” has id 99"),
    Case("json: added over another", json(added: #"[{"id":0,"content":"x","special":true}]"#), .corrupt, "id 0 is given to “a” and to “x”"),
    Case("json: WordPiece", json(type: "WordPiece"), .unsupported, "WordPiece"),
    Case("json: Unigram without scores", json(type: "Unigram"), .unsupported, "Unigram"),
    Case("json: token without a score", #"{"model":{"type":"Unigram","vocab":[["a"]]}}"#, .corrupt, "without a score"),
    Case("json: unknown token out of range", #"{"model":{"type":"Unigram","unk_id":7,"vocab":[["a",0.0]]}}"#, .corrupt, "unk_id is 7"),
    Case("json: token twice", #"{"model":{"type":"Unigram","unk_id":0,"vocab":[["a",0.0],["a",1.0]]}}"#, .corrupt, "“a” is in the vocab twice"),
    Case("json: an option of the model", json(model: #""brand_new":true,"#), .unsupported, "brand_new"),
    Case("json: affix", json(model: #""end_of_word_suffix":"</w>","#), .unsupported, "end_of_word_suffix"),
    Case("json: normalizer", json(normalizer: #"{"type":"BertNormalizer"}"#), .unsupported, "BertNormalizer"),
    Case("json: option of a normalizer", json(normalizer: #"{"type":"Strip","strip_middle":true}"#), .unsupported, "strip_middle"),
    Case("json: character map", json(normalizer: #"{"type":"Precompiled","precompiled_charsmap":"AAAA"}"#), .corrupt, "character map"),
    Case("json: pre-tokenizer", json(pre: #"{"type":"UnicodeScripts"}"#), .unsupported, "UnicodeScripts"),
    Case("json: pattern", json(pre: #"{"type":"Split","pattern":{"Regex":"x("},"behavior":"Isolated"}"#), .unsupported, "“x(”"),
    Case("json: sets that intersect", json(pre: #"{"type":"Split","pattern":{"Regex":"[a-z&&b]"},"behavior":"Isolated"}"#), .unsupported, "intersection"),
    Case("json: sets in sets", json(pre: #"{"type":"Split","pattern":{"Regex":"[a[b]]"},"behavior":"Isolated"}"#), .unsupported, "set within a set"),
    Case("json: word boundary", json(pre: #"{"type":"Split","pattern":{"Regex":"\\b"},"behavior":"Isolated"}"#), .unsupported, "word boundaries"),
    Case("json: behavior", json(pre: #"{"type":"Split","pattern":{"Regex":"x"},"behavior":"Swallowed"}"#), .unsupported, "Swallowed"),
  ]

  @Test(arguments: cases) func saysWhatIsWrong(_ file: Case) throws {
    try withTemporaryFolder { folder in
      let path = folder + "/tokenizer.model"
      try Data(file.bytes).write(to: URL(filePath: path))
      let error = #expect(throws: VocabularyError.self) { try Vocabulary.load(FilePath(path)) }
      #expect(error?.reason == file.reason)
      #expect(error?.message.contains(file.message) == true, "\(error?.message ?? "nothing")")
      #expect(error?.file == path)
    }
  }

  @Test func saysThatAFileIsMissingOrNone() throws {
    try withTemporaryFolder { folder in
      #expect(throws: VocabularyError(.missing, in: folder + "/none", "No such file or directory")) { try Vocabulary.load(FilePath(folder + "/none")) }
      #expect(throws: VocabularyError(.unsupported, in: folder, "is a folder, where a tokenizer's file is due")) { try Vocabulary.load(FilePath(folder)) }
    }
  }

  static let ggufFaults: [(String, @Sendable (inout Vocabulary.GGUFMetadata) -> Void)] = [
    ("tokenizer.ggml.model is “t5”", { $0.model = "t5" }),
    ("tokenizer.ggml.tokens is missing", { $0.tokens = PackedStrings() }),
    ("token_type has 2 entries for 3 tokens", { $0.tokenTypes = [1, 1] }),
    ("token 1 the unknown type 9", { $0.tokenTypes = [1, 9, 1] }),
    ("token 0 the unknown type -1", { $0.tokenTypes = [-1, 1, 1] }),
    ("bos_token_id is 3, and there are 3 tokens", { $0.bos = 3 }),
    ("eos_token_id is -1", { $0.eos = -1 }),
    ("eom_token_id is 3, and there are 3 tokens", { $0.eom = 3 }),
    ("pre is “klingon”", { $0.pre = "klingon" }),
    ("merges, entry 0, is not two tokens", { $0.merges = PackedStrings(["ab"]) }),
    ("merges, entry 0, names a token", { $0.merges = PackedStrings(["a x"]) }),
    ("merges, entry 0, is not in the byte alphabet", { $0.merges = PackedStrings(["a 字"]) }),
    ("scores has 0 entries for 3 tokens", { $0.model = "llama" }),
  ]

  @Test(arguments: ggufFaults.indices) func saysWhatIsWrongWithAGGUF(_ fault: Int) throws {
    var metadata = Vocabulary.GGUFMetadata(model: "gpt2")
    metadata.tokens = PackedStrings(["a", "b", "ab"])
    metadata.merges = PackedStrings(["a b"])
    #expect(try Vocabulary(gguf: metadata, file: "m.gguf").makeTokenizer().encode("abab") == [2, 2])
    Self.ggufFaults[fault].1(&metadata)
    let error = #expect(throws: VocabularyError.self) { try Vocabulary(gguf: metadata, file: "m.gguf") }
    #expect(error?.message.contains(Self.ggufFaults[fault].0) == true, "\(error?.message ?? "nothing")")
  }

  /// Each of the ends that a GGUF names ends a text.
  @Test func aGGUFsEnds() throws {
    var metadata = Vocabulary.GGUFMetadata(model: "gpt2")
    metadata.tokens = PackedStrings(["a", "b", "c", "d"])
    (metadata.eos, metadata.eot, metadata.eom) = (1, 3, 2)
    #expect(try Vocabulary(gguf: metadata, file: "m.gguf").endTokens == [1, 2, 3])
  }

  /// Whatever happens to a file, it is read or refused, and what is read can encode and decode.
  @Test(arguments: ["demo", "ranks", "json", "byteFallback"]) func survivesMutations(_ kind: String) throws {
    let byteFallback = #"{"added_tokens":[{"id":0,"content":"<unk>","special":true}],"normalizer":null,"pre_tokenizer":{"type":"Metaspace","replacement":"▁","prepend_scheme":"first","split":false},"model":{"unk_token":"<unk>","byte_fallback":true,"vocab":{"<unk>":0,"▁":1,"a":2,"▁a":3,"b":4,"ab":5,"<0x0A>":6},"merges":[["▁","a"],["a","b"]]}}"#
    let original: [UInt8] =
      switch kind {
      case "demo": Array(try Data(contentsOf: URL(filePath: SentencePieceFiles.demo)))
      case "ranks": Array("YWI= 256\nYWJj 257\n".utf8)
      case "json": Array(Self.json(added: #"[{"id":3,"content":"<s>","special":true},{"id":4,"content":"\u00e9\ud83d\ude42","special":false}]"#).utf8)
      default: Array(byteFallback.utf8)
      }
    var random = Splitmix(seed: 7)
    var read = 0
    for _ in 0..<(kind == "demo" ? 1500 : 4000) {
      var bytes = mutated(original, &random)
      if kind == "ranks" { bytes = Array(Self.ranks("").utf8) + bytes }
      guard let vocabulary = try? (kind == "demo" ? Vocabulary.sentencePiece(bytes, file: "f") : kind == "ranks" ? .tiktoken(bytes, file: "f") : .huggingFace(bytes, file: "f"))
      else { continue }
      read += 1
      let tokenizer = vocabulary.makeTokenizer()
      let ids = try tokenizer.encode("abc <s> a\n 字🙂\u{0} ab", bos: true, eos: true, parsingSpecials: true)
      #expect(ids.allSatisfy { (0..<vocabulary.count).contains($0) })
      _ = tokenizer.decode(ids + [-1, vocabulary.count, .max], keepingSpecials: true)
    }
    #expect(read > 100, "the mutations should leave some files readable")
  }

  /// A pattern that backtracks without end is given up, by name.
  @Test func patternsHaveLimits() throws {
    let file = Self.json(pre: #"{"type":"Split","pattern":{"Regex":"(x+x+)+[yz]"},"behavior":"Isolated"}"#)
    let tokenizer = try Vocabulary.huggingFace(Array(file.utf8), file: "t.json").makeTokenizer()
    let error = #expect(throws: VocabularyError.self) { try tokenizer.encode(String(repeating: "x", count: 5000)) }
    #expect(error?.message.contains("“(x+x+)+[yz]” takes too many steps") == true)
  }

  /// What lies beside a tokenizer.json is part of it, and two files that disagree are an error that names both.
  @Test(arguments: [
    ("tokenizer_config.json", #"{"added_tokens_decoder":{"3":{"content":"<x>","special":true}}}"#, nil),
    ("tokenizer_config.json", #"{"added_tokens_decoder":{"4":{"content":"<x>"}}}"#, "“<x>” the id 4, and the next one free is 3"),
    ("tokenizer_config.json", #"{"added_tokens_decoder":{"1":{"content":"<x>"}}}"#, "id 1 is “b” here and “<x>” in tokenizer_config.json"),
    ("tokenizer_config.json", #"{"added_tokens_decoder":{"1":{"content":"a"}}}"#, "“a” has id 0 here and id 1 in tokenizer_config.json"),
    ("added_tokens.json", #"{"<x>":3}"#, nil), ("added_tokens.json", #"{"a":2}"#, "“a” has id 0 here and id 2 in added_tokens.json"),
    ("special_tokens_map.json", #"{"pad_token":{"content":"<x>"}}"#, nil),
  ]) func filesAgree(_ name: String, _ content: String, _ problem: String?) throws {
    try withTemporaryFolder { folder in
      try Data(Self.json().utf8).write(to: URL(filePath: folder + "/tokenizer.json"))
      try Data(content.utf8).write(to: URL(filePath: folder + "/" + name))
      do {
        let tokenizer = try Vocabulary.load(FilePath(folder + "/tokenizer.json")).makeTokenizer()
        #expect(problem == nil && tokenizer.vocabulary.count == 4)
        #expect(try tokenizer.encode("ab<x>a", parsingSpecials: true) == [2, 3, 0])
      } catch let error as VocabularyError {
        let problem = try #require(problem, "\(error)")
        #expect(error.reason == .corrupt && error.message.contains(problem), "\(error)")
      }
    }
  }
}
