"""Writes a folder of small valid files for each parser that Tests/Fuzz/run fuzzes."""
import json, os, shutil, sys
import gguf, numpy as np, torch
from safetensors.torch import save_file

out = sys.argv[1]
root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
demo = f"{root}/Sources/CDemoModel/model"


def seed(parser, name):
    os.makedirs(f"{out}/{parser}", exist_ok=True)
    return f"{out}/{parser}/{name}"


torch.manual_seed(1)
dim, hidden, vocab, kv = 8, 16, 16, 4
p = "layers.0."
model = {
    "tok_embeddings.weight": torch.randn(vocab, dim), "norm.weight": torch.ones(dim), "output.weight": torch.randn(vocab, dim),
    p + "attention.wq.weight": torch.randn(dim, dim), p + "attention.wk.weight": torch.randn(kv, dim), p + "attention.wv.weight": torch.randn(kv, dim),
    p + "attention.wo.weight": torch.randn(dim, dim), p + "feed_forward.w1.weight": torch.randn(hidden, dim),
    p + "feed_forward.w2.weight": torch.randn(dim, hidden), p + "feed_forward.w3.weight": torch.randn(hidden, dim),
    p + "attention_norm.weight": torch.ones(dim), p + "ffn_norm.weight": torch.ones(dim), "rope.freqs": torch.tensor([1, 0.01]),
}
half = {k: v.to(torch.bfloat16) for k, v in model.items()}
torch.save(model, seed("pth", "f32"))
torch.save(half, seed("pth", "bf16"))
shared = dict(half)
shared["output.weight"] = shared["tok_embeddings.weight"]
shared[p + "attention.wo.weight"] = shared[p + "attention.wo.weight"].t()
torch.save(shared, seed("pth", "views"))
torch.save(half, seed("legacy", "bf16"), _use_new_zipfile_serialization=False)
torch.save({"state_dict": {"model." + k: v for k, v in shared.items()}, "epoch": 1, "optimizer": [{"x": torch.ones(3)}]}, seed("legacy", "views"), _use_new_zipfile_serialization=False)
torch.save({"state_dict": {"module." + k: v for k, v in shared.items()}, "epoch": 1, "optimizer": [{"x": torch.ones(3)}]}, seed("pth", "state"))
PARAMS = {"dim": 8, "n_layers": 1, "n_heads": 2, "n_kv_heads": 1, "hidden_dim": hidden, "norm_eps": 1e-5, "vocab_size": 16}
for parser in ["pth", "legacy", "safetensors"]:
    json.dump(PARAMS, open(seed(f"around/{parser}", "params.json"), "w"))
json.dump(PARAMS, open(seed("params", "tiny"), "w"))
torch.save(half, seed("around/params", "consolidated.00.pth"))
hf = {"tok_embeddings": "model.embed_tokens", "norm": "model.norm", "output": "lm_head", "attention.wq": "self_attn.q_proj", "attention.wk": "self_attn.k_proj",
      "attention.wv": "self_attn.v_proj", "attention.wo": "self_attn.o_proj", "feed_forward.w1": "mlp.gate_proj", "feed_forward.w2": "mlp.down_proj",
      "feed_forward.w3": "mlp.up_proj", "attention_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}
save_file({("model." + p + hf[k.removeprefix(p).removesuffix(".weight")] if k.startswith(p) else hf[k.removesuffix(".weight")]) + ".weight": v
           for k, v in half.items() if k != "rope.freqs"}, seed("around/hf", "model.safetensors"))
save_file(model, seed("safetensors", "f32"))
save_file(half, seed("safetensors", "bf16"))

names = {"tok_embeddings": "token_embd", "norm": "output_norm", "output": "output", "attention.wq": "attn_q", "attention.wk": "attn_k", "attention.wv": "attn_v",
         "attention.wo": "attn_output", "feed_forward.w1": "ffn_gate", "feed_forward.w2": "ffn_down", "feed_forward.w3": "ffn_up", "attention_norm": "attn_norm", "ffn_norm": "ffn_norm"}


def write_gguf(path, tensors, dim, hidden, heads, head_dim, **options):
    """tensors: Meta's names to arrays, or to blocks and their type"""
    writer = gguf.GGUFWriter(path, "llama", **options)
    writer.add_block_count(1), writer.add_context_length(64), writer.add_embedding_length(dim), writer.add_feed_forward_length(hidden)
    writer.add_head_count(heads), writer.add_head_count_kv(1), writer.add_key_length(head_dim), writer.add_layer_norm_rms_eps(1e-5), writer.add_vocab_size(vocab)
    writer.add_tokenizer_model("gpt2"), writer.add_tokenizer_pre("smollm"), writer.add_token_list([chr(97 + i) for i in range(15)] + ["ab"])
    writer.add_token_types([1] * 16), writer.add_token_merges(["a b"]), writer.add_eos_token_id(1)
    for name, value in tensors.items():
        stem = name.removesuffix(".weight")
        blocks, kind = value if isinstance(value, tuple) else (value, None)
        writer.add_tensor("blk.0." + names[stem.removeprefix(p)] + ".weight" if stem.startswith(p) else names[stem] + ".weight", blocks, raw_dtype=kind)
    writer.write_header_to_file(), writer.write_kv_data_to_file(), writer.write_tensors_to_file(), writer.close()


weights = {k: v.numpy() for k, v in model.items() if k != "rope.freqs"}
write_gguf(seed("gguf", "f32"), weights, dim, hidden, 2, 4)
# Every quantized type in one model, whose rows are one block of 256; half of the matrices have shorter rows and are float32.
rng = np.random.default_rng(1)
kinds = iter(["Q4_K", "Q6_K", "Q5_K", "Q3_K", "Q2_K", "IQ4_XS", "Q5_0", "Q5_1", "IQ4_NL", "Q8_0", "Q4_0", "Q4_1"] * 2)


def mixed(shape):
    if len(shape) == 1 or shape[1] != 256: return rng.standard_normal(shape).astype(np.float32)
    kind = gguf.GGMLQuantizationType[next(kinds)]
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    return rng.integers(0, 64, (shape[0], 256 // elements * size), dtype=np.uint8), kind


wide = {"tok_embeddings.weight": (16, 256), "norm.weight": (256,), "output.weight": (16, 256), p + "attention.wq.weight": (8, 256), p + "attention.wk.weight": (4, 256),
        p + "attention.wv.weight": (4, 256), p + "attention.wo.weight": (256, 8), p + "feed_forward.w1.weight": (8, 256), p + "feed_forward.w2.weight": (256, 8),
        p + "feed_forward.w3.weight": (8, 256), p + "attention_norm.weight": (256,), p + "ffn_norm.weight": (256,)}
for number in range(2): write_gguf(seed("gguf", f"quantized-{number}"), {k: mixed(s) for k, s in wide.items()}, 256, 8, 2, 4)

json.dump({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1,
           "intermediate_size": 16, "vocab_size": 16, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": False,
           "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}}, open(seed("hf", "config"), "w"))
shutil.copy(f"{demo}/params.json", seed("params", "demo"))
json.dump({"dim": 2048, "ffn_dim_multiplier": 1.5, "multiple_of": 256, "n_heads": 32, "n_kv_heads": 8, "n_layers": 16, "norm_eps": 1e-05, "rope_theta": 5e5,
           "use_scaled_rope": True, "vocab_size": 128256}, open(seed("params", "llama3"), "w"))

shutil.copy(f"{demo}/tokenizer.model", seed("tokenizer", "sentencepiece"))
with open(seed("tokenizer", "tiktoken"), "w") as f:
    f.writelines(f"{__import__('base64').b64encode(bytes([i])).decode()} {i}\n" for i in range(256))
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, decoders
alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
bpe = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet + ["ab"])}, merges=[("a", "b")]))
bpe.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
bpe.decoder = decoders.ByteLevel()
bpe.add_special_tokens(["<|im_start|>", "<|im_end|>"])
shutil.copy(f"{demo}/checklist.chk", seed("checklist", "md5sum"))
open(seed("checklist", "bsd"), "w").write("MD5 (a b) = d41d8cd98f00b204e9800998ecf8427e\r\n\\d41d8cd98f00b204e9800998ecf8427e *./a\\nb\r\n")
digest = {"md5": "d41d8cd98f00b204e9800998ecf8427e", "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}
json.dump({"created": "2026-11-23T08:47:14Z", "files": [{"bytes": 0, "path": "a/b", **digest}, {"bytes": 5, "path": "params.json", "md5": digest["md5"]}],
           "fingerprint": {"checkpoint": digest["sha256"], "tensors": {"norm.weight": digest["sha256"]}}, "operation": "reshard", "options": {"mp": "1"},
           "source": {"checkpoint": "model"}, "tool": "drover 0.1.0", "receipt": 1}, open(seed("receipt", "reshard"), "w"))
for parser, name in [("pth", "bf16"), ("pth", "views"), ("legacy", "bf16"), ("safetensors", None), ("gguf", None)]:
    for file in [name] if name else sorted(os.listdir(f"{out}/{parser}")):
        shutil.copy(f"{out}/{parser}/{file}", seed("remote", f"{parser}-{file}"))

# Whole folders: each file as its number in the target's list, its length in three bytes, and its bytes.
def folder(parser, name, files):
    with open(seed(parser, name), "wb") as f:
        for number, content in files: f.write(bytes([number]) + len(content).to_bytes(3, "little") + content)


def saved(save, tensors):
    path = seed("around/scratch", "file")
    save(tensors, path)
    return open(path, "rb").read()


def cut(name, t, rank, ranks):
    if t.dim() == 1: return t
    if name.split(".")[-2] in ("wk", "wv"): ranks, rank = min(ranks, kv // 2), rank * min(ranks, kv // 2) // ranks
    return t.chunk(ranks, 1 if name.split(".")[-2] in ("tok_embeddings", "wo", "w2") else 0)[rank].clone()


WIDE = PARAMS | {"n_heads": 4, "n_kv_heads": 2}
for ranks in (2, 4):
    for dtype, tensors in [("f32", model), ("bf16", half)]:
        shards = [{k: cut(k, t, rank, ranks) for k, t in tensors.items()} for rank in range(ranks)]
        described = (0, json.dumps(WIDE | {"n_kv_heads": max(2, ranks)}).encode())
        folder("pthShards", f"{dtype}-{ranks}", [described] + [(1 + r, saved(torch.save, s)) for r, s in enumerate(shards)])
        folder("safetensorsShards", f"{dtype}-{ranks}", [described] + [(1 + r, saved(save_file, s)) for r, s in enumerate(shards)])
renamed = {("model." + p + hf[k.removeprefix(p).removesuffix(".weight")] if k.startswith(p) else hf[k.removesuffix(".weight")]) + ".weight": v
           for k, v in half.items() if k != "rope.freqs"}
places = {name: number % 3 for number, name in enumerate(renamed)}
parts = [{n: v for n, v in renamed.items() if places[n] == i} for i in range(3)]
index = json.dumps({"weight_map": {n: f"model-0000{i + 1}-of-00003.safetensors" for n, i in places.items()}, "metadata": {"total_size": 0}}).encode()
folder("hfShards", "three", [(0, open(f"{out}/hf/config", "rb").read()), (1, index)] + [(2 + i, saved(save_file, part)) for i, part in enumerate(parts)])
write_gguf(seed("around/scratch", "model.gguf"), weights, dim, hidden, 2, 4, split_max_tensors=4)
folder("ggufParts", "three", [(i, open(f"{out}/around/scratch/model-0000{i + 1}-of-00003.gguf", "rb").read()) for i in range(3)])

# Tokenizers with all that may lie beside one, and templates.
sequence = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet + ["ab"])}, merges=[("a", "b")], byte_fallback=True, unk_token="a", fuse_unk=True))
sequence.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581"), normalizers.NFKC(), normalizers.Strip()])
sequence.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex("\\s+|[^\\s\\p{L}]"), "isolated"), pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()])
sequence.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
sequence.add_special_tokens(["<s>", "</s>"])
sequence.add_tokens([AddedToken("<x>", single_word=True, lstrip=True, rstrip=True, normalized=True)])
sequence.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", sequence.token_to_id("<s>")), ("</s>", sequence.token_to_id("</s>"))])
pieces = Tokenizer(models.Unigram([("<unk>", 0.0), ("a", -1.0), ("b", -2.0), ("ab", -1.5), ("\u2581", -3.0)], 0, False))
pieces.pre_tokenizer, pieces.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
SETTINGS = json.dumps({"bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": False}, "add_bos_token": True, "additional_special_tokens": ["<y>"],
                       "added_tokens_decoder": {"300": {"content": "<z>", "special": True, "normalized": False}}}).encode()
for name, tokenizer in [("bytelevel", bpe), ("sequence", sequence), ("unigram", pieces)]:
    tokenizer.save(seed("tokenizerJSON", name))
    written = open(f"{out}/tokenizerJSON/{name}", "rb").read()
    folder("tokenizerFolder", name, [(0, written)])
    folder("tokenizerFolder", name + "-settings", [(0, written), (1, SETTINGS), (2, b'{"<y>": 301}'), (3, b'{"unk_token": "<unk>", "pad_token": {"content": "<y>"}}')])
TEMPLATES = {
    "llama2": "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set s = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('no') }}{% endif %}{{ bos_token + '[INST] ' + message['content'].strip() + ' [/INST]' }}{% endfor %}",
    "chatml": "{%- for m in messages -%}{{ '<|im_start|>' ~ m.role ~ '\n' }}{{- m['content'] | trim -}}<|im_end|>\n{%- endfor -%}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    "tools": "{%- macro show(x, n=2) %}{{ x | tojson(indent=n) }}{% endmacro %}{%- set ns = namespace(i=0, a=[]) %}{% for k, v in {'a': 1, 'b': [1.5, none, true]}.items() %}{% set ns.i = ns.i + 1 %}{{ show(v) }}{% if not loop.last %}, {% endif %}{% else %}-{% endfor %}{{ ns.i is defined and ns.i > 1 }}{{ strftime_now('%d %b %Y') }}",
    "text": "{{ '%s-%5.2f' % ('a', 1.5) }}{{ '{:>8}'.format('x') }}{{ 'a,b'.split(',') | join('-') | upper | replace('A', 'c') }}{{ messages | selectattr('role', 'equalto', 'user') | list | length }}{{ range(3) | map('string') | list }}{{ 7 // 2 ** 2 }}{# c #}{% raw %}{{ }}{% endraw %}",
}
for name, text in TEMPLATES.items(): open(seed("template", name), "w").write(text)

# Weights that are codes with scales beside them.
codes = {k: torch.randint(-8, 8, t.shape, dtype=torch.int8) if t.dim() == 2 else t for k, t in half.items()}
scaled = dict(codes)
for k, t in codes.items():
    if t.dim() == 2: scaled[k.removesuffix("weight") + "scales"] = torch.rand(t.shape[0], 1 if not k.startswith(p) else t.shape[1] // 8)
scaled[p + "attention.wq.zeros"] = torch.ones(dim, 1)
scaled[p + "attention.wo.adaptor.A.weight"], scaled[p + "attention.wo.adaptor.B.weight"] = torch.rand(2, dim), torch.rand(dim, 2)
said = PARAMS | {"quantization_args": {"scheme": "int4_weight_int8_dynamic_activation", "group_size": 8, "spinquant": True}, "lora_args": {"rank": 2, "scale": 2.0}}
folder("scaled", "int8", [(0, json.dumps(said).encode()), (1, saved(torch.save, scaled))])

# What other programs keep: ollama's manifests, one of them a list of others, and the hub's list of a repository's files.
layer = {"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:" + "a1" * 32, "size": 7}
json.dump({"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json", "config": layer, "layers": [layer, layer]}, open(seed("ollama", "one"), "w"))
json.dump({"schemaVersion": 2, "mediaType": "application/vnd.ollama.manifest.list.v2+json", "manifests": [{"digest": layer["digest"], "runner": "ollama", "format": "gguf"}]}, open(seed("ollama", "list"), "w"))
json.dump({"format_version": 1, "files": {"config.json": {"size": 1, "blob_id": "b2" * 20}, "m": {"size": 1, "blob_id": "b2" * 20, "lfs_sha256": "c3" * 32, "lfs_size": 1}}}, open(seed("hubTree", "two"), "w"))
