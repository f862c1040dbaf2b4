#!/usr/bin/env python3
"""Holds drover against the hub's own tool, on loopback and without Xet.

    Tests/Benchmarks/stores.py verify [--megabytes 2000] [--runs 3]     a hub's cache and an ollama store: `hf cache verify`, `sha256sum`
    Tests/Benchmarks/stores.py kills [--kills 50] [--megabytes 60]      killed at random and continued: bytes fetched over bytes needed
    Tests/Benchmarks/stores.py small [--files 3000] [--runs 3]          files of 1 kB: `curl -Z` and `sync` of nginx's, `hf download` of the stand-in's

Runs go in turn, after one that warms up; the ratio is the median of the pairs'. Needs what Tests/run installs, and a release build of drover (or DROVER=path).
"""
import argparse, hashlib, itertools, json, os, pathlib, random, shutil, signal, statistics, subprocess, sys, tempfile, time, urllib.request

import bench

ROOT = pathlib.Path(__file__).resolve().parents[2]
PEERS = pathlib.Path(os.environ.get("DROVER_PEERS", ROOT / ".build-peers"))
DROVER = os.environ.get("DROVER", ROOT / ".build/release/drover")
HF = PEERS / "venv-torch/bin/hf"


class Hub:
    """The stand-in for the hub, with one repository of random files: weights of these sizes, and small ones of 1 kB."""

    def __init__(self, folder, sizes, *options, small=0):
        self.log = folder / "log"
        self.log.touch()
        repository = folder / "root/org/model/main"
        repository.mkdir(parents=True)
        (repository / "config.json").write_text("{}")
        for number, size in enumerate(sizes, 1):
            with open(repository / f"model-{number:05}-of-{len(sizes):05}.safetensors", "wb") as file:
                for start in range(0, size, 1 << 24):
                    file.write(random.randbytes(min(1 << 24, size - start)))
        for number in range(small):
            (repository / f"{number:05}.txt").write_text(random.randbytes(500).hex())
        self.files = sorted(repository.iterdir())
        self.bytes = sum(file.stat().st_size for file in self.files)
        self.process = subprocess.Popen([sys.executable, ROOT / "Tests/hub.py", folder / "root", self.log, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.environment = {**os.environ, "HF_ENDPOINT": f"http://127.0.0.1:{self.process.stdout.readline().split()[0]}", "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
                            "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_UPDATE_CHECK": "1", "HF_TOKEN": "", "HF_HOME": str(folder / "home"), "NO_COLOR": "1"}
        for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE"):
            self.environment.pop(name, None)

    def sent(self):
        return sum(int(line.split()[1]) for line in self.log.read_text().splitlines() if line.startswith("sent"))

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


def timed(command, environment=None, cwd=None):
    start = time.perf_counter()
    outcome = subprocess.run([str(word) for word in command], env=environment, cwd=cwd, capture_output=True, text=True)
    if outcome.returncode != 0:
        sys.exit(f"{command[0]}: exit {outcome.returncode}\n{outcome.stdout[-1000:]}{outcome.stderr[-1000:]}")
    return time.perf_counter() - start


def compare(what, ours, theirs, runs):
    pairs = [(ours(), theirs()) for _ in range(runs + 1)][1:]
    mine, other = (statistics.median(column) for column in zip(*pairs))
    print(f"| {what} | {mine:.2f} s | {other:.2f} s | **{statistics.median(b / a for a, b in pairs):.2f} ×** |", flush=True)


def verify(folder, options):
    part = options.megabytes * 1_000_000 // 4
    hub = Hub(folder, [part] * 4)
    store, cache, commit = folder / "ollama", folder / "home/hub/models--org--model", hashlib.sha1(b"main").hexdigest()
    for place in (store / "blobs", cache / "blobs", cache / "refs", cache / "snapshots" / commit):
        place.mkdir(parents=True)
    (cache / "refs/main").write_text(commit)
    layers = []
    for file in hub.files:
        with open(file, "rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        os.link(file, store / f"blobs/sha256-{digest}")
        content = file.read_bytes() if file.stat().st_size < 100_000 else None
        name = digest if content is None else hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        os.link(file, cache / "blobs" / name)
        os.symlink(f"../../blobs/{name}", cache / "snapshots" / commit / file.name)
        layers.append({"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:" + digest, "size": file.stat().st_size})
    manifest = store / "manifests/registry.ollama.ai/library/model/latest"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json", "config": layers[0], "layers": layers[1:]}))
    # The stand-in hashes its files when its list is first asked for.
    urllib.request.urlopen(f"{hub.environment['HF_ENDPOINT']}/api/models/org/model/tree/{commit}?recursive=true").read()
    print(f"{hub.bytes / 1e9:.1f} GB in {len(hub.files)} files, in the page cache; load {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} cores\n")
    print("| what | drover | peer | peer's time ÷ ours |\n|---|---|---|---|")
    blobs = sorted((cache / "blobs").iterdir())
    ours = lambda path: timed([DROVER, "verify", path, "--quiet"], hub.environment)
    compare("a hub's cache: `hf cache verify`", lambda: ours("hf:org/model"), lambda: timed([HF, "cache", "verify", "org/model"], hub.environment), options.runs)
    compare("a hub's cache: `sha256sum`", lambda: ours("hf:org/model"), lambda: timed(["sha256sum", *blobs]), options.runs)
    compare("an ollama store: `sha256sum`", lambda: ours(store), lambda: timed(["sha256sum", *sorted((store / "blobs").iterdir())]), options.runs)
    hub.stop()


def kills(folder, options):
    """One repository for each, killed as often; what was finished before the last kill is begun anew."""
    print(f"load {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} cores\n\n| tool | kills | bytes needed | bytes sent | sent ÷ needed |\n|---|---|---|---|---|")
    for tool in ("drover", "hf"):
        random.seed(1)
        place = folder / tool
        place.mkdir()
        hub = Hub(place, [options.megabytes * 1_000_000], "--rate", str(options.rate * 1_000_000))
        killed, finished = 0, 0

        def start():
            out = place / f"out{finished}"
            command = [DROVER, "download", "hf:org/model", "--output", out, "--yes", "--quiet", "--connections", "1"] if tool == "drover" else [HF, "download", "org/model", "--local-dir", out]
            return subprocess.Popen([str(word) for word in command], env=hub.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

        while killed < options.kills:
            # From the first byte on: neither should gain by being slow to start.
            before = hub.log.stat().st_size
            process = start()
            while process.poll() is None and not any(line.startswith("store GET") for line in hub.log.read_text()[before:].splitlines()):
                time.sleep(0.01)
            try:
                process.wait(random.uniform(0.05, options.longest))
                if process.returncode != 0:
                    sys.exit(process.stderr.read().decode(errors="replace"))
                finished += 1
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                killed += 1
        process = start()
        errors = process.communicate()[1]
        if process.returncode != 0:
            sys.exit(errors.decode(errors="replace"))
        finished += 1
        for number in range(finished):
            for file in hub.files:
                copies = list((place / f"out{number}").rglob(file.name))
                if not any(copy.read_bytes() == file.read_bytes() for copy in copies):
                    sys.exit(f"{tool}: {file.name} isn't right")
        time.sleep(0.5)
        print(f"| {tool} | {killed} | {hub.bytes * finished:,} | {hub.sent():,} | **{hub.sent() / hub.bytes / finished:.2f}** |", flush=True)
        hub.stop()


def small(folder, options):
    """Each run has a folder of its own, which stays: a file system that has just removed thousands of files searches long for room for new ones."""
    # nginx's worker is somebody else.
    folder.chmod(0o755)
    hub = Hub(folder, [], small=options.files)
    source, number = hub.files[0].parent, itertools.count()
    new = lambda: folder / f"out{next(number)}"
    listed = folder / "manifest.json"
    listed.write_text(json.dumps({"id": "small", "files": [{"path": file.name, "remote": file.name} for file in hub.files]}))
    print(f"{len(hub.files)} files; load {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} cores\n")
    print("| what | drover | peer | peer's time ÷ ours |\n|---|---|---|---|")

    def curl():
        out = new()
        (folder / "curl").write_text("".join(f'url = "{base}/{file.name}"\noutput = "{out}/{file.name}"\n' for file in hub.files))
        out.mkdir()
        return timed(["sh", "-c", f"curl -s -Z --parallel-max 16 -K {folder}/curl && sync"])

    def ours(model, *more, **environment):
        os.sync()
        return timed([DROVER, "download", *model, "--output", new(), "--yes", "--quiet"], {**hub.environment, **environment})

    with bench.Nginx(source) as base:
        compare("`curl -Z`, `sync`", lambda: ours(["--manifest", listed], DROVER_URL=bench.link(base)), curl, options.runs)
    compare("`hf download`", lambda: ours(["hf:org/model", "--include", "*"]), lambda: timed([HF, "download", "org/model", "--local-dir", new()], hub.environment), options.runs)
    hub.stop()


parser = argparse.ArgumentParser()
parser.add_argument("what", choices=["verify", "kills", "small"])
parser.add_argument("--megabytes", type=int)
parser.add_argument("--runs", type=int, default=3)
parser.add_argument("--kills", type=int, default=50)
parser.add_argument("--files", type=int, default=3000)
parser.add_argument("--rate", type=int, default=10, help="megabytes a second that the store sends")
parser.add_argument("--longest", type=float, default=3, help="seconds from the first byte to the latest kill")
options = parser.parse_args()
options.megabytes = options.megabytes or {"verify": 2000, "kills": 60}.get(options.what)
with tempfile.TemporaryDirectory(prefix="drover-stores-") as folder:
    {"verify": verify, "kills": kills, "small": small}[options.what](pathlib.Path(folder), options)
