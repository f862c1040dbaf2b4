"""A stand-in for Hugging Face's hub, for tests: answers as huggingface.co/docs/hub/api and the sources of huggingface_hub say that the real one does.

Two servers: the hub, and the store that it redirects large files to, whose links are signed and end. Prints one line, `HUB_PORT STORE_PORT`, and serves
until its standard input ends. Each request is a line of the log: server, method, path without its query, range, and whether a token came with it; after
it comes `sent` with the bytes of the file that went out.

  hub.py FOLDER LOG [--token T] [--outsider T] [--gated ORG/NAME] [--private ORG/NAME] [--uses N] [--cut BYTES] [--page N] [--rate BYTES] [--wrong PATH] [--lost PATH]

FOLDER/ORG/NAME/REVISION/... are the repositories' files; a revision's commit is the SHA-1 of its name. Files over 100 kB are in LFS.
--uses: a link of the store opens its file N times.  --cut: the store ends each answer after so many bytes.  --page: entries on a page of a list.
--wrong: this file's bytes aren't those of its digest.  --lost: this file is on the list and isn't there.  --rate: bytes a second that the store sends.
--outsider: a token of somebody who hasn't accepted the licences of gated repositories.
"""
import argparse, hashlib, http.server, json, os, re, secrets, sys, threading, time, urllib.parse

parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("log")
parser.add_argument("--token", default="hf_good")
parser.add_argument("--gated", action="append", default=[])
parser.add_argument("--private", action="append", default=[])
parser.add_argument("--uses", type=int, default=1 << 30)
parser.add_argument("--cut", type=int, default=0)
parser.add_argument("--page", type=int, default=1000)
parser.add_argument("--wrong", default="")
parser.add_argument("--lost", default="")
parser.add_argument("--rate", type=int, default=0)
parser.add_argument("--outsider", default="")
options = parser.parse_args()
lock, links = threading.Lock(), {}


def commit_of(revision):
    return revision if re.fullmatch("[0-9a-f]{40}", revision) else hashlib.sha1(revision.encode()).hexdigest()


described = {}


def describe(path):
    """What the hub's list has of a file; a large one isn't hashed for each request."""
    key = (path, os.stat(path).st_size, os.stat(path).st_mtime_ns)
    if key not in described:
        content = open(path, "rb").read()
        entry = {"size": len(content), "oid": hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()}
        if len(content) > 100_000:
            entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
        described[key] = entry
    return described[key]


def listing(folder):
    entries = []
    for root, folders, files in os.walk(folder):
        for name in folders:
            entries.append({"type": "directory", "oid": "0" * 40, "size": 0, "path": os.path.relpath(os.path.join(root, name), folder)})
        for name in files:
            path = os.path.join(root, name)
            entry = {"type": "file", "path": os.path.relpath(path, folder), **describe(path)}
            entries.append(entry)
    return sorted(entries, key=lambda entry: entry["path"])


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def note(self, server):
        line = f"{server} {self.command} {self.path.split('?')[0]} {self.headers.get('Range', '-')} {'token' if 'Authorization' in self.headers else '-'}\n"
        with lock, open(options.log, "a") as log:
            log.write(line)

    def answer(self, status, body=b"", headers={}):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send(self, body):
        """Sends a file's bytes, and notes how many went out before the other side was gone."""
        step, count = 1 << 16, 0
        try:
            for start in range(0, len(body), step):
                self.wfile.write(body[start : start + step])
                count += len(body[start : start + step])
                if options.rate and isinstance(self, Store):
                    time.sleep(step / options.rate)
        finally:
            with lock, open(options.log, "a") as log:
                log.write(f"sent {count}\n")

    def content(self, content, headers, cut=0):
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        status, first, last = 200, 0, len(content) - 1
        if wanted:
            first, last = int(wanted[1]), min(last, int(wanted[2] or last))
            if first >= len(content):
                return self.answer(416, headers={"Content-Range": f"bytes */{len(content)}"})
            status, headers = 206, {**headers, "Content-Range": f"bytes {first}-{last}/{len(content)}"}
        body = content[first : last + 1]
        self.send_response(status)
        for name, value in {**headers, "Accept-Ranges": "bytes", "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.send(body[: cut or None])
            if cut and len(body) > cut:
                self.close_connection = True
                self.wfile.flush()
                self.connection.shutdown(2)


class Store(Handler):
    def do_GET(self):
        self.note("store")
        key = self.path.rpartition("Signature=")[2]
        with lock:
            path, left = links.get(key, (None, 0))
            links[key] = (path, left - 1)
        if path is None or left <= 0:
            return self.answer(403, b"<Error><Code>AccessDenied</Code></Error>", {"Content-Type": "application/xml"})
        content = open(path, "rb").read()
        if options.wrong and path.endswith(options.wrong):
            content = content[:-1] + bytes([content[-1] ^ 1])
        self.content(content, {"ETag": '"store-%d"' % len(content), "Content-Type": "application/octet-stream"}, options.cut)

    do_HEAD = do_GET


class Hub(Handler):
    def refuse(self, status, code, message):
        self.answer(status, json.dumps({"error": message}).encode(), {"X-Error-Code": code, "X-Error-Message": message, "Content-Type": "application/json"} if code else {"X-Error-Message": message})

    def do_GET(self):
        self.note("hub")
        address = urllib.parse.urlsplit(self.path)
        path = urllib.parse.unquote(address.path)
        given = self.headers.get("Authorization")
        if given and given not in (f"Bearer {options.token}", f"Bearer {options.outsider}"):
            return self.refuse(401, "", "Invalid credentials in Authorization header")
        called = re.match(r"/api/models/([\w.-]+/[\w.-]+)(?:/(revision|tree)/([^/?]+))?$", address.path) or re.match(r"/([\w.-]+/[\w.-]+)/(resolve)/([^/]+)/(.+)", path)
        if not called:
            return self.refuse(404, "", "Not Found")
        repository, kind, revision = called[1], called[2] or "revision", urllib.parse.unquote(called[3] or "main")
        folder = os.path.join(options.folder, repository)
        if not os.path.isdir(folder) or repository in options.private and not given:
            return self.refuse(404 if given else 401, "RepoNotFound", "Repository not found")
        known = {name: commit_of(name) for name in os.listdir(folder)}
        name = next((name for name, commit in known.items() if revision in (name, commit)), None)
        if name is None:
            return self.refuse(404, "RevisionNotFound", "Invalid rev id: " + revision)
        folder, commit = os.path.join(folder, name), known[name]
        if kind == "revision":
            gated = "manual" if repository in options.gated else False
            files = [{"rfilename": entry["path"]} for entry in listing(folder) if entry["type"] == "file"]
            document = {"_id": "0", "id": repository, "modelId": repository, "sha": commit, "gated": gated, "private": repository in options.private, "siblings": files, "tags": [], "downloads": 0}
            return self.answer(200, json.dumps(document).encode(), {"Content-Type": "application/json"})
        if kind == "tree":
            entries = listing(folder)
            start = int(urllib.parse.parse_qs(address.query).get("cursor", ["0"])[0])
            headers = {"Content-Type": "application/json"}
            if start + options.page < len(entries):
                headers["Link"] = f'<http://{self.headers["Host"]}{address.path}?recursive=true&cursor={start + options.page}>; rel="next"'
            return self.answer(200, json.dumps(entries[start : start + options.page]).encode(), headers)
        if repository in options.gated and not given:
            return self.refuse(401, "GatedRepo", "Access to model is restricted")
        if repository in options.gated and given != f"Bearer {options.token}":
            return self.refuse(403, "GatedRepo", "Access to model is restricted and you are not in the authorized list")
        file = os.path.join(folder, called[4])
        if not os.path.isfile(file) or options.lost and file.endswith(options.lost):
            return self.refuse(404, "EntryNotFound", "Entry not found")
        entry = describe(file)
        headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes", "Access-Control-Expose-Headers": "*"}
        if "lfs" not in entry:
            content = open(file, "rb").read()
            if options.wrong and file.endswith(options.wrong):
                content = content[:-1] + bytes([content[-1] ^ 1])
            return self.content(content, {**headers, "ETag": '"%s"' % entry["oid"], "Content-Type": "text/plain; charset=utf-8"})
        key = secrets.token_hex(16)
        with lock:
            links[key] = (file, options.uses)
        headers |= {"X-Linked-Size": str(entry["size"]), "X-Linked-ETag": '"%s"' % entry["lfs"]["oid"], "ETag": '"%s"' % entry["lfs"]["oid"]}
        self.answer(302, b"Found", {**headers, "Location": f"http://127.0.0.1:{store.server_port}/{entry['lfs']['oid']}?Expires=1&Signature={key}"})

    do_HEAD = do_GET


class Server(http.server.ThreadingHTTPServer):
    daemon_threads, request_queue_size = True, 64

    def handle_error(self, *_):
        pass  # the other side is gone


hub, store = Server(("127.0.0.1", 0), Hub), Server(("127.0.0.1", 0), Store)
for server in (hub, store):
    threading.Thread(target=server.serve_forever, daemon=True).start()
print(hub.server_port, store.server_port, flush=True)
sys.stdin.read()
