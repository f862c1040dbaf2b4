/// Inputs of any size, of every kind that is parsed, made to take as much time and memory as they can.
enum HostileSizes {
  /// Arguments: the program, the demo model's folder, a scratch folder. Makes each kind in 1, 4 and 16 MB, runs the program on it, and prints for each
  /// kind the CPU seconds, the most megabytes of memory, the exit codes and the last words.
  ///
  /// It never holds much itself: what a process had before it became another counts as the other's.
  static let script = #"""
    import base64, json, os, shutil, struct, subprocess, sys
    drover, demo, root = sys.argv[1:4]
    META = {"params.json": '{"dim": 8, "n_heads": 4, "n_layers": 1, "multiple_of": 16, "norm_eps": 1e-5, "vocab_size": 32}'}

    def write(path, *pieces):
        """Writes bytes, and (bytes, count) for bytes that repeat, without ever holding much."""
        with open(path, "wb") as f:
            for piece in pieces:
                if isinstance(piece, bytes): f.write(piece)
                elif isinstance(piece, tuple):
                    unit, count = piece
                    batch = max(1, 65536 // len(unit))
                    for _ in range(count // batch): f.write(unit * batch)
                    f.write(unit * (count % batch))
                else:
                    for part in piece: f.write(part)

    def zipped(path, *pieces):
        write(path + ".pkl", *pieces)
        size = os.path.getsize(path + ".pkl"); storage = bytes(64)
        with open(path, "wb") as f:
            directory = b""
            for name, content in [(b"a/data.pkl", None), (b"a/data/0", storage)]:
                n = size if content is None else len(content)
                directory += struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, 20, 20, 0, 0, 0, 0, 0, n, n, len(name), 0, 0, 0, 0, 0, f.tell()) + name
                f.write(struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, 0, 0, 0, 0, 0, n, n, len(name), 0) + name)
                if content is not None: f.write(content); continue
                with open(path + ".pkl", "rb") as p:
                    while block := p.read(65536): f.write(block)
            at = f.tell()
            f.write(directory + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 2, 2, len(directory), at, 0))
        os.remove(path + ".pkl")

    def entries(path, n):
        """A zip of nothing but names."""
        count = min(n // 96, 65534)
        with open(path, "wb") as f:
            for i in range(count): name = b"%08d" % i; f.write(struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, 0, 0, 0, 0, 0, 0, 0, 8, 0) + name)
            start = f.tell()
            for i in range(count): name = b"%08d" % i; f.write(struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, 20, 20, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, i * 38) + name)
            size = f.tell() - start
            f.write(struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, count, count, size, start, 0))

    text = lambda t: b"X" + struct.pack("<I", len(t)) + t
    TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n((" + text(b"storage") + b"ctorch\nFloatStorage\n" + text(b"0") + text(b"cpu") + b"K\x10tQK\0(K\x10t(K\x01t\x89ccollections\nOrderedDict\n)RtR"
    PICKLES = {
        "a list in itself": lambda n: (b"]q\0", (b"h\0a", n // 3)),
        "tuples in tuples": lambda n: (b"N", (b"\x85", n)),
        "tuples of two in tuples": lambda n: (b"N", (b"2\x86", n // 2)),
        "tuples of eight": lambda n: ((b"(NNNNNNNNt0", n // 11),),
        "one value memoized": lambda n: (b"N", (b"\x94", n)),
        "memo of four bytes": lambda n: (b"N", (b"r" + struct.pack("<I", i) for i in range(n // 5))),
        "memo from the end": lambda n: (b"N", (b"r" + struct.pack("<I", n - i) for i in range(n // 5))),
        "empty dictionaries": lambda n: ((b"}0", n // 2),),
        "a dictionary of nothing": lambda n: (b"}", (b"(" + b"N" * 1000 + b"u", n // 1002)),
        "marks": lambda n: ((b"(", n),),
        "values": lambda n: ((b"N", n),),
        "dictionaries": lambda n: ((b"}", n),),
        "integers": lambda n: ((b"\x8a\x08" + b"\x7f" * 8 + b"0", n // 11),),
        "globals": lambda n: ((b"ctorch\nSize\n0", n // 13),),
        "a long string": lambda n: (text(b"a" * 60000), (b"2", 1), (b"0", 1), (text(b"b" * 60000) + b"0", n // 60006)),
        "a long name": lambda n: (b"}X" + struct.pack("<I", n), (b"n", n), b"Ns"),
        "calls": lambda n: (b"ccollections\nOrderedDict\nq\0", (b"h\0)R0", n // 5)),
        "names of one tensor": lambda n: (b"}" + TENSOR + b"q\x010", (text(b"%06d" % i) + b"h\x01s" for i in range(n // 14))),
        "one name, many values": lambda n: (b"}" + TENSOR + b"q\x010" + text(b"norm.weight") + b"q\x020", (b"h\x02h\x01s", n // 5)),
        "a shape of many": lambda n: (b"}" + text(b"norm.weight") + b"ctorch._utils\n_rebuild_tensor_v2\n((" + text(b"storage") + b"ctorch\nFloatStorage\n" + text(b"0") + text(b"cpu") + b"K\x10tQK\0(", (b"K\x01", min(n // 2, 1000000)), b"t(K\x01t\x89NtRs"),
    }
    def framed(pieces): return (b"\x80\x02",) + pieces + (b".",)

    MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}" + text(b"little_endian") + b"\x88s."
    REFERENCE = b"(" + text(b"storage") + b"ctorch\nFloatStorage\n" + text(b"0") + text(b"cpu") + b"K\x01NtQ"
    KEYS = b"\x80\x02]" + text(b"0") + b"a." + struct.pack("<Qf", 1, 0)
    def named(n, name): return (MAGIC + b"\x80\x02}(", (text(b"%06d" % i) + name for i in range(n // (11 + len(name)))), b"u.", KEYS)
    LEGACIES = {
        "keys": lambda n: (MAGIC + b"\x80\x02].\x80\x02](", (text(b"%06d" % i) for i in range(n // 11)), b"e."),
        "one key": lambda n: (MAGIC + b"\x80\x02].\x80\x02]" + text(b"0") + b"q\0(", (b"h\0", n // 2), b"e."),
        "keys one by one": lambda n: (MAGIC + b"\x80\x02].\x80\x02]", (b"Na", n // 2), b"."),
        "lists within keys": lambda n: (MAGIC + b"\x80\x02].\x80\x02", (b"]", n), b"."),
        "machine": lambda n: (MAGIC[:-26], (b"}", n), b"."),
        "storages": lambda n: (MAGIC + b"\x80\x02", (REFERENCE + b"0", n // 60), b"}.", KEYS),
        "one storage": lambda n: (MAGIC + b"\x80\x02" + REFERENCE[:-1] + b"q\x000", (b"h\0Q0", n // 4), b"}.", KEYS),
        "numbers in a state dict": lambda n: named(n, b"N"),
        "names of wrappers": lambda n: named(n, b"N")[:1] + ((text(b"model." * 150 + b"%06d" % i) + b"N" for i in range(n // 912)), b"u.", KEYS),
        "names of dots": lambda n: named(n, b"N")[:1] + ((text(b"." * 900 + b"%06d" % i) + b"N" for i in range(n // 912)), b"u.", KEYS),
        "dictionaries within": lambda n: (MAGIC + b"\x80\x02", (b"}" + text(b"model"), n // 11), b"}", (b"s", n // 11), b".", KEYS),
    }

    def safe(path, header, data=0):
        write(path + ".h", *header); size = os.path.getsize(path + ".h")
        with open(path, "wb") as f, open(path + ".h", "rb") as h:
            f.write(struct.pack("<Q", size))
            while block := h.read(65536): f.write(block)
            f.truncate(8 + size + data)
        os.remove(path + ".h")
    ENTRY = b'"%06d":{"dtype":"F32","shape":[1],"data_offsets":[%d,%d]},'
    SAFETENSORS = {
        "tensors": lambda n: ((b"{", (ENTRY % (i, 4 * i, 4 * i + 4) for i in range(n // 66)), b'"x":{"dtype":"F32","shape":[],"data_offsets":[%d,%d]}}' % (n // 66 * 4, n // 66 * 4 + 4)), n // 66 * 4 + 4),
        "empty tensors": lambda n: ((b"{", (b'"%06d":{"dtype":"F64","shape":[0],"data_offsets":[0,0]},' % i for i in range(n // 58)), b'"x":{"dtype":"F64","shape":[0],"data_offsets":[0,0]}}'), 0),
        "dimensions": lambda n: ((b'{"norm.weight":{"dtype":"F32","shape":[', (b"1,", n // 2), b'1],"data_offsets":[0,4]}}'), 4),
        "metadata": lambda n: ((b'{"__metadata__":{', (b'"":"",', n // 6), b'"":""}}'), 0),
        "brackets": lambda n: ((b'{"a":', (b"[", n)), 0),
        "an unknown key": lambda n: ((b'{"a":{"x":[', (b"0,", n // 2), b"0]}}"), 0),
        "a long name": lambda n: ((b'{"', (b"n", n), b'":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'), 4),
    }
    string = lambda s: struct.pack("<Q", len(s)) + s
    def gguf(path, keys, tensors, pieces):
        write(path, b"GGUF" + struct.pack("<IQQ", 3, tensors, keys), *pieces)
    GGUFS = {
        "keys": lambda n: (n // 19, 0, ((string(b"%06d" % i) + b"\7\0\0\0\1" for i in range(n // 19)),)),
        "as many keys as are allowed": lambda n: (min(65536, n // 19), 0, ((string(b"%06d" % i) + b"\7\0\0\0\1" for i in range(n // 19)),)),
        "tensors": lambda n: (0, n // 46, ((string(b"%06d" % i) + struct.pack("<IQIQ", 1, 32, 0, 128 * i) for i in range(n // 46)),)),
        "a text": lambda n: (1, 0, (string(b"a") + struct.pack("<IQ", 8, n), (b"\xff", n))),
        "an array": lambda n: (1, 0, (string(b"a") + struct.pack("<IIQ", 9, 0, n), (b"\0", n))),
        "an array of strings": lambda n: (1, 0, (string(b"a") + struct.pack("<IIQ", 9, 8, n // 8), (bytes(8), n // 8))),
    }
    def split(f, total, keys, *pieces):
        """Parts of a GGUF with the same keys in each."""
        os.makedirs(f)
        for i in range(total):
            gguf(f"{f}/m-{i + 1:05}-of-{total:05}.gguf", keys + 2, 0, (string(b"split.no") + struct.pack("<IH", 2, i), string(b"split.count") + struct.pack("<IH", 2, total), *(p() for p in pieces)))
        return ["inspect", f]
    SPLITS = {
        "keys": lambda f, n: split(f, 2, min(60000, n // 38), lambda: (string(b"%06d" % i) + b"\7\0\0\0\1" for i in range(min(60000, n // 38)))),
        "an array": lambda f, n: split(f, 2, 1, lambda: string(b"a") + struct.pack("<IIQ", 9, 0, n // 2), lambda: (b"\0", n // 2)),
        "parts": lambda f, n: split(f, n // 8192, 0),
        "parts that hold much": lambda f, n: split(f, 64, 1, lambda: string(b"a") + struct.pack("<IIQ", 9, 8, n // 512), lambda: (bytes(8), n // 512)),
    }
    JSONS = {
        "numbers": lambda n: (b'{"a":[', (b"0,", n // 2), b"0]}"),
        "brackets": lambda n: (b'{"a":', (b"[", n)),
        "objects": lambda n: (b'{"a":[', (b"{},", n // 3), b"0]}"),
        "keys": lambda n: (b"{", (b'"%06d":0,' % i for i in range(n // 11)), b'"a":0}'),
        "a string": lambda n: (b'{"a":"', (b"x", n), b'"}'),
        "weight map": lambda n: (b'{"weight_map":{', (b'"%06d":"a",' % i for i in range(n // 13)), b'"a":"a"}}'),
    }
    field = lambda number, b: bytes([number << 3 | 2, len(b)]) + b
    piece = lambda t, kind=1: field(1, field(1, t) + bytes([0x18, kind]))
    SPEC = piece(b"<unk>", 2) + field(2, b"\x18\x02") + field(3, b"\x20\x00")
    BYTES = b"".join(base64.b64encode(bytes([i])) + b" %d\n" % i for i in range(256))
    TOKENIZERS = {
        "pieces": lambda n: (SPEC, (field(1, field(1, b"%05d" % i)) for i in range(min(n // 9, 99999))), (field(1, field(1, b"%07d" % i)) for i in range(max(0, (n - 900000) // 11)))),
        "control pieces": lambda n: (SPEC, (piece(b"%06d" % i, 3) for i in range(n // 12))),
        "empty fields": lambda n: (SPEC, (b"\x12\x00", n // 2)),
        "samples": lambda n: (SPEC, (b"\x22\x00", n // 2)),
        "unknown fields": lambda n: (SPEC, (b"\x7a\x00", n // 2)),
        "trainer's strings": lambda n: (SPEC, b"\x12" + varint(n // 2 * 2), (b"\x0a\x00", n // 2)),
        "ranks": lambda n: (BYTES, (base64.b64encode(b"%06d" % i) + b" %d\n" % (i + 256) for i in range(n // 16))),
        "one token": lambda n: (BYTES, (b"YWFh", n // 4), b" 256\n"),
        "empty lines": lambda n: (BYTES, (b"\n", n)),
        "one rank": lambda n: (BYTES, (b"YWFh 256\n", n // 9)),
        "a long rank": lambda n: (BYTES, b"YWFh ", (b"9", n), b"\n"),
        "vocab": lambda n: (b'{"model":{"type":"BPE","vocab":{', (b'"%06d":%d,' % (i, i) for i in range(n // 16)), b'"a":0}}}'),
        "merges": lambda n: (b'{"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":[', (b'"a b",', n // 6), b'"a b"]},"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false}}'),
        "merges as pairs": lambda n: (b'{"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":[', (b'["a","b"],', n // 10), b'["a","b"]]},"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false}}'),
        "added tokens": lambda n: (b'{"added_tokens":[', (b'{"id":%d,"content":"%06d","special":true},' % (i + 3, i) for i in range(n // 48)), b'{"id":2,"content":"x"}],"model":{"type":"BPE","vocab":{"a":0,"b":1}},"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false}}'),
        "values": lambda n: (b'{"normalizer":[', (b"0,", n // 2), b'0],"model":{}}'),
        "models": lambda n: (b'{"a":0', (b',"model":{"vocab":{"a":0}}', n // 26), b"}"),
        "ignored values": lambda n: (b'{"a":[', (b"0,", n // 2), b'0],"model":{}}'),
    }
    # What lies beside a Hugging Face model's weights.
    SETTINGS = {
        "special tokens": lambda n: (b'{"additional_special_tokens":[', (b'"<%06d>",' % i for i in range(n // 11)), b'"<x>"]}'),
        "added tokens": lambda n: (b'{"added_tokens_decoder":{', (b'"%d":{"content":"<%06d>","special":true},' % (i + 2000, i) for i in range(n // 45)), b'"1999":{"content":"<x>"}}}'),
        "a template": lambda n: (b'{"chat_template":"', (b"x", n), b'"}'),
        "templates": lambda n: (b'{"chat_template":[', (b'{"name":"%06d","template":"x"},' % i for i in range(n // 32)), b'{"name":"default","template":"x"}]}'),
    }
    IDS = {"ids": lambda n: (b"{", (b'"<%06d>":%d,' % (i, i + 2000) for i in range(n // 16)), b'"<x>":1999}')}
    TEMPLATES = {
        "text": lambda n: ((b"x", n),),
        "expressions": lambda n: ((b"{{ 1 }}", n // 7),),
        "one expression": lambda n: (b"{{ 1", (b"+1", n // 2), b" }}"),
        "parentheses": lambda n: (b"{{ ", (b"(", n), b" }}"),
        "blocks": lambda n: ((b"{% if 1 %}", n // 10),),
        "filters": lambda n: (b"{{ 1", (b"|abs", n // 4), b" }}"),
        "a list": lambda n: (b"{{ [", (b"0,", n // 2), b"0] }}"),
        "a string": lambda n: (b'{{ "', (b"x", n), b'" }}'),
        "comments": lambda n: ((b"{##}", n // 4),),
        "a comment without end": lambda n: (b"{#", (b"x", n)),
        "openings": lambda n: ((b"{", n),),
        "strings doubled": lambda n: (b'{% set x = "x" %}', (b"{% set x = x + x %}", n // 19)),
        "names": lambda n: ((b"{%% set x%06d = 1 %%}" % i for i in range(n // 21)),),
        "loops in loops": lambda n: (b"{% for i in range(99999) %}" * 9, (b"x", n), b"{% endfor %}" * 9),
    }
    FIELDS = [(b"llama.block_count", 1), (b"llama.context_length", 64), (b"llama.embedding_length", 8), (b"llama.feed_forward_length", 16), (b"llama.attention.head_count", 2)]
    SHAPES = [("token_embd", (8, 32)), ("output_norm", (8,)), ("output", (8, 32)), ("blk.0.attn_q", (8, 8)), ("blk.0.attn_k", (8, 8)), ("blk.0.attn_v", (8, 8)), ("blk.0.attn_output", (8, 8)),
              ("blk.0.ffn_gate", (8, 16)), ("blk.0.ffn_up", (8, 16)), ("blk.0.ffn_down", (16, 8)), ("blk.0.attn_norm", (8,)), ("blk.0.ffn_norm", (8,))]
    def spoken(path, *arrays):
        """A GGUF that is whole, with these arrays in its vocabulary: a name, the type of the elements, how many, their bytes."""
        fields = [string(k) + struct.pack("<II", 4, v) for k, v in FIELDS] + [string(b"general.architecture") + struct.pack("<I", 8) + string(b"llama"),
            string(b"llama.attention.layer_norm_rms_epsilon") + struct.pack("<If", 6, 1e-5), string(b"tokenizer.ggml.model") + struct.pack("<I", 8) + string(b"gpt2"), string(b"tokenizer.ggml.pre") + struct.pack("<I", 8) + string(b"llama-bpe")]
        pieces, at = [], 0
        for name, shape in SHAPES:
            pieces.append(string(name.encode() + b".weight") + struct.pack("<I%dQIQ" % len(shape), len(shape), *shape, 0, at))
            at += 4 * (shape[0] * (shape[1] if len(shape) > 1 else 1))
        with open(path, "wb") as f:
            f.write(b"GGUF" + struct.pack("<IQQ", 3, len(SHAPES), len(fields) + len(arrays)) + b"".join(fields))
            for name, kind, count, elements in arrays:
                f.write(string(b"tokenizer.ggml." + name) + struct.pack("<IIQ", 9, kind, count))
                for element in elements: f.write(element)
            f.write(b"".join(pieces)); f.write(bytes(-f.tell() % 32)); f.truncate(f.tell() + at)
    VOCABULARIES = {
        "tokens": lambda n: [(b"tokens", 8, n // 14, (string(b"%06d" % i) for i in range(n // 14)))],
        "empty tokens": lambda n: [(b"tokens", 8, n // 8, (bytes(8) for _ in range(n // 8)))],
        "one token": lambda n: [(b"tokens", 8, n // 9, (string(b"a") for _ in range(n // 9)))],
        "a long token": lambda n: [(b"tokens", 8, 1, [struct.pack("<Q", n), *(b"a" * 65536 for _ in range(n >> 16))])],
        "merges": lambda n: [(b"tokens", 8, 3, map(string, (b"a", b"b", b"ab"))), (b"merges", 8, n // 11, (string(b"a b") for _ in range(n // 11)))],
        "types": lambda n: [(b"tokens", 8, 3, map(string, (b"a", b"b", b"ab"))), (b"token_type", 5, n // 4, (struct.pack("<I", 1) for _ in range(n // 4)))],
        "control tokens": lambda n: [(b"tokens", 8, n // 18, (string(b"%06d" % i) for i in range(n // 18))), (b"token_type", 5, n // 18, (struct.pack("<I", 3) for _ in range(n // 18)))],
    }
    MD5 = b"d41d8cd98f00b204e9800998ecf8427e  "
    # Names that aren't there are looked for, each: the last line keeps it from that.
    LISTS = {
        "names": lambda n: ((MD5 + b"%06d\n" % i for i in range(n // 41)), b"?\n"),
        "one long name": lambda n: (MD5, (b"a", n), b"\n"),
        "folders in folders": lambda n: (MD5, (b"a/", n // 2), b"a\n"),
        "absolute folders in folders": lambda n: (MD5 + b"/", (b"a/", n // 2), b"a\n"),
        "backslashes": lambda n: (b"\\" + MD5, (b"\\\\", n // 2), b"\n"),
        "remarks": lambda n: ((b"#\n", n // 2),),
        "empty lines": lambda n: ((b"\n", n),),
        "digits": lambda n: ((b"a", n),),
    }
    def varint(v):
        out = b""
        while v > 127: out += bytes([v & 127 | 128]); v >>= 7
        return out + bytes([v])

    def meta(folder):
        os.makedirs(folder)
        for name, content in META.items(): open(folder + "/" + name, "w").write(content)

    KINDS = {}
    def pth(make): return lambda f, n: (meta(f), zipped(f + "/consolidated.00.pth", *framed(make(n))), ["inspect", f])[2]
    for k, v in PICKLES.items(): KINDS["pickle: " + k] = pth(v)
    for k, v in LEGACIES.items(): KINDS["legacy: " + k] = lambda f, n, v=v: (meta(f), write(f + "/consolidated.00.pth", *v(n)), ["inspect", f])[2]
    CLASS = lambda name: b"ctorch.distributed.checkpoint.metadata\n%s\n" % name
    DCPS = {
        "objects": lambda n: (CLASS(b"Metadata") + b"q\0", (b"h\0)\x81}b0", n // 7)),
        "lists": lambda n: ((b"]Na0", n // 4),),
        "one list": lambda n: (b"]", (b"Na", n // 2)),
        "names": lambda n: (CLASS(b"Metadata") + b")\x81}(" + text(b"state_dict_metadata") + b"}(", (text(b"%06d" % i) + b"N" for i in range(n // 12)), b"u" + text(b"storage_data") + b"}ub"),
        "places": lambda n: (CLASS(b"Metadata") + b")\x81}(" + text(b"state_dict_metadata") + b"}" + text(b"storage_data") + b"}(", (b"NN", n // 2), b"uub"),
    }
    def dcp(f, *pieces): meta(f); write(f + "/.metadata", *framed(pieces)); open(f + "/__0_0.distcp", "wb").close(); return ["inspect", f]
    for k, v in DCPS.items(): KINDS["dcp: " + k] = lambda f, n, v=v: dcp(f, *v(n))
    KINDS["zip: entries"] = lambda f, n: (meta(f), entries(f + "/consolidated.00.pth", n), ["inspect", f])[2]
    for k, v in SAFETENSORS.items(): KINDS["safetensors: " + k] = lambda f, n, v=v: (meta(f), safe(f + "/consolidated.00.safetensors", *v(n)), ["inspect", f])[2]
    for k, v in GGUFS.items(): KINDS["gguf: " + k] = lambda f, n, v=v: (meta(f), gguf(f + "/model.gguf", *v(n)), ["inspect", f + "/model.gguf"])[2]
    for k, v in SPLITS.items(): KINDS["split gguf: " + k] = v
    # Scales beside weights that are codes, and litgpt's description.
    CODES = b"ctorch._utils\n_rebuild_tensor_v3\n((" + text(b"storage") + b"ctorch.storage\nUntypedStorage\n" + text(b"0") + text(b"cpu") + b"K@tQK\0(K\x04K\x04t(K\x04K\x01t\x89ccollections\nOrderedDict\n)Rctorch\nfloat8_e4m3fn\ntR"
    def scaled(f, n):
        meta(f); zipped(f + "/consolidated.00.pth", *framed((b"}" + text(b"layers.0.feed_forward.w1.weight") + CODES + b"s",)))
        zipped(f + "/fp8_scales_0.pt", *framed((b"}" + TENSOR + b"q\x010", (text(b"%06d_feed_forward.w1_0" % i) + b"h\x01s" for i in range(n // 30)))))
        return ["inspect", f]
    KINDS["fp8 scales"] = scaled
    LINES = {
        "keys": lambda n: ((b"k%06d: 1\n" % i for i in range(n // 11)),), "inner keys": lambda n: (b"a:\n", (b"  k%06d: 1\n" % i for i in range(n // 13))),
        "one line": lambda n: (b"a: ", (b"x", n)), "empty lines": lambda n: ((b"\n", n),), "quotes": lambda n: (b"a: '", (b"x", n), b"'\n"),
    }
    LIT = json.dumps({"transformer.wte.weight": {"dtype": "F32", "shape": [1, 1], "data_offsets": [0, 4]}}).encode()
    def yaml(f, pieces):
        os.makedirs(f); write(f + "/model_config.yaml", *pieces); open(f + "/model.safetensors", "wb").write(struct.pack("<Q", len(LIT)) + LIT + bytes(4))
        return ["inspect", f]
    for k, v in LINES.items():
        KINDS["model_config.yaml: " + k] = lambda f, n, v=v: yaml(f, v(n))
        # As much as is read.
        KINDS["model_config.yaml, small: " + k] = lambda f, n, v=v: yaml(f, v(min(n >> 2, 500 << 10)))
    def described(f, n, name, make):
        os.makedirs(f)
        write(f + "/" + name, *make(n - 4096))
        open(f + "/" + ("consolidated.00.safetensors" if name == "params.json" else "model.safetensors"), "wb").write(struct.pack("<Q", 2) + b"{}")
        if name != "config.json": open(f + "/config.json", "w").write('{"model_type":"llama","num_attention_heads":4}')
        return ["inspect", f]
    for name in ["params.json", "config.json", "model.safetensors.index.json"]:
        for k, v in JSONS.items(): KINDS[name + ": " + k] = lambda f, n, v=v, name=name: described(f, n, name, v)
    for k, v in TOKENIZERS.items(): KINDS["tokenizer: " + k] = lambda f, n, v=v: (os.makedirs(f), write(f + "/tokenizer", *v(n)), ["complete", demo, "--tokenizer", f + "/tokenizer", "--prompt", "a", "--max-gen-len", "0", "-q"])[2]
    for k, v in JSONS.items(): KINDS["receipt: " + k] = lambda f, n, v=v: (os.makedirs(f), write(f + "/drover-receipt.json", *v(n)), ["verify", f, "-q"])[2]
    # A whole Hugging Face folder, of which one file is another.
    if subprocess.run([drover, "reshard", demo, root + "/hf", "--mp", "1", "--format", "hf", "-q"]).returncode: sys.exit(1)
    open(root + "/dialogs", "w").write('[[{"role":"user","content":"a"}]]')
    def beside(f, name, pieces, command):
        os.makedirs(f)
        for other in os.listdir(root + "/hf"):
            if other != name: os.symlink(root + "/hf/" + other, f + "/" + other)
        write(f + "/" + name, *pieces)
        return {"complete": ["complete", f, "--prompt", "a", "--max-gen-len", "0", "-q"], "chat": ["chat", f, "--dialogs", root + "/dialogs", "--max-gen-len", "0", "-q"]}[command]
    for name, kinds, command in [("generation_config.json", JSONS, "complete"), ("tokenizer_config.json", JSONS | SETTINGS, "chat"), ("chat_template.jinja", TEMPLATES, "chat")]:
        for k, v in kinds.items(): KINDS[name + ": " + k] = lambda f, n, v=v, name=name, command=command: beside(f, name, v(n), command)
    def settings(f, name, pieces):
        os.makedirs(f)
        open(f + "/tokenizer.json", "w").write('{"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},"decoder":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}')
        write(f + "/" + name, *pieces)
        return ["complete", demo, "--tokenizer", f + "/tokenizer.json", "--prompt", "a", "--max-gen-len", "0", "-q"]
    for name, kinds in [("tokenizer_config.json", JSONS | SETTINGS), ("special_tokens_map.json", SETTINGS), ("added_tokens.json", IDS)]:
        for k, v in kinds.items(): KINDS[name + " of a tokenizer: " + k] = lambda f, n, v=v, name=name: settings(f, name, v(n))
    for k, v in VOCABULARIES.items(): KINDS["vocabulary of a GGUF: " + k] = lambda f, n, v=v: (os.makedirs(f), spoken(f + "/model.gguf", *v(n)), ["complete", f + "/model.gguf", "--prompt", "a", "--max-gen-len", "0", "-q"])[2]
    for k, v in LISTS.items(): KINDS["checklist: " + k] = lambda f, n, v=v: (os.makedirs(f), write(f + "/list.chk", *v(n)), ["verify", f + "/list.chk", "-q"])[2]

    results = []
    for kind, make in KINDS.items():
        row = {"kind": kind, "seconds": [], "megabytes": [], "status": [], "says": ""}
        for megabytes in (1, 4, 16):
            arguments = make(root + "/input", megabytes << 20)
            with open(root + "/said", "w+b") as said:
                process = subprocess.Popen([drover, *arguments], stdout=said, stderr=said)
                _, status, usage = os.wait4(process.pid, 0)
                said.seek(0)
                row["says"] = said.read(400).decode(errors="replace")
            row["seconds"].append(usage.ru_utime + usage.ru_stime)
            row["megabytes"].append(usage.ru_maxrss // 1024)
            row["status"].append(os.waitstatus_to_exitcode(status))
            shutil.rmtree(root + "/input")
        results.append(row)
    print(json.dumps(results))
    """#
}
