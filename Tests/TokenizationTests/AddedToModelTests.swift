import Foundation
import SystemPackage
import TestSupport
import Testing
import Tokenization

/// A `tokenizer.model` in a Hugging Face folder without a tokenizer.json, against `AutoTokenizer` on the same folder.
@Suite(.needs(.currentTorch), .needs(.sentencePieceModel)) struct AddedToModelTests {
  struct Folder: Sendable, CustomTestStringConvertible {
    let name: String
    var files: [String: String] = [:]
    /// Whether the files say if BOS is added; `AutoTokenizer` then counts, otherwise the class's own documentation, which it doesn't follow.
    var states = true
    var testDescription: String { name }
  }

  private static func token(_ id: Int, _ content: String, special: Bool, _ flags: String = "") -> String {
    let defaults = ["lstrip", "rstrip", "single_word", "normalized"].filter { !flags.contains($0) }.map { #","\#($0)":false"# }.joined()
    let set = flags.split(separator: " ").map { #","\#($0)":true"# }.joined()
    return #""\#(id)":{"content":"\#(content)","special":\#(special)\#(set)\#(defaults)}"#
  }

  private static let pieces = [token(0, "<unk>", special: true), token(1, "<s>", special: true), token(2, "</s>", special: true)].joined(separator: ",")

  private static func config(_ rest: String, _ added: String = "") -> String { #"{\#(rest),"added_tokens_decoder":{\#(pieces)\#(added)}}"# }
  private static let llama = #""tokenizer_class":"LlamaTokenizer""#
  private static let tools = "," + token(32000, "<tool>", special: false) + "," + token(32001, "<|im_end|>", special: true)

  static let folders =
    [true, false].flatMap { legacy in
      [llama, #""add_eos_token":false"#].map {
        Folder(name: "legacy \(legacy), \($0)", files: ["tokenizer_config.json": config(#"\#($0),"legacy":\#(legacy),"add_bos_token":true"#, tools)])
      }
    } + [
      Folder(name: "nothing", states: false),
      Folder(name: "class only", files: ["tokenizer_config.json": "{\(llama)}"], states: false),
      Folder(name: "Fast", files: ["tokenizer_config.json": config(#""tokenizer_class":"LlamaTokenizerFast","add_bos_token":false,"add_eos_token":true"#, tools)]),
      Folder(name: "no prefix", files: ["tokenizer_config.json": config(#"\#(llama),"add_prefix_space":false,"add_bos_token":true"#, tools)]),
      Folder(name: "EOS too", files: ["tokenizer_config.json": config(#"\#(llama),"add_bos_token":true,"add_eos_token":true"#)]),
      Folder(
        name: "spaces taken along",
        files: [
          "tokenizer_config.json": config(
            #"\#(llama),"add_bos_token":true"#,
            "," + token(32000, "<tool>", special: false, "lstrip") + "," + token(32001, "<|im_end|>", special: true, "rstrip") + ","
              + token(23312, "fox", special: false, "single_word"))
        ]),
      Folder(name: "added_tokens.json", files: ["added_tokens.json": #"{"<tool>":32000,"<|im_end|>":32001}"#], states: false),
      Folder(
        name: "added_tokens.json beside a class", files: ["added_tokens.json": #"{"<tool>":32000,"<|im_end|>":32001}"#, "tokenizer_config.json": #"{\#(llama),"add_bos_token":true}"#]),
      Folder(
        name: "pad and other ends",
        files: [
          "special_tokens_map.json": #"{"pad_token":"<pad>","eos_token":{"content":"<|im_end|>","lstrip":false,"rstrip":false,"single_word":false,"normalized":false}}"#,
          "tokenizer_config.json": #"{\#(llama),"add_bos_token":true,"add_eos_token":true,"pad_token":"<pad>","eos_token":"<|im_end|>"}"#,
          "added_tokens.json": #"{"<pad>":32000,"<|im_end|>":32001}"#,
        ]),
    ]

  private struct Given: Encodable {
    let folder: String
    let texts: [String]
    let states: Bool
  }

  private struct Answer: Decodable {
    let ids: [[Int]]
    let count: Int
  }

  static let texts: [String] = {
    let marks = ["<tool>", "<|im_end|>", "</s>", "<s>", "<unk>", "<pad>", "fox", " fox ", " ", "  ", "▁", "\n", "x", "Hello", "字", "é", "<0x0A>"]
    var random = Splitmix(seed: 31)
    let mixed = (0..<1500).map { _ in (0..<Int.random(in: 1..<9, using: &random)).map { _ in marks.randomElement(using: &random) ?? "" }.joined() }
    return Texts.chosen + mixed
  }()

  @Test(arguments: folders) func givesTheIDsOfAutoTokenizer(_ row: Folder) throws {
    try withTemporaryFolder { folder in
      try FileManager.default.copyItem(atPath: Peer.sentencePieceModel.path, toPath: folder + "/tokenizer.model")
      try #"{"model_type":"llama","architectures":["LlamaForCausalLM"]}"#.write(toFile: folder + "/config.json", atomically: false, encoding: .utf8)
      for (name, content) in row.files { try content.write(toFile: folder + "/" + name, atomically: false, encoding: .utf8) }
      let theirs: Answer = try ask(
        """
        from transformers import AutoTokenizer
        tokenizer = AutoTokenizer.from_pretrained(given['folder'])
        answer = {'ids': [tokenizer(text, add_special_tokens=given['states'])['input_ids'] for text in given['texts']], 'count': len(tokenizer)}
        """, Given(folder: folder, texts: Self.texts, states: row.states), with: .currentTorch)
      let vocabulary = try Vocabulary.load(FilePath(folder + "/tokenizer.model"), isHuggingFace: true)
      #expect(vocabulary.count == theirs.count)
      if !row.states { #expect(vocabulary.addsBOS) }
      let tokenizer = vocabulary.makeTokenizer()
      let ours = try Self.texts.map { try tokenizer.encode($0, bos: row.states && vocabulary.addsBOS, eos: row.states && vocabulary.addsEOS, parsingSpecials: true) }
      expectEqual(ours, theirs.ids, Self.texts)
    }
  }

  /// Meta's folder is read as Meta reads it: what lies beside doesn't count.
  @Test func metasFolderIsTheModelAlone() throws {
    try withTemporaryFolder { folder in
      try FileManager.default.copyItem(atPath: Peer.sentencePieceModel.path, toPath: folder + "/tokenizer.model")
      try Self.config(Self.llama, Self.tools).write(toFile: folder + "/tokenizer_config.json", atomically: false, encoding: .utf8)
      #expect(try Vocabulary.load(FilePath(folder + "/tokenizer.model")).count == 32000)
    }
  }

  @Test(arguments: [
    ("added_tokens.json", #"{"<tool>":5}"#, "id 5 is “<0x02>” here and “<tool>” in added_tokens.json"),
    ("added_tokens.json", #"{"<tool>":32001}"#, "added_tokens.json gives “<tool>” the id 32001, and the next one free is 32000"),
    ("added_tokens.json", #"{"</s>":1}"#, "“</s>” has id 2 here and id 1 in added_tokens.json"),
    ("tokenizer_config.json", #"{"legacy":true,"added_tokens_decoder":{"# + token(1, "<bos>", special: true) + "}}", "id 1 is “<s>” here and “<bos>” in tokenizer_config.json"),
    ("tokenizer_config.json", #"{"tokenizer_class":"CodeLlamaTokenizer"}"#, "tokenizer_class is “CodeLlamaTokenizer”"),
  ]) func filesAgree(_ name: String, _ content: String, _ problem: String) throws {
    try withTemporaryFolder { folder in
      try FileManager.default.copyItem(atPath: Peer.sentencePieceModel.path, toPath: folder + "/tokenizer.model")
      try content.write(toFile: folder + "/" + name, atomically: false, encoding: .utf8)
      let error = #expect(throws: VocabularyError.self) { try Vocabulary.load(FilePath(folder + "/tokenizer.model"), isHuggingFace: true) }
      #expect(error?.message.contains(problem) == true && error?.file == folder + "/tokenizer.model", "\(error.map { "\($0)" } ?? "nothing")")
    }
  }
}
