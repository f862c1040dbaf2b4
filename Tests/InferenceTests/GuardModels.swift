import Foundation
import TestSupport

/// Llama Guards of a few thousand weights that judge by one word: who spells “girl” is unsafe, in a category of the guard's.
///
/// The only layer averages over the prompt whether a token is that word; the output asks for `unsafe` where it is and for `safe` where not, and behind each token of an answer for the
/// next one, as a chain.
enum GuardModels {
  /// Writes folders named as releases into `root`: Meta's, with a real vocabulary each.
  static func write(to root: String) throws {
    try python(Self.script, root, Peer.sentencePieceModel.path, Peer.llama3Tokenizer.path)
  }

  private static let script = #"""
    import json, os, shutil, sys, torch
    root, sentencepiece_model, tiktoken_model = sys.argv[1:]
    import sentencepiece
    sp = sentencepiece.SentencePieceProcessor(model_file=sentencepiece_model)
    import types, pathlib
    sys.path.insert(0, tiktoken_model.rsplit("/", 3)[0])
    package = types.ModuleType("llama_models.llama3"); package.__path__ = [tiktoken_model.rsplit("/", 1)[0]]
    sys.modules["llama_models.llama3"] = package
    from llama_models.llama3.tokenizer import Tokenizer
    tk = Tokenizer(pathlib.Path(tiktoken_model))
    def encode(text, old): return sp.encode(text) if old else tk.encode(text, bos=False, eos=False)
    # Dimension 0 is 1 for each token, 1 says that it is the word, 2 takes the average of that, the others are the places in the chain.
    DIM = 32
    def guard(name, old, answer, begins=(), **params):
        vocabulary, eos = (32000, 2) if old else (128256, 128009)
        safe, unsafe = encode("safe", old), encode("unsafe", old)
        w = lambda *shape: torch.zeros(*shape)
        embedding, output = w(vocabulary, DIM), w(vocabulary, DIM)
        embedding[:, 0] = 1
        for text in ("girl", " girl"): embedding[encode(text, old)[-1], 1] = 16
        # What an answer is made of, behind each token the next; `begins` ends where the verdict comes.
        places = {}
        def place(token):
            if token not in places: places[token] = len(places) + 3; embedding[token, places[token]] = 64
            return places[token]
        def follow(before, token): output[token, place(before)] += 40
        # Behind the last token of a prompt, which is none of the chain's, comes the verdict.
        output[safe[0], 0], output[unsafe[0], 2] = 20, 4
        for chain in (safe, unsafe + encode_line(answer, old)):
            assert len(set(chain)) == len(chain), "a token has one that follows it"
            for before, after in zip(chain, chain[1:] + [eos]): follow(before, after)
        for before, after in zip(begins, begins[1:]): follow(before, after)
        if begins: place(begins[-1])
        # Places of the chain say nothing of the verdict.
        for token in (safe[0], unsafe[0]):
            for p in places.values(): output[token, p] -= 40
        if begins:
            # Behind what `begins` ends with the verdict comes after all.
            for token in (safe[0], unsafe[0]): output[token, places[begins[-1]]] += 40
        p = "layers.0."
        weights = {"tok_embeddings.weight": embedding, "norm.weight": torch.ones(DIM), "output.weight": output, p + "attention_norm.weight": torch.ones(DIM), p + "ffn_norm.weight": torch.ones(DIM)}
        for part in ("attention.wq", "attention.wk", "attention.wv", "attention.wo"): weights[p + part + ".weight"] = w(DIM, DIM)
        weights[p + "attention.wv.weight"][2, 1] = 1
        weights[p + "attention.wo.weight"][2, 2] = 4000
        for part, shape in (("w1", (8, DIM)), ("w2", (DIM, 8)), ("w3", (8, DIM))): weights[p + "feed_forward." + part + ".weight"] = w(*shape)
        folder = f"{root}/{name}"; os.makedirs(folder)
        torch.save(weights, folder + "/consolidated.00.pth")
        json.dump(dict(dim=DIM, n_layers=1, n_heads=2, vocab_size=vocabulary, hidden_dim=8, norm_eps=1e-5, rope_theta=10000.0 if old else 500000.0, **params), open(folder + "/params.json", "w"))
        shutil.copy(sentencepiece_model if old else tiktoken_model, folder + "/tokenizer.model")
    def encode_line(text, old):
        # As it goes on behind a word: sentencepiece begins each text with a space.
        return sp.encode("x" + text)[len(sp.encode("x")):] if old else tk.encode(text, bos=False, eos=False)
    guard("llama-guard", True, "\nO3")
    guard("llama-guard-2", False, "\nS1")
    guard("Llama-Guard-3-8B", False, "\nS14,S99")
    guard("Llama-Guard-3-1B", False, "\nS10")
    # As Guard 3 answers where its prompt ends with the header: a line break first.
    guard("guard", False, "\nS3", begins=[tk.special_tokens["<|end_header_id|>"], *tk.encode("\n\n", bos=False, eos=False)])
    """#
}
