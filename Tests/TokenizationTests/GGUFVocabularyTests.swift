import Checkpoint
import Foundation
import SystemPackage
import TestSupport
import Testing
import Tokenization

/// The vocabularies that llama.cpp tests with, each with texts and the ids that its model's own tokenizer makes of them.
@Suite(.needs(.vocabularies)) struct GGUFVocabularyTests {
  /// Those of byte-level BPE and SentencePiece; the others are of BERT's kind and Gemma's.
  static let names = [
    "command-r", "deepseek-coder", "deepseek-llm", "falcon", "gpt-2", "llama-bpe", "llama-spm", "mpt", "phi-3", "qwen2", "qwen35", "refact", "starcoder",
  ]

  static func path(_ name: String) -> FilePath { FilePath(Peer.vocabularies.path + "/ggml-vocab-\(name).gguf") }

  private static func cases(_ name: String) throws -> [(text: String, ids: [Int])] {
    let texts = try String(contentsOfFile: path(name).string + ".inp", encoding: .utf8).components(separatedBy: "\n__ggml_vocab_test__\n").dropLast()
    let ids = try String(contentsOfFile: path(name).string + ".out", encoding: .utf8).components(separatedBy: "\n").dropLast()
    try #require(texts.count == ids.count && texts.count > 40)
    return zip(texts, ids).map { ($0, $1.split(separator: " ").compactMap { Int($0) }) }
  }

  @Test(arguments: names) func givesTheIDsOfTheModel(_ name: String) throws {
    let tokenizer = try Vocabulary(gguf: .init(at: Self.path(name)), file: name).makeTokenizer()
    #expect(tokenizer.vocabulary.notes.isEmpty)
    for (text, ids) in try Self.cases(name) { #expect(try tokenizer.encode(text) == ids, "\(text.debugDescription)") }
  }

  /// A file from before May 2024 doesn't say how text is cut: Llama 3's is known by its tokens, of others a person is told.
  @Test func filesThatDoNotSay() throws {
    var metadata = try Vocabulary.GGUFMetadata(at: Self.path("llama-bpe"))
    metadata.pre = nil
    let tokenizer = try Vocabulary(gguf: metadata, file: "old.gguf").makeTokenizer()
    #expect(tokenizer.vocabulary.notes.isEmpty && tokenizer.vocabulary.addsBOS)
    for (text, ids) in try Self.cases("llama-bpe") { #expect(try tokenizer.encode(text) == ids, "\(text.debugDescription)") }
    for name in ["aquila", "gpt-neox"] {
      let vocabulary = try Vocabulary(gguf: .init(at: Self.path(name)), file: name)
      #expect(vocabulary.notes.count == 1 && vocabulary.notes[0].contains("tokenizer.ggml.pre"))
    }
  }

  @Test func refusesNamesThatAreNotKnown() throws {
    var metadata = try Vocabulary.GGUFMetadata(at: Self.path("gpt-2"))
    metadata.pre = "gpt-9"
    let error = #expect(throws: VocabularyError.self) { try Vocabulary(gguf: metadata, file: "new.gguf") }
    #expect(error?.reason == .unsupported && error?.message.contains("“gpt-9”") == true && error?.message.contains("tekken") == true)
    let t5 = #expect(throws: VocabularyError.self) { try Vocabulary(gguf: .init(at: Self.path("nomic-bert-moe")), file: "t5.gguf") }
    #expect(t5?.reason == .unsupported && t5?.message.contains("“t5”") == true)
  }
}
