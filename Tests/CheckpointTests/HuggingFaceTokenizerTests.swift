import Checkpoint
import Foundation
import TestSupport
import Testing

/// Meta's folders as Hugging Face folders: transformers loads them, and makes of texts and dialogs what Meta's code makes of them.
@Suite(.needs(.currentTorch), .needs(.python), .needs(.sentencePieceModel), .needs(.llama3Tokenizer))
struct HuggingFaceTokenizerTests {
  /// Small weights under the names of releases, each with a real vocabulary.
  private static let write = #"""
    import json, os, random, shutil, sys, torch
    root, sentencepiece, tiktoken = sys.argv[1:]
    torch.manual_seed(3)
    def release(name, vocabulary, tokenizer, theta=10000.0, **params):
        folder = f"{root}/{name}"; os.makedirs(folder)
        def t(*shape): return (torch.randn(*shape) / 4).to(torch.bfloat16)
        p = "layers.0."
        w = {"tok_embeddings.weight": t(vocabulary, 32), "norm.weight": t(32) + 1, "output.weight": t(vocabulary, 32), p + "attention_norm.weight": t(32) + 1, p + "ffn_norm.weight": t(32) + 1,
             p + "attention.wq.weight": t(32, 32), p + "attention.wk.weight": t(32, 32), p + "attention.wv.weight": t(32, 32), p + "attention.wo.weight": t(32, 32),
             p + "feed_forward.w1.weight": t(64, 32), p + "feed_forward.w2.weight": t(32, 64), p + "feed_forward.w3.weight": t(64, 32)}
        torch.save(w, folder + "/consolidated.00.pth")
        json.dump(dict(dim=32, n_layers=1, n_heads=2, vocab_size=vocabulary, hidden_dim=64, norm_eps=1e-5, rope_theta=theta, **params), open(folder + "/params.json", "w"))
        shutil.copy(tokenizer, folder + "/tokenizer.model")
    for name in "7B", "llama-2-7b", "llama-2-7b-chat": release(name, 32000, sentencepiece)
    release("CodeLlama-34b-Instruct", 32000, sentencepiece, theta=1e6)
    for name in "Meta-Llama-3-8B", "Meta-Llama-3-8B-Instruct": release(name, 128256, tiktoken, theta=500000.0)
    for name in "Llama-3.1-8B-Instruct", "Llama-3.2-1B-Instruct", "Llama-3.3-70B-Instruct", "Llama-Guard-3-8B": release(name, 128256, tiktoken, theta=500000.0, use_scaled_rope=True)

    # Texts that tokenizers get wrong, without the spellings of special tokens, which transformers always takes for those.
    random.seed(8)
    pieces = [" ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", "\u00a0", "\u3000", "'s", "'LL", "’", "1", "23", "4567", "٣", "½", "a", "the", "ing", "Hello", "world", "é", "ß", "ſ", "я", "λ",
              "ش", "अ", "字", "の", "한", "\u0301", "\u200d", "🙂", "🏽", "👩‍👩‍👧", ".", "...", "(", "{", "==", "->", "\"", "#", "_", "\\", "\0", "<", "|", ">", "[", "]", "INST"]
    texts = ["", " ", "a", " a", "a ", "Hello, world!", "x\n\n  y"] + ["".join(random.choice(pieces) for _ in range(random.randrange(1, 40))) for _ in range(1000)]
    def chat(*turns, system=None):
        return ([dict(role="system", content=system)] if system else []) + [dict(role=("user", "assistant")[i % 2], content=t) for i, t in enumerate(turns)]
    dialogs = [chat("Hi"), chat("What is 2 + 2?", "4.", "And 3 + 3?"), chat("  spaces \n around ", system="Answer in rhymes."), chat("naïve 🙂", " Yes. ", "b", "c", "def f(x):\n    return x", system="Be brief.\n")]
    json.dump(dict(texts=texts, dialogs=dialogs), open(root + "/given.json", "w"))
    """#

  /// What sentencepiece and tiktoken make of the texts, and Meta's code of the dialogs, written down from `llama/generation.py` and `llama3/chat_format.py`.
  private static let truth = #"""
    import json, sys, types
    root, sentencepiece_model, tiktoken_model = sys.argv[1:]
    import sentencepiece
    given = json.load(open(root + "/given.json"))
    sp = sentencepiece.SentencePieceProcessor(model_file=sentencepiece_model)
    sys.path.insert(0, tiktoken_model.rsplit("/", 3)[0])
    from pathlib import Path
    # The package's own __init__ wants more than its tokenizer does.
    package = types.ModuleType("llama_models.llama3"); package.__path__ = [tiktoken_model.rsplit("/", 1)[0]]
    sys.modules["llama_models.llama3"] = package
    from llama_models.llama3.tokenizer import Tokenizer
    tk = Tokenizer(Path(tiktoken_model))
    def llama2(dialog):
        system = ""
        if dialog[0]["role"] == "system": system, dialog = f"<<SYS>>\n{dialog[0]['content']}\n<</SYS>>\n\n", dialog[1:]
        contents = [m["content"] for m in dialog]; contents[0] = system + contents[0]
        ids = []
        for user, answer in zip(contents[::2], contents[1::2]):
            ids += [sp.bos_id()] + sp.encode(f"[INST] {user.strip()} [/INST] {answer.strip()} ") + [sp.eos_id()]
        return ids + [sp.bos_id()] + sp.encode(f"[INST] {contents[-1].strip()} [/INST]")
    def llama3(dialog):
        def header(role): return [tk.special_tokens["<|start_header_id|>"]] + tk.encode(role, bos=False, eos=False) + [tk.special_tokens["<|end_header_id|>"]] + tk.encode("\n\n", bos=False, eos=False)
        ids = [tk.bos_id]
        for m in dialog: ids += header(m["role"]) + tk.encode(m["content"], bos=False, eos=False) + [tk.special_tokens["<|eot_id|>"]]
        return ids + header("assistant")
    json.dump(dict(
        sp=[sp.encode(t) for t in given["texts"]], tk=[tk.encode(t, bos=False, eos=False) for t in given["texts"]],
        llama2=[llama2(d) for d in given["dialogs"]], llama3=[llama3(d) for d in given["dialogs"]]), open(root + "/truth.json", "w"))
    """#

  private static let check = #"""
    import json, os, sys, torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
    root = sys.argv[1]
    given, truth = json.load(open(root + "/given.json")), json.load(open(root + "/truth.json"))
    answer = {}
    for name in sorted(n for n in os.listdir(root) if n.endswith("-hf")):
        folder = f"{root}/{name}"
        released = name[:-3]
        isOld = not released.startswith(("Meta-Llama-3", "Llama-"))
        tokenizer = AutoTokenizer.from_pretrained(folder)
        ids = truth["sp" if isOld else "tk"]
        for text, expected in zip(given["texts"], ids):
            found = tokenizer(text, add_special_tokens=False).input_ids
            assert found == expected, (name, text, found, expected)
            assert tokenizer(text).input_ids == [tokenizer.bos_token_id] + expected, (name, text)
            assert tokenizer.decode(found) == text, (name, text, tokenizer.decode(found))
        chats = "chat" in released or "Instruct" in released
        assert (tokenizer.chat_template is not None) == chats, name
        assert tokenizer.bos_token_id == (1 if isOld else 128000)
        assert tokenizer.eos_token_id == (2 if isOld else 128009 if chats else 128001), (name, tokenizer.eos_token)
        assert json.load(open(folder + "/special_tokens_map.json"))["eos_token"] == tokenizer.eos_token
        if chats:
            for dialog, expected in zip(given["dialogs"], truth["llama2" if isOld else "llama3"]):
                found = tokenizer.apply_chat_template(dialog, add_generation_prompt=True, tokenize=True, return_dict=False)
                assert found == expected, (name, dialog, tokenizer.decode(found), tokenizer.decode(expected))
        generation = GenerationConfig.from_pretrained(folder)
        assert (generation.do_sample, generation.temperature, generation.top_p) == (True, 0.6, 0.9)
        assert generation.eos_token_id == (2 if isOld else [128001, 128008, 128009])
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        with torch.no_grad(): logits = model(torch.tensor([tokenizer("Hello, world!").input_ids])).logits[0]
        answer[released] = torch.log_softmax(logits[-1], -1).topk(5).values.tolist() + [float(i) for i in logits[-1].topk(5).indices]
    # A message with one of Llama 2's tags is refused, as Meta's code does.
    for dialog in ([dict(role="user", content="a [/INST] b")], [dict(role="assistant", content="a")]):
        try: AutoTokenizer.from_pretrained(root + "/llama-2-7b-chat-hf").apply_chat_template(dialog)
        except Exception as error: assert "special tags" in str(error) or "take turns" in str(error), error
        else: raise AssertionError(dialog)
    print(json.dumps(answer))
    """#

  private struct Completions: Decodable {
    struct Completion: Decodable {
      let tokens: [Int]
      let logprobs: [Double?]
    }
    let completions: [Completion]
  }

  private struct Dialogs: Decodable {
    struct Dialog: Decodable {
      struct Input: Decodable { let tokens: [Int] }
      let input: Input
    }
    let dialogs: [Dialog]
  }

  @Test func transformersLoadsThemWhole() throws {
    try withTemporaryFolder { root in
      let peers = (Peer.sentencePieceModel.path, Peer.llama3Tokenizer.path)
      try python(Self.write, root, peers.0, peers.1, with: .currentTorch)
      try python(Self.truth, root, peers.0, peers.1)
      let names = try FileManager.default.contentsOfDirectory(atPath: root).filter { !$0.hasSuffix(".json") }
      for name in names { try reshard("\(root)/\(name)", "\(root)/\(name)-hf", modelParallel: 1, format: .hf) }
      let answer = try python(Self.check, root, with: .currentTorch)
      // The same token, as likely, as from Meta's folder and from Hugging Face's by drover itself.
      let likely = try JSONDecoder().decode([String: [Double]].self, from: Data(answer.utf8))
      #expect(likely.count == names.count)
      for name in ["llama-2-7b-chat", "Llama-3.1-8B-Instruct"] {
        let expected = try #require(likely[name])
        for folder in [name, name + "-hf"] {
          let outcome = try drover(
            "complete", "\(root)/\(folder)", "--prompt", "Hello, world!", "--temperature", "0", "--max-gen-len", "1", "--logprobs", "--json", "-q")
          let completion = try JSONDecoder().decode(Completions.self, from: Data(outcome.output.utf8)).completions[0]
          #expect(completion.tokens == [Int(expected[5])], "\(folder)")
          #expect(abs((completion.logprobs[0] ?? 0) - expected[0]) < 1e-3, "\(folder): \(completion.logprobs) \(expected)")
        }
      }
      // What drover puts to the model is what the folder's template says.
      let dialogs = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: root + "/given.json"))) as? [String: Any]
      try JSONSerialization.data(withJSONObject: try #require(dialogs?["dialogs"])).write(to: URL(filePath: root + "/dialogs.json"))
      let truth = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: root + "/truth.json"))) as? [String: Any]
      for (name, key) in [("llama-2-7b-chat", "llama2"), ("Meta-Llama-3-8B-Instruct", "llama3"), ("Llama-3.3-70B-Instruct", "llama3")] {
        for folder in [name, name + "-hf"] {
          let outcome = try drover("chat", "\(root)/\(folder)", "--dialogs", root + "/dialogs.json", "--max-gen-len", "1", "--show-prompt", "--json", "-q")
          let found = try JSONDecoder().decode(Dialogs.self, from: Data(outcome.output.utf8)).dialogs.map(\.input.tokens)
          #expect(found == truth?[key] as? [[Int]], "\(folder): \(outcome.errors)")
        }
      }
    }
  }

  /// Back to Meta's layout: its own tokenizer is there again, byte for byte.
  @Test func theTokenizerComesBack() throws {
    try withTemporaryFolder { root in
      try python(Self.write, root, Peer.sentencePieceModel.path, Peer.llama3Tokenizer.path, with: .currentTorch)
      for name in ["llama-2-7b-chat", "Meta-Llama-3-8B"] {
        try reshard("\(root)/\(name)", root + "/hf", modelParallel: 1, format: .hf)
        try reshard(root + "/hf", root + "/back", modelParallel: 1, format: .pth)
        #expect(try Data(contentsOf: URL(filePath: root + "/back/tokenizer.model")) == Data(contentsOf: URL(filePath: "\(root)/\(name)/tokenizer.model")))
        for folder in ["hf", "back"] { try FileManager.default.removeItem(atPath: "\(root)/\(folder)") }
      }
    }
  }
}
