import Checkpoint
import Foundation
import SystemPackage
import TestSupport
import Testing
import Tokenization

/// Tokenizers in GGUF files that drover writes, held against the libraries that they come from.
@Suite(.needs(.python))
struct GGUFTokenizerTests {
  /// Writes a small model with `tokenizer` beside it, and makes a GGUF of it in `out`.
  private func write(_ tokenizer: Peer, vocabulary: Int, in folder: String) throws {
    try PythonModels.write(.init(dim: 64, heads: 4, kvHeads: 4, hidden: 64, layers: 1, vocabulary: vocabulary), to: folder + "/source", modelParallel: 1)
    try FileManager.default.copyItem(atPath: tokenizer.path, toPath: folder + "/source/tokenizer.model")
    let outcome = try drover("reshard", folder + "/source", folder + "/out", "--format", "gguf", "-q")
    try #require(outcome.status == 0, "\(outcome.errors)")
  }

  private static let texts = """
    texts = ["The capital of France is Paris.", "  leading\\n\\n\\nlines \\t and tabs ", "1234567 and 3.14", "I'll we'RE they've", "ünïcödé 日本語 🦙🦙 한국어", "x" * 50, "def f(a):\\n    return a\\r\\n", "\\u00a0 \\u2028!?"]

    """

  /// Tokens and merges give the `tokenizers` library the ids that tiktoken makes of Meta's file.
  @Test(.needs(.llama3Tokenizer)) func tiktoken() throws {
    try withTemporaryFolder { folder in
      try write(.llama3Tokenizer, vocabulary: 128_256, in: folder)
      try python(
        Self.texts + #"""
          import base64, glob, sys, gguf, tiktoken
          from tokenizers import Regex, Tokenizer, models, pre_tokenizers
          fields = gguf.GGUFReader(glob.glob(sys.argv[1] + "/*.gguf")[0]).fields
          said = {k.removeprefix("tokenizer.ggml."): f.contents() for k, f in fields.items() if k.startswith("tokenizer.ggml.")}
          pattern = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
          ranks = {base64.b64decode(line.split()[0]): int(line.split()[1]) for line in open(sys.argv[2], "rb") if line.strip()}
          reference = tiktoken.Encoding("llama3", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
          assert (said["model"], said["pre"]) == ("gpt2", "llama-bpe")
          tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(said["tokens"])}, [tuple(m.split(" ")) for m in said["merges"]], ignore_merges=True))
          tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
          for text in texts: assert tokenizer.encode(text).ids == reference.encode(text), text
          assert said["token_type"] == [gguf.TokenType.NORMAL] * len(ranks) + [gguf.TokenType.CONTROL] * 256
          ids = {name: said[name + "_token_id"] for name in ("bos", "eos", "eot", "eom")}
          assert {k: said["tokens"][v] for k, v in ids.items()} == {"bos": "<|begin_of_text|>", "eos": "<|end_of_text|>", "eot": "<|eot_id|>", "eom": "<|eom_id|>"}
          assert said["add_bos_token"] is True and said["add_eos_token"] is False
          assert "scores" not in said
          """#, folder + "/out", Peer.llama3Tokenizer.path)
    }
  }

  /// Pieces, scores and types are what sentencepiece reads in its own file; rows of the embedding without a token have one that is never used.
  @Test(.needs(.sentencePieceModel)) func sentencePiece() throws {
    try withTemporaryFolder { folder in
      try write(.sentencePieceModel, vocabulary: 32_016, in: folder)
      try python(
        """
        import glob, sys, gguf, sentencepiece
        fields = gguf.GGUFReader(glob.glob(sys.argv[1] + "/*.gguf")[0]).fields
        said = {k.removeprefix("tokenizer.ggml."): f.contents() for k, f in fields.items() if k.startswith("tokenizer.ggml.")}
        reference = sentencepiece.SentencePieceProcessor(model_file=sys.argv[2])
        n = reference.get_piece_size()
        assert (said["model"], said["pre"]) == ("llama", "default")
        assert said["tokens"] == [reference.id_to_piece(i) for i in range(n)] + [f"[PAD{i}]" for i in range(n, 32016)]
        assert said["scores"][:n] == [reference.get_score(i) for i in range(n)]
        kinds = [(reference.is_unknown, 2), (reference.is_control, 3), (reference.is_unused, 5), (reference.is_byte, 6)]
        assert said["token_type"] == [next((kind for f, kind in kinds if f(i)), 1) for i in range(n)] + [5] * (32016 - n)
        assert (said["bos_token_id"], said["eos_token_id"], said["unknown_token_id"]) == (reference.bos_id(), reference.eos_id(), reference.unk_id())
        assert said["add_bos_token"] is True and said["add_space_prefix"] is True and "merges" not in said
        """, folder + "/out", Peer.sentencePieceModel.path)
    }
  }

  /// A Hugging Face folder of the Llama 2 kind has both files: the pieces come from SentencePiece's, and the tokens that were added from the other.
  @Test(.needs(.sentencePieceModel), .needs(.currentTorch)) func addedToSentencePiece() throws {
    try withTemporaryFolder { folder in
      try SmallModel.write(to: folder + "/source", vocabulary: 32_002)
      try FileManager.default.copyItem(atPath: Peer.sentencePieceModel.path, toPath: folder + "/source/tokenizer.model")
      try python(
        """
        import sys
        from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors
        import sentencepiece
        sp = sentencepiece.SentencePieceProcessor(model_file=sys.argv[1] + "/tokenizer.model")
        pieces = [sp.id_to_piece(i) for i in range(sp.get_piece_size())]
        vocab = {p: i for i, p in enumerate(pieces)}
        merges = [(p[:k], p[k:], i) for i, p in enumerate(pieces) if i > 258 for k in range(1, len(p)) if p[:k] in vocab and p[k:] in vocab]
        t = Tokenizer(models.BPE(vocab, [(a, b) for a, b, _ in sorted(merges, key=lambda m: m[2])], unk_token="<unk>", fuse_unk=True, byte_fallback=True))
        t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
        t.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
        t.add_special_tokens([AddedToken(x, normalized=False) for x in ("<unk>", "<s>", "</s>", "<|im_end|>")])
        t.add_tokens([AddedToken("▁drover▁", normalized=False)])
        t.save(sys.argv[1] + "/tokenizer.json")
        """, folder + "/source")
      try #"{"bos_token": "<s>", "eos_token": "<|im_end|>", "pad_token": "</s>", "add_bos_token": true, "chat_template": "{{ messages }}"}"#
        .write(toFile: folder + "/source/tokenizer_config.json", atomically: false, encoding: .utf8)
      let outcome = try drover("reshard", folder + "/source", folder + "/out", "--format", "gguf", "-q")
      try #require(outcome.status == 0, "\(outcome.errors)")
      try python(
        """
        import glob, sys, gguf, sentencepiece
        fields = gguf.GGUFReader(glob.glob(sys.argv[1] + "/*.gguf")[0]).fields
        said = {k.removeprefix("tokenizer."): f.contents() for k, f in fields.items() if k.startswith("tokenizer.")}
        sp = sentencepiece.SentencePieceProcessor(model_file=sys.argv[2])
        assert said["ggml.tokens"] == [sp.id_to_piece(i) for i in range(32000)] + ["<|im_end|>", " drover "]
        assert said["ggml.token_type"][32000:] == [gguf.TokenType.CONTROL, gguf.TokenType.USER_DEFINED] and said["ggml.scores"][:32000] == [sp.get_score(i) for i in range(32000)]
        assert (said["ggml.bos_token_id"], said["ggml.eos_token_id"], said["ggml.eot_token_id"], said["ggml.padding_token_id"]) == (1, 32000, 32000, 2)
        assert said["chat_template"] == "{{ messages }}" and said["ggml.add_bos_token"] is True
        assert fields["llama.context_length"].contents() == 512
        """, folder + "/out", Peer.sentencePieceModel.path)

      // Behind the token that was added a text begins anew. A SentencePiece model would be another tokenizer, so a tokenizer.json goes in its place.
      let texts = ["a drover b", "Hello drover  drover x", " drover ", "x<|im_end|>y", "</s> a", "naïve 字 text", "▁drover▁x", "  "]
      let gguf = try #require(try Checkpoint.open(at: FilePath(folder + "/out")).vocabulary()).makeTokenizer()
      let ours = try texts.map { try gguf.encode($0, parsingSpecials: true) }
      for format in ["pth", "hf"] {
        let outcome = try drover("reshard", folder + "/out", folder + "/" + format, "--format", format, "--mp", "1")
        try #require(outcome.status == 0, "\(outcome.errors)")
        #expect(outcome.errors.contains("no tokenizer.model is written") && outcome.errors.contains("“ drover ”"), "\(outcome.errors)")
        #expect(!FileManager.default.fileExists(atPath: folder + "/\(format)/tokenizer.model"))
        let theirs: [[Int]] = try ask(
          """
          from tokenizers import Tokenizer
          tokenizer = Tokenizer.from_file(given[0] + '/tokenizer.json')
          answer = [tokenizer.encode(text, add_special_tokens=False).ids for text in given[1:]]
          """, [folder + "/" + format] + texts)
        #expect(ours == theirs)
        let read = try #require(try Checkpoint.open(at: FilePath(folder + "/" + format)).vocabulary()).makeTokenizer()
        #expect(try texts.map { try read.encode($0, parsingSpecials: true) } == theirs)
      }
    }
  }
}
