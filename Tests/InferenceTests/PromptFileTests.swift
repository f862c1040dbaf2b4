import Foundation
import Inference
import Testing

/// Files of prompts as editors and people write them.
@Suite struct PromptFileTests {
  static let files: [(bytes: [UInt8], prompts: [String])] = [
    (Array("one\ntwo\n".utf8), ["one", "two"]),
    (Array("one\r\ntwo".utf8), ["one", "two"]),
    (Array("\n\none\n\n".utf8), ["one"]),
    // What else Unicode takes for the end of a line: VT, FF, NEL, LINE SEPARATOR, PARAGRAPH SEPARATOR, and a CR alone.
    (Array("a\u{0B}b\u{0C}c\u{85}d\u{2028}e\u{2029}f\rg\nh".utf8), ["a\u{0B}b\u{0C}c\u{85}d\u{2028}e\u{2029}f\rg", "h"]),
    ([0xEF, 0xBB, 0xBF] + Array("one\n".utf8), ["one"]),
    ([0xEF, 0xBB, 0xBF] + Array(#"["one", "two"]"#.utf8), ["one", "two"]),
    (Array("[INST] Who are you? [/INST]\nsecond".utf8), ["[INST] Who are you? [/INST]", "second"]),
    (Array("[1] A list\n[2] of notes".utf8), ["[1] A list", "[2] of notes"]),
    (Array(" \n [ \n\"a\\nb\" ]".utf8), ["a\nb"]),
    (Array("  indented \n".utf8), ["  indented "]),
  ]

  @Test(arguments: files.indices) func promptsAreLinesOrJSON(index: Int) throws {
    #expect(try PromptFile(Self.files[index].bytes, file: "f").prompts == Self.files[index].prompts)
  }

  static let wrong: [(bytes: [UInt8], says: String)] = [
    ([], "no prompts"), (Array("\r\n\n".utf8), "no prompts"), (Array("[]".utf8), "no prompts"),
    (Array(#"["one", 2]"#.utf8), "array of strings"), (Array(#"["one""#.utf8), "array of strings"),
    (Array("fine\nnot \u{20}".utf8) + [0xC3, 0x28], "line 2 isn't UTF-8"), ([0xFF, 0xFE, 0x61, 0], "UTF-16"), ([0xFE, 0xFF, 0, 0x61], "UTF-16"),
    (Array(#"["a"#.utf8) + [0xED, 0xA0, 0x80] + Array(#""]"#.utf8), "line 1 isn't UTF-8"),
  ]

  @Test(arguments: wrong.indices) func whatIsNeitherIsRefused(index: Int) {
    let error = #expect(throws: PromptFileError.self) { try PromptFile(Self.wrong[index].bytes, file: "prompts.txt") }
    #expect(error?.description.contains(Self.wrong[index].says) == true && error?.description.hasPrefix("prompts.txt: ") == true)
  }
}
