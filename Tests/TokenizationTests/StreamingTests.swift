import Foundation
import SystemPackage
import TestSupport
import Testing
import Tokenization

/// Text that comes token by token.
struct StreamingTests {
  static func tokenizers() throws -> [any Tokenizer] {
    try [SentencePieceFiles.demo, Peer.sentencePieceModel.path, Peer.llama3Tokenizer.path].filter(FileManager.default.fileExists(atPath:)).map {
      try Vocabulary.load(FilePath($0)).makeTokenizer()
    }
  }

  /// A character is never shown in halves, and nothing is held back that is whole.
  @Test func showsWholeCharactersAtOnce() throws {
    for tokenizer in try Self.tokenizers() {
      for text in Texts.chosen {
        var decoder = StreamingDecoder(tokenizer)
        var shown = ""
        var bytes: [UInt8] = []
        for id in try tokenizer.encode(text) {
          let part = decoder.append(id)
          #expect(!part.unicodeScalars.contains("\u{FFFD}") || text.unicodeScalars.contains("\u{FFFD}"))
          shown += part
          bytes += tokenizer.bytes(of: id)
          #expect(bytes.count - shown.utf8.count <= 4, "at most three bytes, and the dummy prefix")
        }
        // SentencePiece writes a space as U+2581, so it can't tell the two apart.
        let isSentencePiece = tokenizer.vocabulary.model == .sentencePiece
        #expect(shown + decoder.finish() == (isSentencePiece ? text.replacing("\u{2581}", with: " ") : text))
      }
    }
  }

  /// An answer goes on from its prompt: its first token's space is a space.
  @Test func keepsTheSpaceOfAnAnswer() throws {
    let tokenizer = try Vocabulary.load(FilePath(SentencePieceFiles.demo)).makeTokenizer()
    let ids = try tokenizer.encode("once upon")
    var first = StreamingDecoder(tokenizer)
    var next = StreamingDecoder(tokenizer, continuing: true)
    #expect(ids.map { first.append($0) }.joined() + first.finish() == "once upon")
    #expect(ids.map { next.append($0) }.joined() + next.finish() == " once upon")
  }

  /// What a text is made of does not depend on how long it is.
  @Test(.needs(.llama3Tokenizer), .needs(.sentencePieceModel)) func encodesAMegabyteWithoutASpace() throws {
    for tokenizer in try Self.tokenizers() {
      for unit in ["a", "字", "="] {
        let text = String(repeating: unit, count: 1_000_000 / unit.utf8.count)
        #expect(tokenizer.decode(try tokenizer.encode(text)) == text)
      }
    }
  }
}
