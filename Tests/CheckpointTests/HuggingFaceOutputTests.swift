import Checkpoint
import Foundation
import Integrity
import SystemPackage
import TestSupport
import Testing
import Tokenization

/// What a Hugging Face folder says beside its weights, as transformers reads it.
@Suite(.needs(.currentTorch))
struct HuggingFaceOutputTests {
  /// A checkpoint of one small layer in each family's dress, and a Hugging Face folder with all that one may hold.
  private static let write = #"""
    import json, os, shutil, sys, torch
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM
    root, sentencepiece, tiktoken = sys.argv[1:]
    def meta(name, vocabulary, tokenizer, dtype, theta=10000.0, buffer=None, **params):
        folder = f"{root}/{name}"; os.makedirs(folder)
        def t(*shape): return torch.randn(*shape).to(dtype)
        p = "layers.0."
        w = {"tok_embeddings.weight": t(vocabulary, 8), "norm.weight": t(8), "output.weight": t(vocabulary, 8), p + "attention_norm.weight": t(8), p + "ffn_norm.weight": t(8),
             p + "attention.wq.weight": t(8, 8), p + "attention.wk.weight": t(8, 8), p + "attention.wv.weight": t(8, 8), p + "attention.wo.weight": t(8, 8),
             p + "feed_forward.w1.weight": t(32, 8), p + "feed_forward.w2.weight": t(8, 32), p + "feed_forward.w3.weight": t(32, 8)}
        if buffer: w[buffer] = (1 / theta ** (torch.arange(0, 4, 2).float() / 4)).to(dtype)
        torch.save(w, folder + "/consolidated.00.pth")
        json.dump(dict(dim=8, n_layers=1, n_heads=2, vocab_size=-1, multiple_of=16, norm_eps=1e-5, rope_theta=theta, **params), open(folder + "/params.json", "w"))
        shutil.copy(tokenizer, folder + "/tokenizer.model")
    meta("1", 32000, sentencepiece, torch.float16, buffer="layers.0.attention.inner_attention.rope.freqs")
    meta("2", 32000, sentencepiece, torch.bfloat16, buffer="rope.freqs")
    meta("code", 32000, sentencepiece, torch.bfloat16, theta=1e6)
    meta("3", 128256, tiktoken, torch.bfloat16, theta=500000.0)
    meta("3.1", 128256, tiktoken, torch.bfloat16, theta=500000.0, use_scaled_rope=True)
    meta("unknown", 32000, sentencepiece, torch.bfloat16)

    config = LlamaConfig(hidden_size=8, intermediate_size=16, num_attention_heads=2, num_key_value_heads=2, num_hidden_layers=1, vocab_size=64, max_position_embeddings=12345,
                         bos_token_id=3, eos_token_id=[4, 5], pad_token_id=6, rms_norm_eps=1e-5, initializer_range=0.03, attention_dropout=0.1)
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(bos_token_id=3, eos_token_id=[4, 5, 7], pad_token_id=6, do_sample=True, temperature=0.6, top_p=0.9, max_length=99)
    model.save_pretrained(root + "/hf")
    said = json.load(open(root + "/hf/config.json")) | {"sliding_window": 64, "transformers.js_config": {"dtype": "q4"}, "a_key_of_tomorrow": [1, {"x": None}], "pretraining_tp": 2}
    json.dump(said, open(root + "/hf/config.json", "w"))
    """#

  private static let check = #"""
    import json, sys
    from transformers import AutoConfig, GenerationConfig
    root = sys.argv[1]
    # `convert_llama_weights_to_hf.py` of transformers: CONTEXT_LENGTH_FOR_VERSION, and what it has for bos and eos.
    for name, context, dtype, bos, eos in [
        ("1", 2048, "float16", 1, 2), ("2", 4096, "bfloat16", 1, 2), ("code", 16384, "bfloat16", 1, 2), ("3", 8192, "bfloat16", 128000, [128001, 128008, 128009]),
        ("3.1", 131072, "bfloat16", 128000, [128001, 128008, 128009])]:
        config = AutoConfig.from_pretrained(f"{root}/{name}-hf")
        assert config.max_position_embeddings == context, (name, config.max_position_embeddings)
        assert str(config.dtype) == "torch." + dtype and config.vocab_size == (32000 if eos == 2 else 128256), (name, config.dtype)
        for ids in (config, GenerationConfig.from_pretrained(f"{root}/{name}-hf")):
            assert (ids.bos_token_id, ids.eos_token_id) == (bos, eos), (name, ids)
    # Where nothing tells, nothing is said.
    assert "max_position_embeddings" not in json.load(open(root + "/unknown-hf/config.json"))
    # From Hugging Face to Hugging Face nothing is lost, and only what is asked for is another.
    def read(folder, name): return json.load(open(f"{root}/{folder}/{name}"))
    assert read("hf-hf", "config.json") == read("hf", "config.json")
    assert read("hf-hf", "generation_config.json") == read("hf", "generation_config.json")
    was, now = read("hf", "config.json"), read("hf-f16", "config.json")
    assert now == was | {"dtype": "float16"} and was["dtype"] == "float32", now
    """#

  @Test(.needs(.sentencePieceModel), .needs(.llama3Tokenizer)) func transformersFindsNumbersIdsAndKeys() throws {
    try withTemporaryFolder { root in
      try python(Self.write, root, Peer.sentencePieceModel.path, Peer.llama3Tokenizer.path, with: .currentTorch)
      for name in ["1", "2", "code", "3", "3.1", "unknown", "hf"] {
        try reshard("\(root)/\(name)", "\(root)/\(name)-hf", modelParallel: 1, format: .hf)
      }
      try reshard(root + "/hf", root + "/hf-f16", modelParallel: 1, format: .hf, dtype: .f16)
      try python(Self.check, root, with: .currentTorch)
      let plan = try ReshardPlan(Checkpoint.open(at: FilePath(root + "/unknown")), .init(modelParallel: 1, format: .hf))
      #expect(plan.notes.contains { $0.contains("max_position_embeddings") }, "\(plan.notes)")
    }
  }

  /// A tokenizer that drover can't run goes along with the weights to every format, and of two the one that AutoTokenizer takes counts.
  @Test(.needs(.sentencePieceModel), .needs(.llama3Tokenizer)) func tokenizersTravel() throws {
    try withTemporaryFolder { root in
      // Without the keys that only a Hugging Face folder can keep.
      let rest = """
        for key in ("sliding_window", "a_key_of_tomorrow"): said.pop(key)
        json.dump(said, open(root + "/hf/config.json", "w"))
        """
      try python(Self.write + "\n" + rest, root, Peer.sentencePieceModel.path, Peer.llama3Tokenizer.path, with: .currentTorch)
      let files = [
        "tokenizer.json": #"{"model":{"type":"WordPiece","vocab":{"a":0}}}"#, "added_tokens.json": #"{"<x>":1}"#, "tokenizer_config.json": "{}",
        "special_tokens_map.json": "{}",
      ]
      for (name, content) in files { try Data(content.utf8).write(to: URL(filePath: "\(root)/hf/\(name)")) }
      for format in [Checkpoint.Format.hf, .pth, .safetensors] {
        try reshard(root + "/hf", root + "/out-\(format)", modelParallel: 1, format: format)
        for (name, content) in files { #expect(try String(contentsOfFile: "\(root)/out-\(format)/\(name)", encoding: .utf8) == content, "\(name), \(format)") }
      }
      // The same from Meta's layout to a Hugging Face folder.
      try reshard(root + "/out-pth", root + "/back", modelParallel: 1, format: .hf)
      #expect(try String(contentsOfFile: root + "/back/tokenizer.json", encoding: .utf8) == files["tokenizer.json"])

      let both = #"{"added_tokens":[],"model":{"type":"BPE","vocab":{"a":0},"merges":[]},"decoder":{"type":"Fuse"}}"#
      for folder in ["hf", "2"] {
        try Data(both.utf8).write(to: URL(filePath: "\(root)/\(folder)/tokenizer.json"))
        try? FileManager.default.copyItem(atPath: Peer.sentencePieceModel.path, toPath: "\(root)/\(folder)/tokenizer.model")
        let vocabulary = try #require(try Checkpoint.open(at: FilePath("\(root)/\(folder)")).vocabulary())
        #expect(vocabulary.model == (folder == "hf" ? .pipeline : .sentencePiece), "\(folder)")
      }
    }
  }
}
