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
    let ours = Encoded(sets.texts) { try tokenizer.encode($0, parsingSpecials: parsingSpecials) }
    let later = Encoded(sets.later) { try tokenizer.encode($0, parsingSpecials: parsingSpecials) }
    let malformed = takesBytes ? Encoded(sets.malformed, by: tokenizer.encode(bytes:)) : nil
    ours.expectEqual(Array(theirs[0].prefix(sets.texts.count)), sourceLocation: sourceLocation)
    malformed?.expectEqual(theirs[1], sourceLocation: sourceLocation)
    guard ProcessInfo.processInfo.environment["DROVER_RANDOM_TEXTS"] != nil else { return }
    print(
      "| \(name) | \(ours.count(theirs[0])) | \(malformed?.count(theirs[1]) ?? "not taken") | later: \(later.count(Array(theirs[0].dropFirst(sets.texts.count)))) |")
  }

  /// What texts come to, nil for those that are refused.
  private struct Encoded<Text> {
    let texts: [Text]
    private let ids: [[Int]?]
    private let reasons: [String]

    init(_ texts: [Text], by encode: (Text) throws -> [Int]) {
      var reasons: [String] = []
      ids = texts.map { text in
        do { return try encode(text) } catch {
          reasons.append("\(error)")
          return nil
        }
      }
      (self.texts, self.reasons) = (texts, reasons)
    }

    func expectEqual(_ theirs: [[Int]], sourceLocation: SourceLocation) {
      #expect(reasons.isEmpty, sourceLocation: sourceLocation)
      TokenizationTests.expectEqual(ids.map { $0 ?? [] }, theirs, texts, sourceLocation: sourceLocation)
    }

    /// How many there are, differ and are refused.
    func count(_ theirs: [[Int]]) -> String {
      "\(texts.count) texts, \(zip(ids, theirs).count { $0 != nil && $0 != $1 }) differ, \(reasons.count) refused"
    }
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

  private static func vocabulary(_ file: String, _ change: (inout Vocabulary.GGUFMetadata) -> Void = { _ in }) throws -> Vocabulary {
    var metadata = try Vocabulary.GGUFMetadata(at: FilePath(Peer.vocabularies.path + "/ggml-vocab-\(file).gguf"))
    change(&metadata)
    return try Vocabulary(gguf: metadata, file: file)
  }

  /// Vocabularies of the Llama 2 kind, as a GGUF and as the SentencePiece model that is written from it.
  @Test(
    .needs(.vocabularies),
    arguments: [("Llama 1 and 2 (GGUF)", "llama-spm", true), ("Baichuan (GGUF)", "baichuan", true), ("Phi 3 without a space in front (GGUF)", "phi-3", false)])
  func vocabulariesOfGGUFInSentencePiece(_ name: String, _ file: String, _ addsSpace: Bool) throws {
    let vocabulary = try Self.vocabulary(file) { if !addsSpace { $0.addsSpacePrefix = false } }
    try withTemporaryFolder { folder in
      try Data(vocabulary.sentencePieceFile()).write(to: URL(filePath: folder + "/tokenizer.model"))
      try Self.compare(
        name, vocabulary.makeTokenizer(), Sets(["[INST]", "<<SYS>>", "</s>", "[PAD32011]", "<|end|>"]), parsingSpecials: false, path: folder + "/tokenizer.model",
        takesBytes: true, Self.sentencePiece)
    }
  }

  /// Phi 3's end of a text is defined by a user: behind it a text begins anew, with a space in front, and SentencePiece puts none there.
  @Test(.needs(.vocabularies)) func phi3IsNoSentencePieceModel() throws {
    let vocabulary = try Self.vocabulary("phi-3")
    let error = #expect(throws: VocabularyError.self) { try vocabulary.sentencePieceFile() }
    #expect(error?.reason == .unsupported && error?.message.contains("“</s>”") == true, "\(error.map { "\($0)" } ?? "written")")
  }

  /// The same vocabularies, and what is written of them as a tokenizer.json.
  @Test(.needs(.vocabularies), arguments: [("Llama 1 and 2", "llama-spm"), ("Phi 3", "phi-3")], [true, false])
  func piecesOfGGUFInTokenizers(_ row: (name: String, file: String), _ parsingSpecials: Bool) throws {
    let vocabulary = try Self.vocabulary(row.file)
    let json = String(decoding: try vocabulary.huggingFaceFile(), as: UTF8.self)
    try Self.compare(
      row.name + " (tokenizer.json" + (parsingSpecials ? ", control tokens found)" : ")"), vocabulary.makeTokenizer(), Sets(["</s>", "<s>", "<unk>", "[PAD32011]", "<|end|>", "▁"]),
      parsingSpecials: parsingSpecials, json: json, Self.tokenizers + "\ntokenizer.encode_special_tokens = \(parsingSpecials ? "False" : "True")")
  }

  /// XLM-RoBERTa's vocabulary: 250,000 pieces of a Unigram model, before which text is normalized by NFKC and some rules of its own, which are in the file. Put together anew from
  /// the GGUF of llama.cpp's tests, as a SentencePiece model and as a tokenizer.json.
  private static let unigram = #"""
    import gguf, base64, json
    fields = gguf.GGUFReader(given['path']).fields
    value = lambda key: fields['tokenizer.ggml.' + key].contents()
    names, scores, kinds, rules = value('tokens'), value('scores'), value('token_type'), bytes(value('precompiled_charsmap'))
    # sentencepiece_model.proto, written out: a field's number and wire type, then its value.
    import struct
    def varint(n): return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + varint(n >> 7)
    def number(field, n): return varint(field << 3) + varint(n)
    def block(field, content): return varint(field << 3 | 2) + varint(len(content)) + content
    def model():
        pieces = b''.join(block(1, block(1, n.encode()) + varint(2 << 3 | 5) + struct.pack('<f', s) + number(3, k)) for n, s, k in zip(names, scores, kinds))
        return pieces + block(2, number(3, 1) + number(40, 3) + number(41, 0) + number(42, 2) + number(43, 1)) + block(3, block(1, b'nmt_nfkc') + block(2, rules))
    def document():
        return json.dumps({'version': '1.0', 'truncation': None, 'padding': None,
            'added_tokens': [{'id': i, 'content': n, 'single_word': False, 'lstrip': False, 'rstrip': False, 'normalized': False, 'special': True} for i, n in enumerate(names) if kinds[i] == 3],
            'normalizer': {'type': 'Sequence', 'normalizers': [{'type': 'Precompiled', 'precompiled_charsmap': base64.b64encode(rules).decode()}, {'type': 'Replace', 'pattern': {'Regex': ' {2,}'}, 'content': ' '}]},
            'pre_tokenizer': {'type': 'Metaspace', 'replacement': '▁', 'prepend_scheme': 'always', 'split': True}, 'post_processor': None,
            'decoder': {'type': 'Metaspace', 'replacement': '▁', 'prepend_scheme': 'always', 'split': True},
            'model': {'type': 'Unigram', 'unk_id': 3, 'byte_fallback': False, 'vocab': [[n, s] for n, s in zip(names, scores)]}})
    """#

  @Test(.needs(.vocabularies)) func unigramInSentencePiece() throws {
    try withTemporaryFolder { folder in
      let model: Data = try ask(Self.unigram + "\nanswer = base64.b64encode(model()).decode()", Given(path: Peer.vocabularies.path + "/ggml-vocab-nomic-bert-moe.gguf", texts: []))
      try model.write(to: URL(filePath: folder + "/tokenizer.model"))
      try Self.compare(
        "XLM-RoBERTa (Unigram, NFKC)", try Vocabulary.load(FilePath(folder + "/tokenizer.model")).makeTokenizer(), Sets(["<mask>", "</s>"]), parsingSpecials: false,
        path: folder + "/tokenizer.model", takesBytes: true, Self.sentencePiece)
    }
  }

  @Test(.needs(.vocabularies)) func unigramInTokenizers() throws {
    let json: String = try ask(Self.unigram + "\nanswer = document()", Given(path: Peer.vocabularies.path + "/ggml-vocab-nomic-bert-moe.gguf", texts: []))
    try Self.compare(
      "XLM-RoBERTa (tokenizer.json)", try Vocabulary.huggingFace(Array(json.utf8), file: "xlm-roberta").makeTokenizer(), Sets(["<mask>", "</s>"]), json: json, Self.tokenizers)
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

  /// Qwen 2's vocabulary, before which its own tokenizer.json has NFC, and Unicode's other forms in that place.
  @Test(.needs(.vocabularies), arguments: ["NFC", "NFD", "NFKC", "NFKD"]) func normalizedInTokenizers(_ form: String) throws {
    let vocabulary = try Vocabulary(gguf: .init(at: FilePath(Peer.vocabularies.path + "/ggml-vocab-qwen2.gguf")), file: "qwen2")
    var document = try #require(try JSONSerialization.jsonObject(with: Data(vocabulary.huggingFaceFile())) as? [String: Any])
    document["normalizer"] = ["type": form]
    let json = String(decoding: try JSONSerialization.data(withJSONObject: document), as: UTF8.self)
    let tokenizer = try Vocabulary.huggingFace(Array(json.utf8), file: form).makeTokenizer()
    try Self.compare("Qwen 2 with \(form)", tokenizer, Sets(["<|im_end|>"]), json: json, Self.tokenizers)

    // Each character that becomes another or moves, of whatever version of Unicode, between marks that it may pass or join.
    struct Answer: Decodable {
      let texts: [String]
      let ids: [[Int]]
    }
    let theirs: Answer = try ask(
      Self.tokenizers + """

        import unicodedata
        changing = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000 and not 0xAC10 <= c < 0xD7A0 and (unicodedata.combining(chr(c)) or unicodedata.decomposition(chr(c)))]
        later = [chr(c) for c in (0x10EFD, 0x11F41, 0x1E08F, 0x1E4EC, 0x105C9, 0x113C5, 0x16126)]
        texts = [' '.join('a\\u0315' + c + '\\u0300e' + c for c in (changing + later)[i:i + 20]) for i in range(0, len(changing + later), 20)]
        answer = {'texts': texts, 'ids': [ids(t) for t in texts]}
        """, Given(path: "", texts: [], json: json))
    #expect(theirs.texts.count > 200)
    expectEqual(try theirs.texts.map { try tokenizer.encode($0) }, theirs.ids, theirs.texts)
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
