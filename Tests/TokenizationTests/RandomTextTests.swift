import Checkpoint
import Foundation
import SystemPackage
import TestSupport
import Testing
import Tokenization

/// Random texts of many scripts through every real vocabulary at hand, against the library that its model was made with.
///
/// A few hundred texts each; `DROVER_RANDOM_TEXTS=10000` takes as many, and prints how many ids differ.
@Suite(.needs(.python), .serialized) struct RandomTextTests {
  static let count = ProcessInfo.processInfo.environment["DROVER_RANDOM_TEXTS"].flatMap { Int($0) } ?? 300

  struct Given: Encodable {
    let path: String
    let texts: [String]
    var malformed: [Data] = []
    var json = ""
  }

  private struct Sets {
    let texts: [String]
    /// With characters that came after Unicode 14, of which no two libraries know the same.
    let later: [String]
    let malformed: [[UInt8]]

    init(_ added: [String]) {
      texts = ScriptTexts.random(count, seed: 41, added: added)
      later = ScriptTexts.random(count / 10, seed: 42, added: added, later: true)
      malformed = Texts.malformed(count, seed: 43)
    }
  }

  /// Compares, and says how it went.
  private static func compare(
    _ name: String, _ tokenizer: any Tokenizer, _ sets: Sets, parsingSpecials: Bool = true, with peer: Peer = .python, json: String = "", path: String = "",
    takesBytes: Bool = false, _ script: String, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let theirs = try ask(
      script + "\nanswer = [[ids(t) for t in given['texts']]]"
        + (takesBytes ? "\nimport base64\nanswer += [[ids(base64.b64decode(t)) for t in given['malformed']]]" : ""),
      Given(path: path, texts: sets.texts + sets.later, malformed: sets.malformed.map { Data($0) }, json: json), as: [[[Int]]].self, with: peer)
    let ours = try sets.texts.map { try tokenizer.encode($0, parsingSpecials: parsingSpecials) }
    expectEqual(ours, Array(theirs[0].prefix(ours.count)), sets.texts, sourceLocation: sourceLocation)
    let later = try sets.later.map { try tokenizer.encode($0, parsingSpecials: parsingSpecials) }
    let laterDiffer = zip(later, theirs[0].dropFirst(ours.count)).count { $0 != $1 }
    var malformed = "not taken"
    if takesBytes {
      let ours = try sets.malformed.map(tokenizer.encode(bytes:))
      expectEqual(ours, theirs[1], sets.malformed, sourceLocation: sourceLocation)
      malformed = "\(zip(ours, theirs[1]).count { $0 != $1 }) of \(ours.count)"
    }
    guard ProcessInfo.processInfo.environment["DROVER_RANDOM_TEXTS"] != nil else { return }
    let differ = zip(ours, theirs[0]).count { $0 != $1 }
    print("| \(name) | \(differ) of \(ours.count) | \(laterDiffer) of \(later.count) | \(malformed) |")
  }

  private static let sentencePiece = """
    import sentencepiece
    model = sentencepiece.SentencePieceProcessor(model_file=given['path'])
    ids = model.encode
    """

  @Test(
    .needs(.sentencePieceModel),
    arguments: ["tokenizer.model.v1", "mistral_instruct_tokenizer_240216.model.v2", "mistral_instruct_tokenizer_240323.model.v3", "mistral_instruct_tokenizer_241114.model.v7", "mistral_instruct_tokenizer_241114.model.v7m1"])
  func mistralInSentencePiece(_ name: String) throws {
    let path = FilePath(Peer.sentencePieceModel.path).removingLastComponent().appending(name)
    try Self.compare(name, try Vocabulary.load(path).makeTokenizer(), Sets(["[INST]", "</s>"]), parsingSpecials: false, path: path.string, takesBytes: true, Self.sentencePiece)
  }

  /// Llama 2's vocabulary, as a GGUF and as the SentencePiece model that is written from it.
  @Test(.needs(.vocabularies)) func llama2InSentencePiece() throws {
    let vocabulary = try Vocabulary(gguf: .init(at: FilePath(Peer.vocabularies.path + "/ggml-vocab-llama-spm.gguf")), file: "llama-spm")
    try withTemporaryFolder { folder in
      try Data(vocabulary.sentencePieceFile()).write(to: URL(filePath: folder + "/tokenizer.model"))
      try Self.compare(
        "Llama 1 and 2", vocabulary.makeTokenizer(), Sets(["[INST]", "<<SYS>>", "</s>"]), parsingSpecials: false, path: folder + "/tokenizer.model", takesBytes: true, Self.sentencePiece)
    }
  }

  @Test(.needs(.llama3Tokenizer), arguments: ["llama3", "llama4"]) func llamaInTiktoken(_ name: String) throws {
    let path = FilePath(Peer.llama3Tokenizer.path).removingLastComponent().removingLastComponent().appending(name).appending("tokenizer.model")
    let added = name == "llama3" ? ["<|eot_id|>", "<|start_header_id|>"] : ["<|eot|>", "<|header_start|>", "<|vision_reserved_special_token_1047|>", "<|reserved_special_token_7|>"]
    try Self.compare(
      name, try Vocabulary.load(path).makeTokenizer(), Sets(added), path: path.string,
      """
      import sys, pathlib
      path = pathlib.Path(given['path'])
      sys.path.insert(0, str(path.parents[2]))
      from llama_models.\(name).tokenizer import Tokenizer
      tokenizer = Tokenizer(path)
      ids = lambda text: tokenizer.encode(text, bos=False, eos=False, allowed_special='all')
      """)
  }

  @Test(.needs(.llama3Tokenizer)) func llama4KnowsItsTokens() throws {
    let path = FilePath(Peer.llama3Tokenizer.path).removingLastComponent().removingLastComponent().appending("llama4/tokenizer.model")
    let vocabulary = try Vocabulary.load(path)
    struct Answer: Decodable {
      let specials: [String: Int]
      let ends: [Int]
    }
    let theirs = try ask(
      """
      import sys, pathlib
      path = pathlib.Path(given)
      sys.path.insert(0, str(path.parents[2]))
      from llama_models.llama4.tokenizer import Tokenizer
      tokenizer = Tokenizer(path)
      answer = {'specials': tokenizer.special_tokens, 'ends': [tokenizer.eos_id, tokenizer.eom_id, tokenizer.eot_id]}
      """, path.string, as: Answer.self)
    #expect(vocabulary.specials == theirs.specials && vocabulary.endTokens == theirs.ends)
  }

  /// Mistral's tekken, read as a GGUF holds it: by its merges.
  @Test(.needs(.sentencePieceModel), arguments: ["tekken_240718.json", "tekken_240911.json"]) func tekkenInTiktoken(_ name: String) throws {
    struct Made: Decodable {
      let tokens: [String]
      let special: Int
      let merges: [String]
    }
    let path = FilePath(Peer.sentencePieceModel.path).removingLastComponent().appending(name).string
    let read = """
      import json, base64
      file = json.load(open(\(String(reflecting: path))))
      special = file['config']['default_num_special_tokens']
      ranks = {base64.b64decode(v['token_bytes']): v['rank'] for v in file['vocab'][:file['config']['default_vocab_size'] - special]}

      """
    let made: Made = try ask(
      read + """
        alphabet = {b: chr(b) for b in [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]}
        for b in range(256):
            if b not in alphabet: alphabet[b] = chr(0x100 + len(alphabet) - 188)
        spell = lambda token: ''.join(alphabet[b] for b in token)
        merges = []
        for token in ranks:
            cuts = [(token[:i], token[i:]) for i in range(1, len(token)) if token[:i] in ranks and token[i:] in ranks]
            merges += sorted(cuts, key=lambda cut: (ranks[cut[0]], ranks[cut[1]]))
        answer = {'tokens': ['<SPECIAL_%d>' % i for i in range(special)] + [spell(t) for t in ranks], 'special': special, 'merges': [spell(l) + ' ' + spell(r) for l, r in merges]}
        """, 0)
    var metadata = Vocabulary.GGUFMetadata(model: "gpt2")
    metadata.tokens = PackedStrings(made.tokens)
    metadata.tokenTypes = made.tokens.indices.map { $0 < made.special ? 3 : 1 }
    metadata.merges = PackedStrings(made.merges)
    metadata.pre = "tekken"
    try Self.compare(
      name, try Vocabulary(gguf: metadata, file: name).makeTokenizer(), Sets(["[INST]", "<s>"]),
      read + """
        import tiktoken
        encoding = tiktoken.Encoding('tekken', pat_str=file['config']['pattern'], mergeable_ranks=ranks, special_tokens={})
        ids = lambda text: [i + special for i in encoding.encode_ordinary(text)]
        """)
  }

  @Test(.needs(.smolLM2)) func smolLM2InTokenizers() throws {
    try Self.compare(
      "SmolLM2", try SmolLM2.vocabulary().makeTokenizer(), Sets(["<|im_end|>", "<|im_start|>", "<repo_name>"]), path: Peer.smolLM2.path,
      SmolLM2.peer + "\ntokenizer = smollm2(given['path'])\nids = lambda text: tokenizer.encode(text).ids")
  }

  private static let tokenizers = """
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_str(given['json'])
    ids = lambda text: tokenizer.encode(text, add_special_tokens=False).ids
    """

  /// Vocabularies of llama.cpp's tests, and what is written of them as a tokenizer.json.
  @Test(.needs(.vocabularies), arguments: ["command-r", "deepseek-coder", "deepseek-llm", "falcon", "gpt-2", "llama-bpe", "mpt", "qwen2", "qwen35", "refact", "starcoder"])
  func vocabulariesOfGGUFInTokenizers(_ name: String) throws {
    let vocabulary = try Vocabulary(gguf: .init(at: FilePath(Peer.vocabularies.path + "/ggml-vocab-\(name).gguf")), file: name)
    let json = String(decoding: try vocabulary.huggingFaceFile(), as: UTF8.self)
    try Self.compare(name + " (GGUF)", vocabulary.makeTokenizer(), Sets(["<|endoftext|>", "<|im_end|>", "<|EOT|>"]), json: json, Self.tokenizers)
  }

  /// Every name that a GGUF gives to a way of cutting text, over one vocabulary.
  @Test(.needs(.vocabularies), arguments: ["smollm", "llama-bpe", "qwen2", "qwen35", "ufakzeka", "minicpm5", "bailingmoe", "seed-coder", "tekken", "gpt-4o", "deepseek-llm", "deepseek-coder", "deepseek-v3", "falcon", "bloom", "viking", "default"])
  func cutsInTokenizers(_ name: String) throws {
    var metadata = try Vocabulary.GGUFMetadata(at: FilePath(Peer.vocabularies.path + "/ggml-vocab-gpt-2.gguf"))
    metadata.pre = name
    let vocabulary = try Vocabulary(gguf: metadata, file: name)
    let json = String(decoding: try vocabulary.huggingFaceFile(), as: UTF8.self)
    try Self.compare("cut as \(name)", vocabulary.makeTokenizer(), Sets(["<|endoftext|>"]), json: json, Self.tokenizers)
  }
}
