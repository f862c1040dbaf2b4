import Foundation
import Integrity
import SystemPackage
import TestSupport
import Testing

/// Models that other programs keep: the hub's cache, and ollama's store. What is damaged in them is found, with no network and no list.
@Suite struct StoreTests {
  /// The cache as huggingface_hub itself makes it, and ollama's store as its `manifest` package does.
  private final class Stage {
    let folder: String
    let hub: HubStandIn
    let commit: String
    var cache: String { folder + "/home/hub" }
    var repository: String { cache + "/models--org--model" }
    var snapshot: String { repository + "/snapshots/" + commit }
    var ollama: String { folder + "/ollama" }
    static let weights = 1_000_000

    init(_ folder: String) throws {
      self.folder = folder
      hub = try HubStandIn()
      try SmallModel.write(to: hub.root + "/org/model/main")
      try hub.write(Data("# A card\n".utf8), to: "org/model/main/README.md")
      try hub.write(Data(), to: "org/model/main/original/empty")
      try python(
        """
        import os, sys
        os.environ.update(HF_ENDPOINT=sys.argv[1], HF_HOME=sys.argv[2], HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_TELEMETRY="1", HF_HUB_OFFLINE="0")
        for name in ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN"]: os.environ.pop(name, None)
        from huggingface_hub import snapshot_download
        snapshot_download("org/model")
        """, hub.endpoint, folder + "/home", with: .currentTorch, isFresh: true)
      commit = try String(contentsOfFile: folder + "/home/hub/models--org--model/refs/main", encoding: .utf8)
      try Self.makeOllama(folder + "/ollama")
    }

    /// Two models of one file of weights; of the second the manifest is a blob, and a link leads to it.
    static func makeOllama(_ folder: String, weights: String = "") throws {
      try python(
        """
        import hashlib, json, os, shutil, sys
        root, weights = sys.argv[1:3]
        os.makedirs(root + "/blobs")
        def layer(content, kind):
            digest = hashlib.sha256(content).hexdigest()
            open(f"{root}/blobs/sha256-{digest}", "wb").write(content)
            return {"mediaType": "application/vnd.ollama.image." + kind, "digest": "sha256:" + digest, "size": len(content)}
        content = open(weights, "rb").read() if weights else bytes(i * i % 251 for i in range(\(weights.isEmpty ? Stage.weights : 0)))
        model, config = layer(content, "model"), layer(b'{"model_format":"gguf"}', "config")
        for name, layers in (("llama", [model, layer(b"{{ .Prompt }}", "template"), layer(b"the licence", "license")]), ("other", [model])):
            manifest = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json", "config": config, "layers": layers}).encode()
            folder = f"{root}/manifests{'-v2' if name == 'other' else ''}/registry.ollama.ai/library/{name}"
            os.makedirs(folder)
            if name == "llama": open(folder + "/latest", "wb").write(manifest)
            else: os.symlink("../../../../blobs/" + layer(manifest, "manifest")["digest"].replace(":", "-"), folder + "/1b")
        """, folder, weights)
    }

    func drover(_ arguments: String..., environment: [String: String] = [:]) throws -> Outcome {
      var all = ["HF_ENDPOINT": hub.endpoint, "HOME": folder, "HF_HOME": folder + "/home", "OLLAMA_MODELS": ollama, "NO_COLOR": "1"]
      for name in ["HF_TOKEN", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"] { all[name] = "" }
      return try run(droverPath, arguments, environment: all.merging(environment) { $1 })
    }

    /// Does something to a store; `$R` is the hub's repository, `$S` its snapshot, `$W` the blob of its weights, `$O` ollama's store and `$B` the blob there.
    func damage(_ script: String) throws {
      let real = try run("/usr/bin/readlink", ["-f", snapshot + "/model.safetensors"]).output.trimmingCharacters(in: .newlines)
      let blobs = try FileManager.default.contentsOfDirectory(atPath: ollama + "/blobs").map { ollama + "/blobs/" + $0 }
      let blob = try #require(blobs.first { (try? FileManager.default.attributesOfItem(atPath: $0)[.size] as? Int) == Stage.weights })
      let outcome = try run("/bin/sh", ["-ec", script], environment: ["R": repository, "S": snapshot, "W": real, "O": ollama, "B": blob])
      try #require(outcome.status == 0, "\(outcome.errors)")
    }
  }

  private struct File: Decodable, Hashable {
    let path, status: String
    let algorithm, expected, actual: String?
  }

  private func files(_ outcome: Outcome) throws -> [File] { try JSONDecoder().decode([String: [File]].self, from: Data(outcome.output.utf8))["files"] ?? [] }

  /// What sha256sum and git would say is what drover says, of each way to name a store or a part of it.
  @Test(.needs(.currentTorch)) func whatIsWholeAgrees() throws {
    try withTemporaryFolder { folder in
      let stage = try Stage(folder)
      defer { stage.hub.stop() }
      let model = stage.snapshot + "/model.safetensors"
      for path in [stage.cache, stage.repository, stage.snapshot, "hf:org/model", "hf:org/model@\(stage.commit)", folder + "/home"] {
        let outcome = try stage.drover("verify", path, "--json")
        #expect(outcome.status == 0, "\(path): \(outcome.output) \(outcome.errors)")
        let files = try files(outcome)
        #expect(files.count == 4 && files.allSatisfy { $0.status == "ok" && $0.expected == $0.actual }, "\(path): \(files)")
        let weights = try #require(files.first { $0.path.hasSuffix("/model.safetensors") })
        #expect(try weights.algorithm == "sha256" && weights.actual == String(run("/usr/bin/sha256sum", [model]).output.prefix(64)))
        let card = try #require(files.first { $0.path.hasSuffix("/README.md") })
        // `git hash-object` of nine bytes, "# A card\n".
        let blob = try run("/usr/bin/python3", ["-c", "import hashlib; b=b'# A card\\n'; print(hashlib.sha1(b'blob %d\\0'%len(b)+b).hexdigest())"]).output.trimmingCharacters(in: .newlines)
        #expect(card.algorithm == "git-sha1" && card.actual == blob)
      }
      for path in [model, stage.repository + "/blobs/" + (try run("/usr/bin/sha256sum", [model]).output.prefix(64))] { #expect(try stage.drover("verify", path).status == 0) }
      for (path, count) in [(stage.ollama, 5), ("ollama:llama", 4), ("ollama:other:1b", 2), (stage.ollama + "/manifests/registry.ollama.ai/library/llama/latest", 4)] {
        let outcome = try stage.drover("verify", path, "--json")
        #expect(outcome.status == 0, "\(path): \(outcome.output) \(outcome.errors)")
        let files = try files(outcome)
        #expect(files.count == count && files.allSatisfy { $0.status == "ok" && $0.path.hasSuffix("sha256-" + ($0.actual ?? "")) }, "\(path): \(files)")
      }
      #expect(try stage.drover("verify", "ollama:nothing").status == 66)
      #expect(try stage.drover("verify", "hf:org/nothing").status == 66)
    }
  }

  /// A fault each: what is done to a good store, the exit code, what the report says of what, and in JSON.
  private static let faults: [(what: String, script: String, status: Int32, word: String, of: String)] = [
    ("a zeroed blob", "dd if=/dev/zero of=$W bs=4096 seek=3 count=5 conv=notrunc", 65, "mismatch", "/model.safetensors"),
    ("a blob of zeros", "truncate -s 0 $W; truncate -s 2000000 $W", 65, "mismatch", "/model.safetensors"),
    ("a truncated blob", "truncate -s -1 $W", 65, "mismatch", "/model.safetensors"),
    ("an empty blob", ": > $W", 65, "mismatch", "/model.safetensors"),
    ("a blob that isn't there", "rm $W", 66, "missing", "/model.safetensors"),
    ("a small file that was edited", "sed -i s/card/cart/ $(readlink -f $S/README.md)", 65, "mismatch", "/README.md"),
    ("a small file with a byte more", "echo >> $(readlink -f $S/config.json)", 65, "mismatch", "/config.json"),
    ("a link out of the store", "ln -s /etc/passwd $S/tokenizer.json", 65, "leads out of the store's own blobs, to /etc/passwd", "/tokenizer.json"),
    ("a link out of the store over its blobs", "ln -sfn /etc/passwd $R/blobs/$(printf 'a%.0s' $(seq 64)); ln -s ../../blobs/$(printf 'a%.0s' $(seq 64)) $S/x", 65, "leads out", "/x"),
    ("a link with a way out in it", "ln -s ../../blobs/../../../../etc/passwd $S/x", 65, "leads out", "/x"),
    ("a link to another repository's blob", "mkdir -p $R/../models--org--b/blobs; cp $W $R/../models--org--b/blobs/; ln -s ../../../models--org--b/blobs/$(basename $W) $S/x", 65, "leads out", "/x"),
    ("a folder that is a link", "ln -s /etc $S/folder", 65, "leads out", "/folder"),
    ("a link to another file's content", "ln -sfn $(readlink $S/README.md) $S/config.json", 65, "mismatch", "/config.json"),
    ("an unfinished file of the hub's", "head -c 1000 $W > $W.1234abcd.incomplete", 0, "unfinished", ".incomplete"),
    ("a pipe for a blob", "rm $W; mkfifo $W", 1, "unreadable", "/model.safetensors"),
    ("a damaged blob that nothing leads to", "rm $S/model.safetensors; echo >> $W", 65, "mismatch", "/blobs/"),
    ("ollama: a zeroed blob", "dd if=/dev/zero of=$B bs=4096 seek=3 count=5 conv=notrunc", 65, "mismatch", "/sha256-"),
    ("ollama: a truncated blob", "truncate -s -1 $B", 65, "mismatch", "/sha256-"),
    ("ollama: a manifest that names a missing blob", "rm $B", 66, "missing", "/sha256-"),
    ("ollama: a blob that leads elsewhere", "mv $B $O/../moved; ln -s ../../moved $B", 65, "leads out", "/sha256-"),
    ("ollama: a manifest that leads elsewhere", "ln -sfn /etc/passwd $O/manifests-v2/registry.ollama.ai/library/other/1b", 65, "leads out of the store's own blobs, to /etc/passwd", "/other/1b"),
    ("ollama: a manifest cut short", "truncate -s -20 $O/manifests/registry.ollama.ai/library/llama/latest", 65, "not a manifest of ollama's", "/llama/latest"),
    ("ollama: a manifest of nothing", "echo '{}' > $O/manifests/registry.ollama.ai/library/llama/latest", 65, "it names no blobs", "/llama/latest"),
    ("ollama: a manifest with another length", "sed -i 's/\"size\": 13}/\"size\": 14}/' $O/manifests/registry.ollama.ai/library/llama/latest", 65, "should have 14", "/sha256-"),
    ("ollama: an unfinished file", "echo x > $O/blobs/sha256-$(printf 'b%.0s' $(seq 64))-partial-0", 0, "unfinished", "-partial-0"),
  ]

  @Test(.needs(.currentTorch)) func eachFaultIsNamed() throws {
    try withTemporaryFolder { folder in
      let stage = try Stage(folder + "/good")
      defer { stage.hub.stop() }
      #expect(try run("/bin/cp", ["-a", folder + "/good", folder + "/saved"]).status == 0)
      for (what, script, status, word, of) in Self.faults {
        #expect(try run("/bin/sh", ["-ec", "rm -rf $A/good && cp -a $A/saved $A/good"], environment: ["A": folder]).status == 0)
        try stage.damage(script)
        let outcome = try stage.drover("verify", what.hasPrefix("ollama") ? stage.ollama : stage.cache)
        let lines = (outcome.output + outcome.errors).split(separator: "\n")
        #expect(outcome.status == status, "\(what): \(outcome.output) \(outcome.errors)")
        #expect(lines.contains { $0.contains(of) && (outcome.output + outcome.errors).contains(word) } && lines.contains { $0.contains(word) }, "\(what): \(outcome.output) \(outcome.errors)")
        // All else is right, and is said to be.
        #expect(lines.count { $0.hasPrefix("ok") } >= (what.hasPrefix("ollama: a manifest") ? 1 : 3), "\(what): \(outcome.output)")
      }
    }
  }

  /// A model in a store is named wherever a path is; what leads out of the store isn't opened.
  @Test(.needs(.currentTorch)) func modelsInStoresAreNamed() throws {
    try withTemporaryFolder { folder in
      let stage = try Stage(folder)
      defer { stage.hub.stop() }
      let plain = stage.hub.root + "/org/model/main"
      let fingerprint = try stage.drover("fingerprint", plain).output
      #expect(fingerprint.utf8.count == 65)
      for name in ["hf:org/model", "hf:org/model@\(stage.commit)", stage.repository, stage.snapshot] {
        #expect(try stage.drover("fingerprint", name).output == fingerprint, "\(name)")
        #expect(try stage.drover("inspect", name, "--json").output == stage.drover("inspect", plain, "--json").output, "\(name)")
      }
      #expect(try stage.drover("reshard", "hf:org/model", folder + "/out", "--format", "safetensors", "--mp", "1").status == 0)
      #expect(try stage.drover("fingerprint", folder + "/out").output == fingerprint)
      #expect(try stage.drover("bench", "hf:org/model", "--prompt-tokens", "2", "--gen-tokens", "1", "--repetitions", "1", "--json").status == 0)
      let missing = try stage.drover("inspect", "hf:org/other")
      #expect(missing.status == 66 && missing.errors.contains("drover download hf:org/other --hf-cache"), "\(missing.errors)")
      #expect(try stage.drover("inspect", "hf:org/../other").status == 64)
      let several = try stage.drover("inspect", stage.cache)
      #expect(several.status == 64 && several.errors.contains("hf:org/model"), "\(several.errors)")
      let stores = try stage.drover("inspect", stage.ollama)
      #expect(stores.status == 64 && stores.errors.contains("ollama:llama:latest, ollama:other:1b"), "\(stores.errors)")
      try stage.damage("ln -s /etc/passwd $S/generation_config.json")
      for name in ["hf:org/model", stage.snapshot] {
        let outcome = try stage.drover("inspect", name)
        #expect(outcome.status == 65 && outcome.errors.contains("leads out of the store's own blobs"), "\(outcome.errors)")
      }
    }
  }

  @Test(.needs(.smolLM2), .needs(.currentTorch)) func ollamasModelsRun() throws {
    try withTemporaryFolder { folder in
      let stage = try Stage(folder)
      defer { stage.hub.stop() }
      try Stage.makeOllama(folder + "/real", weights: Peer.smolLM2.path)
      let real = ["OLLAMA_MODELS": folder + "/real"]
      let truth = try stage.drover("complete", Peer.smolLM2.path, "--prompt", "The capital of France is", "--temperature", "0", "--max-gen-len", "3", "--json")
      #expect(truth.status == 0)
      func text(_ outcome: Outcome) throws -> String? { ((try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any])?["completions"] as? [[String: Any]])?.first?["generation"] as? String }
      for name in ["ollama:llama", "ollama:other:1b", folder + "/real/manifests/registry.ollama.ai/library/llama/latest"] {
        let outcome = try stage.drover("complete", name, "--prompt", "The capital of France is", "--temperature", "0", "--max-gen-len", "3", "--json", environment: real)
        #expect(try outcome.status == 0 && text(outcome) == text(truth), "\(outcome.errors)")
        // What ollama would put around a chat, and drover doesn't.
        #expect(outcome.errors.contains("template") != name.contains("other"), "\(outcome.errors)")
      }
    }
  }

  /// Repair makes new blobs; what can't be fetched is said, with what to do.
  @Test(.needs(.currentTorch)) func theHubsCacheIsRepaired() throws {
    try withTemporaryFolder { folder in
      let stage = try Stage(folder)
      defer { stage.hub.stop() }
      func inode(_ path: String) throws -> String { try run("/usr/bin/stat", ["-L", "-c", "%i", path]).output }
      let (weights, card) = (stage.snapshot + "/model.safetensors", stage.snapshot + "/README.md")
      for (path, script) in [("hf:org/model", "dd if=/dev/zero of=$W bs=4096 seek=3 count=5 conv=notrunc; echo >> $(readlink -f $S/README.md)"), (stage.cache, "rm $W"), (stage.repository, "truncate -s 1000 $W; rm $(readlink -f $S/README.md)")] {
        let old = try inode(weights)
        // A second name keeps the old file's bytes where they are.
        try stage.damage("ln $W $R/../kept || true")
        try stage.damage(script)
        let before = try run("/usr/bin/sha256sum", [stage.cache + "/kept"]).output
        let outcome = try stage.drover("repair", path)
        #expect(outcome.status == 0, "\(path): \(outcome.output) \(outcome.errors)")
        #expect(FileManager.default.contents(atPath: weights) == FileManager.default.contents(atPath: stage.hub.root + "/org/model/main/model.safetensors"))
        #expect(FileManager.default.contents(atPath: card) == FileManager.default.contents(atPath: stage.hub.root + "/org/model/main/README.md"))
        #expect(try inode(weights) != old && run("/usr/bin/sha256sum", [stage.cache + "/kept"]).output == before)
        #expect(try FileManager.default.contentsOfDirectory(atPath: stage.repository + "/blobs").allSatisfy { $0.utf8.count == 40 || $0.utf8.count == 64 })
        #expect(try stage.drover("verify", stage.cache).status == 0)
        try FileManager.default.removeItem(atPath: stage.cache + "/kept")
      }
      try stage.damage("cp $W $R/blobs/$(printf 'a%.0s' $(seq 64))")
      let stray = try stage.drover("repair", stage.cache)
      #expect(stray.status == 64 && stray.errors.contains("no snapshot of a model names it"), "\(stray.errors)")
      try stage.damage("truncate -s 10 $B")
      let ollama = try stage.drover("repair", stage.ollama)
      #expect(ollama.status == 64 && ollama.errors.contains("remove it, and run `ollama pull"), "\(ollama.errors)")
    }
  }

  /// A blob of ollama's is fetched again over a link to its content: a new file, or the old one untouched.
  @Test(.needs(.currentTorch)) func ollamasBlobIsRepairedOverALink() throws {
    try withTemporaryFolder { folder in
      let stage = try Stage(folder)
      defer { stage.hub.stop() }
      try stage.damage("cp $B $A/right; mkdir $A/www; cp $B $A/www/weights.gguf; cp $B $A/www/other.gguf; truncate -s -5 $A/www/other.gguf; echo $B > $A/name".replacing("$A", with: folder))
      let blob = try String(contentsOfFile: folder + "/name", encoding: .utf8).trimmingCharacters(in: .newlines)
      let nginx = try Nginx(root: folder + "/www", directives: "")
      let link = "http://127.0.0.1:\(nginx.port)/weights.gguf"
      func inode() throws -> String { try run("/usr/bin/stat", ["-c", "%i", blob]).output }
      func isRight() -> Bool { FileManager.default.contentsEqual(atPath: blob, andPath: folder + "/right") }
      for (path, script) in [(blob, "truncate -s -3 $B"), (stage.ollama, "dd if=/dev/zero of=$B bs=4096 seek=3 count=5 conv=notrunc"), ("ollama:llama", "rm $B")] {
        // A second name keeps the damaged file's bytes where they are.
        _ = try run("/bin/rm", ["-f", folder + "/kept"])
        try stage.damage("ln $B $A/kept; ".replacing("$A", with: folder) + script)
        let before = script.hasPrefix("rm") ? nil : try (inode(), Data(contentsOf: URL(filePath: folder + "/kept")))
        // Another content is no repair.
        let wrong = try stage.drover("repair", path, "--url", "http://127.0.0.1:\(nginx.port)/other.gguf")
        #expect(wrong.status == 65 && !isRight(), "\(path): \(wrong.output) \(wrong.errors)")
        if let before { #expect(try inode() == before.0) }
        let outcome = try stage.drover("repair", path, "--url", link)
        #expect(outcome.status == 0 && outcome.output.contains("1 of "), "\(path): \(outcome.output) \(outcome.errors)")
        #expect(isRight())
        if let before { #expect(try inode() != before.0 && Data(contentsOf: URL(filePath: folder + "/kept")) == before.1) }
        #expect(try FileManager.default.contentsOfDirectory(atPath: stage.ollama + "/blobs").allSatisfy { $0.utf8.count == 71 })
        #expect(try stage.drover("verify", stage.ollama).status == 0)
      }
      // One link opens one file; without a link it is said where one could be named.
      try stage.damage("echo >> $B; for f in $O/blobs/*; do [ $(stat -c %s $f) = 11 ] && echo >> $f; done; true")
      let two = try stage.drover("repair", stage.ollama, "--url", link)
      #expect(two.status == 64 && two.errors.contains("a link opens one file, and 2 are damaged"), "\(two.errors)")
      let none = try stage.drover("repair", blob)
      #expect(none.status == 64 && none.errors.contains("--url"), "\(none.errors)")
      #expect(try stage.drover("repair", blob, "--url", link).status == 0)
      #expect(isRight())
    }
  }

  /// Contents that huggingface_hub shares between repositories (its `_shared_blobs.py`): the blob is a link to the cache's own store, and to nothing else.
  @Test(.needs(.currentTorch)) func sharedBlobsAreFollowed() throws {
    try withTemporaryFolder { folder in
      let stage = try Stage(folder)
      defer { stage.hub.stop() }
      let shared = "X=$(printf 'c%.0s' $(seq 64)); mkdir -p $R/../blobs/cc; echo 1 > $R/../blobs/.huggingface-shared-blobs; mv $W $R/../blobs/cc/$X; ln -s ../../blobs/cc/$X $W"
      try stage.damage(shared)
      for path in [stage.cache, "hf:org/model"] {
        let outcome = try stage.drover("verify", path, "--json")
        #expect(try outcome.status == 0 && files(outcome).allSatisfy { $0.status == "ok" } && files(outcome).count == 4, "\(outcome.output) \(outcome.errors)")
      }
      #expect(try stage.drover("inspect", "hf:org/model").status == 0)
      try stage.damage("truncate -s 5 $(readlink -f $S/model.safetensors)")
      #expect(try stage.drover("verify", "hf:org/model").status == 65)
      // The repository gets a blob of its own; what others share stays as it is.
      #expect(try stage.drover("repair", "hf:org/model").status == 0)
      #expect(try stage.drover("verify", stage.cache).status == 0)
      #expect(try run("/usr/bin/stat", ["-c", "%s", stage.cache + "/blobs/cc/" + String(repeating: "c", count: 64)]).output == "5\n")
    }
  }

  /// Manifests and lists that nobody wrote in good faith: each is refused or read, in memory that its length justifies.
  @Test func hostileManifests() throws {
    let path = FilePath("manifest")
    for text in ["", "[]", "{", "null", "{\"layers\": [", "{\"layers\": 5}", "{\"layers\": [{\"digest\": \"sha256:../../etc\"}]}", "{\"layers\": [{\"digest\": \"md5:\(String(repeating: "a", count: 32))\"}]}",
      "{\"layers\": [{\"digest\": \"sha256:\(String(repeating: "a", count: 64))\", \"size\": -1}]}", "{\"layers\": [{\"digest\": \"sha256:\(String(repeating: "a", count: 64))\", \"size\": 99999999999999999999}]}",
      "{\"manifests\": [{\"digest\": \"sha256:\(String(repeating: "a", count: 64))\", \"layers\": []}]}", String(repeating: "[", count: 100_000), "{\"layers\": [{}], \"layers\": []}",
    ] {
      #expect(throws: VerificationError.self, "\(text.prefix(80))") { try OllamaStore.Manifest(parsing: Array(text.utf8), path: path) }
      #expect(CachedRepository.parse(tree: Array(text.utf8)) == nil, "\(text.prefix(80))")
    }
    #expect(CachedRepository.parse(tree: Array(#"{"format_version": 2, "files": {}}"#.utf8)) == nil)
  }
}
