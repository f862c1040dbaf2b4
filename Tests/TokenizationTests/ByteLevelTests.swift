import Foundation
import SystemPackage
import TestSupport
import Testing
import Tokenization

/// Against Hugging Face's tokenizers library.
@Suite(.needs(.python), .needs(.smolLM2))
struct ByteLevelTests {
  struct Given<Value: Encodable>: Encodable {
    let gguf: String
    var file = ""
    let values: Value
  }

  @Test(arguments: [false, true])
  func encodes(parsingSpecials: Bool) throws {
    let tokenizer = try SmolLM2.vocabulary().makeTokenizer()
    let theirs = try ask(
      SmolLM2.peer + """

        tokenizer = smollm2(given['gguf'])
        tokenizer.encode_special_tokens = \(parsingSpecials ? "False" : "True")
        answer = [e.ids for e in tokenizer.encode_batch(given['values'])]
        """, Given(gguf: Peer.smolLM2.path, values: Texts.all), as: [[Int]].self)
    expectEqual(try Texts.all.map { try tokenizer.encode($0, parsingSpecials: parsingSpecials) }, theirs, Texts.all)
  }

  @Test(arguments: [false, true])
  func decodes(keepingSpecials: Bool) throws {
    let tokenizer = try SmolLM2.vocabulary().makeTokenizer()
    let ids = try Texts.all.map { try tokenizer.encode($0) } + randomIDs(3000, below: tokenizer.vocabulary.count, seed: 6)
    let theirs = try ask(
      SmolLM2.peer + "\nanswer = smollm2(given['gguf']).decode_batch(given['values'], skip_special_tokens=\(keepingSpecials ? "False" : "True"))",
      Given(gguf: Peer.smolLM2.path, values: ids), as: [String].self)
    expectEqual(ids.map { tokenizer.decode($0, keepingSpecials: keepingSpecials) }, theirs, ids)
  }

  /// What the library saves we read, and the other way round.
  @Test func readsAndWritesTokenizerJSON() throws {
    try withTemporaryFolder { folder in
      let vocabulary = try SmolLM2.vocabulary()
      let file = folder + "/tokenizer.json"
      try Data(vocabulary.huggingFaceFile()).write(to: URL(filePath: file))
      let theirs = try ask(
        SmolLM2.peer + """

          ours = Tokenizer.from_file(given['file'])
          answer = [e.ids for e in ours.encode_batch(given['values'])]
          smollm2(given['gguf']).save(given['file'])
          """, Given(gguf: Peer.smolLM2.path, file: file, values: Texts.all), as: [[Int]].self)
      let ours = vocabulary.makeTokenizer()
      expectEqual(try Texts.all.map { try ours.encode($0, parsingSpecials: true) }, theirs, Texts.all)
      let read = try Vocabulary.load(FilePath(file))
      #expect(read.tokens == vocabulary.tokens)
      #expect(read.merges == vocabulary.merges)
      #expect(read.specials == vocabulary.specials)
      #expect(read.splits == vocabulary.splits)
    }
  }

  /// Llama 3's way: a pattern of its own, pieces that are tokens stay whole, BOS from a template.
  @Test func readsLlama3sTokenizerJSON() throws {
    try withTemporaryFolder { folder in
      let file = folder + "/tokenizer.json"
      let theirs = try ask(
        SmolLM2.peer + #"""

          tokenizer = smollm2(given['gguf'])
          tokenizer.model.ignore_merges = True
          pattern = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
          tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), 'isolated'), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
          tokenizer.post_processor = processors.TemplateProcessing(single='<|im_start|> $A', special_tokens=[('<|im_start|>', 1)])
          tokenizer.add_tokens(['user defined', 'naïve'])
          tokenizer.save(given['file'])
          answer = [e.ids for e in tokenizer.encode_batch(given['values'])]
          """#, Given(gguf: Peer.smolLM2.path, file: file, values: Texts.all + ["a user defined token, naïve"]), as: [[Int]].self)
      let tokenizer = try Vocabulary.load(FilePath(file)).makeTokenizer()
      #expect(tokenizer.vocabulary.addsBOS)
      let texts = Texts.all + ["a user defined token, naïve"]
      expectEqual(try texts.map { try tokenizer.encode($0, bos: true, parsingSpecials: true) }, theirs, texts)
    }
  }

  /// Llama 2's tokenizer.json: BPE over characters with byte fallback, in the older and the newer way of handling spaces.
  @Test(.needs(.sentencePieceModel), arguments: ["prepend", "always", "first", "never"])
  func readsLlama2sTokenizerJSON(spaces: String) throws {
    try withTemporaryFolder { folder in
      let file = folder + "/tokenizer.json"
      let theirs = try ask(
        """
        import sentencepiece
        from tokenizers import Tokenizer, AddedToken, models, normalizers, pre_tokenizers, decoders
        model = sentencepiece.SentencePieceProcessor(model_file=given['gguf'])
        vocab = {model.id_to_piece(i): i for i in range(model.vocab_size())}
        merges = []
        for piece, rank in vocab.items():
            local = [(piece[:i], piece[i:]) for i in range(1, len(piece)) if piece[:i] in vocab and piece[i:] in vocab]
            merges += [(rank, vocab[l], vocab[r], l, r) for l, r in local]
        merges = [(l, r) for _, _, _, l, r in sorted(merges)]
        tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token='<unk>', fuse_unk=True, byte_fallback=True))
        if given['values'][0] == 'prepend':
            tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend('▁'), normalizers.Replace(' ', '▁')])
        else:
            tokenizer.pre_tokenizer = pre_tokenizers.Metaspace('▁', prepend_scheme=given['values'][0], split=False)
        tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in ('<unk>', '<s>', '</s>')])
        tokenizer.save(given['file'])
        answer = [e.ids for e in tokenizer.encode_batch(given['values'][1:])]
        """, Given(gguf: Peer.sentencePieceModel.path, file: file, values: [spaces] + Texts.all), as: [[Int]].self)
      let tokenizer = try Vocabulary.load(FilePath(file)).makeTokenizer()
      expectEqual(try Texts.all.map { try tokenizer.encode($0, parsingSpecials: true) }, theirs, Texts.all)
    }
  }
}
