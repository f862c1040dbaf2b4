import Checkpoint
import Foundation
import Integrity
import SystemPackage
import TestSupport
import Testing

/// A model whose output projection is its embedding table: the reference wants an `output.weight` all the same, however the embedding is cut.
@Suite(.needs(.python), .needs(.currentTorch)) struct TiedOutputTests {
  /// A Hugging Face folder and one of Meta's, of which the latter has one storage under both names.
  private static let script = """
    import json, os, sys, torch
    from safetensors.torch import save_file
    root, vocab, dim, hidden, heads = sys.argv[1], int(sys.argv[2]), 64, 96, 4
    torch.manual_seed(3)
    def t(*shape): return torch.randn(*shape).to(torch.bfloat16)
    w = {"tok_embeddings.weight": t(vocab, dim), "norm.weight": t(dim)}
    p = "layers.0."
    for n in ["wq", "wk", "wv", "wo"]: w[p + f"attention.{n}.weight"] = t(dim, dim)
    w |= {p + "feed_forward.w1.weight": t(hidden, dim), p + "feed_forward.w2.weight": t(dim, hidden), p + "feed_forward.w3.weight": t(hidden, dim),
          p + "attention_norm.weight": t(dim), p + "ffn_norm.weight": t(dim)}
    os.makedirs(root + "/pth"); os.makedirs(root + "/hf")
    torch.save(w | {"output.weight": w["tok_embeddings.weight"]}, root + "/pth/consolidated.00.pth")
    json.dump({"dim": dim, "n_layers": 1, "n_heads": heads, "hidden_dim": hidden, "norm_eps": 1e-5, "vocab_size": vocab}, open(root + "/pth/params.json", "w"))
    def halves(t): return t.view(heads, dim // heads // 2, 2, dim).transpose(1, 2).reshape(dim, dim).contiguous()
    h = "model.layers.0."
    hf = {"model.embed_tokens.weight": w["tok_embeddings.weight"], "model.norm.weight": w["norm.weight"], h + "self_attn.q_proj.weight": halves(w[p + "attention.wq.weight"]),
          h + "self_attn.k_proj.weight": halves(w[p + "attention.wk.weight"])}
    for a, b in [("self_attn.v_proj", "attention.wv"), ("self_attn.o_proj", "attention.wo"), ("mlp.gate_proj", "feed_forward.w1"), ("mlp.down_proj", "feed_forward.w2"),
                 ("mlp.up_proj", "feed_forward.w3"), ("input_layernorm", "attention_norm"), ("post_attention_layernorm", "ffn_norm")]:
        hf[f"{h}{a}.weight"] = w[f"{p}{b}.weight"]
    save_file(hf, root + "/hf/model.safetensors")
    json.dump({"model_type": "llama", "hidden_size": dim, "intermediate_size": hidden, "num_hidden_layers": 1, "num_attention_heads": heads, "num_key_value_heads": heads,
               "vocab_size": vocab, "rms_norm_eps": 1e-5, "tie_word_embeddings": True}, open(root + "/hf/config.json", "w"))
    """

  /// Rank by rank, each as the reference cuts it.
  private static let check = """
    import glob, sys, torch
    root, axis = sys.argv[1], int(sys.argv[2])
    want = torch.load(root + "/pth/consolidated.00.pth")
    for folder in sys.argv[3].split(","):
        files = sorted(glob.glob(f"{root}/{folder}/*.pth"))
        for rank, file in enumerate(files):
            got = torch.load(file)
            assert set(got) == set(want), (folder, set(got) ^ set(want))
            for name, cut in [("tok_embeddings.weight", axis), ("output.weight", 0)]:
                assert torch.equal(got[name].view(torch.int16), want[name].chunk(len(files), cut)[rank].contiguous().view(torch.int16)), (file, name)
            # Cut alike, they still share their storage.
            shared = got["output.weight"].data_ptr() == got["tok_embeddings.weight"].data_ptr()
            assert shared == (axis == 0 or len(files) == 1), (file, shared)
    """

  @Test(arguments: [(32000, 1), (128, 0)]) func outputIsWritten(vocabulary: Int, axis: Int) throws {
    try withTemporaryFolder { folder in
      try python(Self.script, folder, String(vocabulary))
      var outputs: [String] = []
      for source in ["hf", "pth"] {
        let before = try Checkpoint.open(at: FilePath("\(folder)/\(source)"))
        #expect(before.params.tiedEmbeddings)
        for ranks in [1, 2, 4] {
          let name = "\(source)-\(ranks)"
          let outcome = try drover("reshard", "\(folder)/\(source)", "\(folder)/\(name)", "--mp", "\(ranks)", "--progress", "none")
          #expect(outcome.status == 0, "\(outcome.errors)")
          try expectVerified("\(folder)/\(name)")
          outputs.append(name)
          let after = try Checkpoint.open(at: FilePath("\(folder)/\(name)"))
          #expect(try after.fingerprint().tensors["tok_embeddings.weight"] == before.fingerprint().tensors["tok_embeddings.weight"])
          // And on, from what drover wrote.
          let again = try drover("reshard", "\(folder)/\(name)", "\(folder)/\(name)-1", "--mp", "1", "--progress", "none")
          #expect(again.status == 0, "\(again.errors)")
        }
      }
      for peer in [Peer.python, .currentTorch] { try python(Self.check, folder, String(axis), outputs.joined(separator: ","), with: peer) }
    }
  }

  private func expectVerified(_ folder: String) throws {
    let outcome = try drover("verify", folder)
    #expect(outcome.status == 0, "\(outcome.output)\(outcome.errors)")
  }
}
