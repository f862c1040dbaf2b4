import Catalog
import Foundation
import TestSupport
import Testing

/// `drover chat --show-prompt` on a folder called as each of Meta's releases that chat: what Meta's code for that release puts to the model.
@Suite(.needs(.python), .needs(.sentencePieceModel), .needs(.llama3Tokenizer)) struct ReleasePromptTests {
  private static let dialogs: [[[String: String]]] = [
    [["role": "user", "content": "Hello"]],
    [["role": "system", "content": "Be brief.\n"], ["role": "user", "content": " Who\tare you? "]],
    [["role": "user", "content": "1+1?"], ["role": "assistant", "content": " 2\n"], ["role": "user", "content": "日本語で 🙂"]],
    [["role": "system", "content": ""], ["role": "user", "content": "a </s> <|eot_id|> <|im_end|> b"], ["role": "assistant", "content": "c"], ["role": "user", "content": ""]],
  ]

  /// Small weights with the vocabulary of each kind, and what Meta's code makes of the dialogs: llama-models' `ChatFormat`, and `chat_completion` of `llama/generation.py` and
  /// `codellama/llama/generation.py` as they are documented, in sentencepiece.
  private static let script = #"""
    import io, json, os, shutil, sys, pathlib, torch, sentencepiece
    root, old_model, llama3_model = sys.argv[1:]
    dialogs = json.load(open(root + "/dialogs.json"))
    path = pathlib.Path(llama3_model)
    \#(MetasChatFormat.definitions)
    chat = ChatFormat(Tokenizer(path))
    def llama3(dialog): return chat.encode_dialog_prompt([message(m) for m in dialog]).tokens
    sp = sentencepiece.SentencePieceProcessor(model_file=old_model)
    def llama2(dialog):
        if dialog[0]['role'] == 'system':
            dialog = [{'role': 'user', 'content': '<<SYS>>\n' + dialog[0]['content'] + '\n<</SYS>>\n\n' + dialog[1]['content']}] + dialog[2:]
        ids = []
        for user, answer in zip(dialog[0::2], dialog[1::2]): ids += [sp.bos_id()] + sp.encode('[INST] %s [/INST] %s ' % (user['content'].strip(), answer['content'].strip())) + [sp.eos_id()]
        return ids + [sp.bos_id()] + sp.encode('[INST] %s [/INST]' % dialog[-1]['content'].strip())
    # Code Llama 70B's vocabulary has a token for the end of a step, which Mistral's hasn't.
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(['the quick brown fox %d jumps over user and assistant' % i for i in range(300)]), model_writer=out, vocab_size=330,
        model_type='bpe', byte_fallback=True, normalization_rule_name='identity', remove_extra_whitespaces=False, hard_vocab_limit=False, minloglevel=2, control_symbols=['<step>'])
    open(root + "/step.model", "wb").write(out.getvalue())
    step = sentencepiece.SentencePieceProcessor(model_file=root + "/step.model")
    def codellama70b(dialog):
        if dialog[0]['role'] != 'system': dialog = [{'role': 'system', 'content': ''}] + dialog
        ids = [step.bos_id()]
        for m in dialog:
            ids += step.encode(' Source: ' + m['role'])
            if m['content']: ids += step.encode('\n\n ' + m['content'].strip())
            ids.append(step.piece_to_id('<step>'))
        return ids + step.encode(' Source: assistant\nDestination: user') + step.encode('\n\n ')
    def write(name, vocabulary, tokenizer):
        os.makedirs(f"{root}/{name}")
        t = lambda *shape: torch.ones(*shape, dtype=torch.bfloat16) / 16
        p = "layers.0."
        torch.save({"tok_embeddings.weight": t(vocabulary, 16), "norm.weight": t(16), "output.weight": t(vocabulary, 16), p + "attention_norm.weight": t(16), p + "ffn_norm.weight": t(16)}
            | {p + f"attention.w{k}.weight": t(16, 16) for k in "qkvo"} | {p + "feed_forward.w1.weight": t(8, 16), p + "feed_forward.w2.weight": t(16, 8), p + "feed_forward.w3.weight": t(8, 16)},
            f"{root}/{name}/consolidated.00.pth")
        json.dump(dict(dim=16, n_layers=1, n_heads=2, vocab_size=vocabulary, hidden_dim=8, norm_eps=1e-5, rope_theta=500000.0 if vocabulary > 100000 else 10000.0), open(f"{root}/{name}/params.json", "w"))
        shutil.copy(tokenizer, f"{root}/{name}/tokenizer.model")
    write("llama2", 32000, old_model)
    write("llama3", 128256, llama3_model)
    write("codellama70b", step.vocab_size(), root + "/step.model")
    json.dump(dict(llama2=[llama2(d) for d in dialogs], llama3=[llama3(d) for d in dialogs], codellama70b=[codellama70b(d) for d in dialogs]), open(root + "/truth.json", "w"))
    """#

  private struct Report: Decodable {
    struct Dialog: Decodable {
      struct Input: Decodable { let tokens: [Int] }
      let input: Input
    }
    let dialogs: [Dialog]
  }

  @Test func eachReleaseIsPromptedByItsOwnCode() throws {
    try withTemporaryFolder { root in
      let file = root + "/dialogs.json"
      try JSONEncoder().encode(Self.dialogs).write(to: URL(filePath: file))
      try python(Self.script, root, Peer.sentencePieceModel.path, Peer.llama3Tokenizer.path)
      let truth = try JSONDecoder().decode([String: [[Int]]].self, from: Data(contentsOf: URL(filePath: root + "/truth.json")))
      var compared: [String: Int] = [:]
      for release in try Catalog.builtIn().releases {
        guard let format = release.chatFormat, let theirs = truth[format] else { continue }
        // The folder's name says which release it is.
        let folder = root + "/" + release.folder
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for name in try FileManager.default.contentsOfDirectory(atPath: "\(root)/\(format)") {
          try FileManager.default.createSymbolicLink(atPath: folder + "/" + name, withDestinationPath: "\(root)/\(format)/\(name)")
        }
        let outcome = try drover("chat", folder, "--dialogs", file, "--show-prompt", "--json", "-v", "--max-gen-len", "0", "--threads", "1")
        let report = try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8))
        #expect(report.dialogs.map(\.input.tokens) == theirs, "\(release.id): \(outcome.errors)")
        // Where transformers' template gives other tokens, it is said which are used.
        #expect(outcome.errors.contains("chat format \(format), as Meta's code for this release writes it" + (format == "llama3" ? "; Hugging Face's template for it" : "")), "\(outcome.errors)")
        #expect(outcome.errors.contains("system message of dates") == (format == "llama3" && release.family != "Llama 3"), "\(release.id)")
        compared[format, default: 0] += 1
      }
      #expect((compared["llama2"] ?? 0) >= 6 && (compared["llama3"] ?? 0) >= 9 && compared["codellama70b"] == 1, "\(compared)")
    }
  }
}
