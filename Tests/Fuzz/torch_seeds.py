"""Writes seeds that only the current torch can write, beside those of seeds.py."""
import json, os, sys
import torch
import torch.distributed.checkpoint as dcp
import yaml

out = sys.argv[1]


def seed(parser, name):
    os.makedirs(f"{out}/{parser}", exist_ok=True)
    return f"{out}/{parser}/{name}"


def folder(parser, name, files):
    with open(seed(parser, name), "wb") as f:
        for number, content in files: f.write(bytes([number]) + len(content).to_bytes(3, "little") + content)


def saved(tensors, **options):
    path = seed("around/scratch", "file")
    torch.save(tensors, path, **options)
    return open(path, "rb").read()


torch.manual_seed(1)
dim, hidden, vocab, kv = 8, 16, 16, 4
p = "layers.0."
model = {
    "tok_embeddings.weight": torch.randn(vocab, dim), "norm.weight": torch.ones(dim), "output.weight": torch.randn(vocab, dim),
    p + "attention.wq.weight": torch.randn(dim, dim), p + "attention.wk.weight": torch.randn(kv, dim), p + "attention.wv.weight": torch.randn(kv, dim),
    p + "attention.wo.weight": torch.randn(dim, dim), p + "feed_forward.w1.weight": torch.randn(hidden, dim), p + "feed_forward.w2.weight": torch.randn(dim, hidden),
    p + "feed_forward.w3.weight": torch.randn(hidden, dim), p + "attention_norm.weight": torch.ones(dim), p + "ffn_norm.weight": torch.ones(dim),
}
half = {k: v.to(torch.bfloat16) for k, v in model.items()}
PARAMS = {"dim": 8, "n_layers": 1, "n_heads": 2, "n_kv_heads": 1, "hidden_dim": hidden, "norm_eps": 1e-5, "vocab_size": 16}
described = (0, json.dumps(PARAMS).encode())

# Distributed checkpoints.
for name, state in [("f32", model), ("bf16", half), ("state", {"model": half, "step": 3, "optimizer": {"lr": 0.1}})]:
    path = seed("around/scratch", "dcp-" + name)
    dcp.save(state, checkpoint_id=path, no_dist=True)
    folder("dcp", name, [described, (1, open(path + "/.metadata", "rb").read()), (2, open(path + "/__0_0.distcp", "rb").read())])

# Float8 with a scale for each row in a file of its own, as 405B has it.
coded = {k: v.to(torch.float8_e4m3fn) if "feed_forward" in k else v for k, v in half.items()}
scales = {f"0_feed_forward.{m}_0": torch.rand(coded[p + f"feed_forward.{m}.weight"].shape[0]) for m in ("w1", "w2", "w3")}
folder("scaled", "fp8", [described, (1, saved(coded)), (2, saved(scales))])
folder("scaled", "fp8-columns", [described, (1, saved(coded)), (2, saved({k: v[:, None] for k, v in scales.items()}))])

# Files as torch wrote them before 1.6, of other dtypes than seeds.py has.
for name, state in [("float8", coded), ("float64", {k: v.double() for k, v in model.items()}), ("parameters", {k: torch.nn.Parameter(v) for k, v in half.items()})]:
    open(seed("legacy", name), "wb").write(saved(state, _use_new_zipfile_serialization=False))
    open(seed("pth", name), "wb").write(saved(state))

# Llama 4, on one rank and cut among two: experts one below the other, several matrices in one, a part for images.
experts, width = 2, 16


def llama4(ranks):
    w, f = {k: v for k, v in half.items() if "attention.w" not in k and "feed_forward" not in k and "_norm" not in k}, width // ranks
    if ranks > 1: w = {k: v if v.dim() == 1 else v[: vocab // ranks].clone() for k, v in w.items()}
    n, q = p + "feed_forward.", lambda *shape: torch.randn(*shape).to(torch.bfloat16)
    e, b = "vision_embeddings.vision_encoder.", "vision_embeddings.vision_encoder.transformer.resblocks.0."
    w |= {p + "attention.wqkv.weight": q((dim + 2 * kv) // ranks, dim), p + "attention.wo.weight": q(dim, dim // ranks), p + "attention.wqkv.layer_norm_weight": q(dim),
          n + "norm.weight": q(dim), n + "router_DE": q(dim, experts), n + "experts.moe_w_in_eD_F": q(experts * dim, f), n + "experts.moe_w_swiglu_eD_F": q(experts * dim, f),
          n + "experts.moe_w_out_eF_D": q(experts * f, dim), n + "w_in_shared_FD.weight": q(f, dim), n + "w_swiglu_FD.weight": q(f, dim), n + "w_out_shared_DF.weight": q(dim, f)}
    w |= {e + "conv1._linear.weight": q(4 // ranks, 3), e + "class_embedding": q(4), e + "positional_embedding_vlm": q(2, 4), "vision_projection.weight": q(dim // ranks, 4),
          "vision_embeddings.vision_adapter.mlp.c_fc.weight": q(4 // ranks, 8), "vision_embeddings.vision_adapter.mlp.c_proj.weight": q(4, 4 // ranks)}
    for norm in (e + "ln_pre", e + "ln_post", b + "ln_1", b + "ln_2"): w |= {norm + ".weight": q(4), norm + ".bias": q(4)}
    for name in ("wq", "wk", "wv"): w |= {b + f"attn.{name}.weight": q(4 // ranks, 4), b + f"attn.{name}.bias": q(4 // ranks)}
    return w | {b + "attn.wo.weight": q(4, 4 // ranks), b + "attn.wo.bias": q(4), b + "mlp.c_fc.weight": q(8 // ranks, 4), b + "mlp.c_fc.bias": q(8 // ranks),
                b + "mlp.c_proj.weight": q(4, 8 // ranks), b + "mlp.c_proj.bias": q(4)}


said = PARAMS | {"n_heads": 2, "n_kv_heads": 1, "moe_args": {"num_experts": experts}, "vision_args": {"n_heads": 2}}
del said["hidden_dim"]
folder("pthShards", "llama4-1", [(0, json.dumps(said).encode()), (1, saved(llama4(1)))])
folder("pthShards", "llama4-2", [(0, json.dumps(said | {"n_kv_heads": 2}).encode())] + [(1 + r, saved(llama4(2))) for r in range(2)])

# litgpt's description beside its weights.
names = {"tok_embeddings.weight": "transformer.wte.weight", "norm.weight": "transformer.ln_f.weight", "output.weight": "lm_head.weight", p + "attention.wo.weight": "transformer.h.0.attn.proj.weight",
         p + "attention_norm.weight": "transformer.h.0.norm_1.weight", p + "ffn_norm.weight": "transformer.h.0.norm_2.weight", p + "feed_forward.w1.weight": "transformer.h.0.mlp.fc_1.weight",
         p + "feed_forward.w3.weight": "transformer.h.0.mlp.fc_2.weight", p + "feed_forward.w2.weight": "transformer.h.0.mlp.proj.weight"}
lit = {names[k]: v for k, v in half.items() if k in names} | {"transformer.h.0.attn.qkv.weight": torch.cat([half[p + f"attention.{n}.weight"] for n in ("wq", "wk", "wv")])}
torch.save(lit, seed("around/litgpt", "lit_model.pth"))
config = dict(name="x", hf_config=dict(org="a", name="b"), n_layer=1, n_embd=dim, padded_vocab_size=vocab, norm_class_name="RMSNorm", norm_eps=1e-5, parallel_residual=False, n_head=2, head_size=4,
              n_query_groups=1, rope_base=10000, rotary_percentage=1.0, rope_condense_ratio=1, rope_adjustments=None, intermediate_size=hidden, bias=False, mlp_class_name="LLaMAMLP")
open(seed("litgpt", "plain"), "w").write(yaml.dump(config))
open(seed("litgpt", "scaled"), "w").write(yaml.dump(config | dict(rope_adjustments=dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_seq_len=8192))))
