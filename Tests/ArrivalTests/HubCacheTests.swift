import Foundation
import Integrity
import SystemPackage
import TestSupport
import Testing

/// Downloads into the cache that the hub's own tools keep: what they find there is what they would have put there themselves.
@Suite struct HubCacheTests {
  /// A repository with files in folders, one content under two names, and an empty file.
  private static func fill(_ hub: HubStandIn) throws {
    try SmallModel.write(to: hub.root + "/org/model/main")
    try hub.write(Data("# The card\n".utf8), to: "org/model/main/README.md")
    try hub.write(Data("# The card\n".utf8), to: "org/model/main/original/README.md")
    try hub.write(Data(), to: "org/model/main/LICENSE")
    try hub.write(Data(repeating: 7, count: 300_000), to: "org/model/main/original/params/big.bin")
  }

  private static let everything = ["--include", "*"]

  private func drover(_ hub: HubStandIn?, _ folder: String, _ arguments: [String], _ more: [String: String] = [:]) throws -> Outcome {
    var environment = ["HF_ENDPOINT": hub?.endpoint ?? "http://127.0.0.1:9", "HOME": folder, "HF_HOME": folder + "/home", "DROVER_URL": ""]
    for name in ["HF_TOKEN", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"] { environment[name] = "" }
    return try run(droverPath, arguments, environment: environment.merging(more) { $1 })
  }

  private func download(_ hub: HubStandIn?, _ folder: String, _ name: String = "hf:org/model", _ arguments: [String] = [], _ more: [String: String] = [:]) throws -> Outcome {
    try drover(hub, folder, ["download", name, "--hf-cache", "--yes", "--retries", "3"] + arguments, more)
  }

  private func cache(_ folder: String) -> String { folder + "/home/hub" }
  private func repository(_ folder: String) -> String { cache(folder) + "/models--org--model" }

  /// The hub's own client, in a home of its own or in drover's.
  private func hub(_ hub: HubStandIn?, home: String, _ script: String) throws -> String {
    let environment = """
      import os, sys
      os.environ.update(HF_ENDPOINT="\(hub?.endpoint ?? "http://127.0.0.1:9")", HF_HOME="\(home)", HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_TELEMETRY="1", HF_HUB_OFFLINE="\(hub == nil ? 1 : 0)")
      for name in ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN"]: os.environ.pop(name, None)
      from huggingface_hub import snapshot_download, scan_cache_dir

      """
    return try python(environment + script, with: .currentTorch, isFresh: true).trimmingCharacters(in: .whitespacesAndNewlines)
  }

  /// Every name in a repository's folder: folders, links with what they lead to, files with their SHA-256. What only the hub's client keeps is left out.
  private func tree(_ folder: String) throws -> String {
    try python(
      """
      import hashlib, os, sys
      for root, folders, files in sorted(os.walk(sys.argv[1])):
          folders.sort()
          for name in sorted(folders + files):
              path = os.path.join(root, name); shown = os.path.relpath(path, sys.argv[1])
              if shown.split("/")[0] in ("trees", ".no_exist"): continue
              if os.path.islink(path): print(shown, "->", os.readlink(path))
              elif os.path.isfile(path): print(shown, hashlib.sha256(open(path, "rb").read()).hexdigest(), oct(os.stat(path).st_mode))
              else: print(shown + "/")
      """, folder)
  }

  @Test(.needs(.currentTorch)) func theCacheIsAsTheHubsOwn() throws {
    let hub = try HubStandIn("--page", "3")
    defer { hub.stop() }
    try Self.fill(hub)
    try withTemporaryFolder { folder in
      let outcome = try download(hub, folder, "hf:org/model", Self.everything)
      try #require(outcome.status == 0, "\(outcome.errors)")
      _ = try self.hub(hub, home: folder + "/theirs", "snapshot_download('org/model')")
      #expect(try tree(repository(folder)) == tree(folder + "/theirs/hub/models--org--model"))
      // The last line is the snapshot, as `hf download` prints it; offline the hub's client finds the same.
      let snapshot = try #require(outcome.output.split(separator: "\n").last.map(String.init))
      let found = try self.hub(nil, home: folder + "/home", "print(snapshot_download('org/model', local_files_only=True)); assert not scan_cache_dir().warnings, scan_cache_dir().warnings")
      #expect(found == snapshot)
      // With the hub at hand it fetches nothing.
      let requests = hub.log.count { $0.hasPrefix("store") || $0.contains("/resolve/") && $0.contains(" GET ") }
      #expect(try self.hub(hub, home: folder + "/home", "print(snapshot_download('org/model'))") == snapshot)
      #expect(hub.log.count { $0.hasPrefix("store") || $0.contains("/resolve/") && $0.contains(" GET ") } == requests)
    }
  }

  /// The other way round: what the hub's client has fetched is here, and nothing of it changes.
  @Test(.needs(.currentTorch)) func whatTheHubsClientFetchedIsHere() throws {
    let hub = try HubStandIn()
    defer { hub.stop() }
    try Self.fill(hub)
    try withTemporaryFolder { folder in
      _ = try self.hub(hub, home: folder + "/home", "snapshot_download('org/model')")
      let (before, stored) = (try tree(repository(folder)), hub.log.count { $0.hasPrefix("store") })
      for isOffline in [false, true] {
        let outcome = try download(isOffline ? nil : hub, folder, "hf:org/model", Self.everything + ["--json"], isOffline ? ["HF_HUB_OFFLINE": "1"] : [:])
        try #require(outcome.status == 0, "\(outcome.errors)")
        let report = try #require(try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any])
        let files = try #require(report["files"] as? [[String: Any]])
        #expect(files.count == 6 && files.allSatisfy { $0["status"] as? String == "present" && $0["verified"] as? Bool == true })
        // Each name, relative to the cache.
        let commit = try #require(report["revision"] as? String)
        #expect(Set(files.compactMap { $0["path"] as? String }) == Set(["LICENSE", "README.md", "config.json", "model.safetensors", "original/README.md", "original/params/big.bin"].map { "models--org--model/snapshots/\(commit)/\($0)" }))
      }
      #expect(try tree(repository(folder)) == before)
      #expect(hub.log.count { $0.hasPrefix("store") } == stored)
    }
  }

  @Test(.needs(.currentTorch)) func transformersLoadsWhatWasDownloaded() throws {
    let hub = try HubStandIn()
    defer { hub.stop() }
    try Self.fill(hub)
    try withTemporaryFolder { folder in
      #expect(try download(hub, folder).status == 0)
      let same = try self.hub(
        nil, home: folder + "/home",
        """
        import torch
        from safetensors.torch import load_file
        from transformers import AutoModelForCausalLM
        model = AutoModelForCausalLM.from_pretrained("org/model", dtype=torch.bfloat16)
        truth = load_file("\(hub.root)/org/model/main/model.safetensors")
        print(all(torch.equal(model.state_dict()[name], value) for name, value in truth.items()) and len(truth))
        """)
      #expect(same == "12", "\(same)")
    }
  }

  /// A blob of somebody else's is never written to: a right one is taken as it is, a wrong one keeps its bytes under another name.
  @Test func blobsOfOthersKeepTheirBytes() throws {
    let hub = try HubStandIn()
    defer { hub.stop() }
    try Self.fill(hub)
    try withTemporaryFolder { folder in
      let weights = try Data(contentsOf: URL(filePath: hub.root + "/org/model/main/model.safetensors"))
      let name = try run("/usr/bin/sha256sum", [hub.root + "/org/model/main/model.safetensors"]).output.prefix(64)
      let blobs = repository(folder) + "/blobs"
      try FileManager.default.createDirectory(atPath: blobs, withIntermediateDirectories: true)
      let blob = URL(filePath: blobs + "/" + name)
      try weights.write(to: blob)
      func inode() throws -> Int { Int(try run("/usr/bin/stat", ["-c", "%i", blob.path()]).output.trimmingCharacters(in: .newlines)) ?? 0 }
      let before = try inode()
      #expect(try download(hub, folder).status == 0)
      #expect(try inode() == before && !hub.log.contains { $0.hasPrefix("store") })
      var damaged = weights
      damaged[500_000] ^= 1
      try FileManager.default.removeItem(at: blob)
      try damaged.write(to: blob)
      let outcome = try download(hub, folder)
      #expect(outcome.status == 0, "\(outcome.errors)")
      #expect(try Data(contentsOf: blob) == weights && Data(contentsOf: blob.appendingPathExtension("orig")) == damaged)
    }
  }

  /// Killed on the way, there is no snapshot that lacks a file, and the next run goes on.
  @Test func killedAndContinued() throws {
    let hub = try HubStandIn("--rate", "1000000")
    defer { hub.stop() }
    try Self.fill(hub)
    try hub.write(Data((0..<6_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 7) }), to: "org/model/main/original/consolidated.00.pth")
    try withTemporaryFolder { folder in
      let process = try Child(
        droverPath, ["download", "hf:org/model", "--hf-cache", "--yes", "--quiet", "--connections", "1", "--include", "*"],
        environment: ["HF_ENDPOINT": hub.endpoint, "HF_HOME": folder + "/home", "HF_TOKEN": "", "HF_HUB_OFFLINE": ""])
      let journals = { (try? FileManager.default.contentsOfDirectory(atPath: repository(folder) + "/blobs").filter { $0.hasSuffix(".part.journal") && $0.utf8.count > 60 }) ?? [] }
      #expect(waitUntil { journals().contains { (Journaled(repository(folder) + "/blobs/" + $0)?.bytes ?? 0) > 500_000 } })
      process.signal(SIGKILL)
      process.wait()
      #expect(!FileManager.default.fileExists(atPath: repository(folder) + "/snapshots") && !FileManager.default.fileExists(atPath: repository(folder) + "/refs"))
      let outcome = try download(hub, folder, "hf:org/model", Self.everything + ["--json"])
      #expect(outcome.status == 0 && outcome.output.contains("\"resumed\""), "\(outcome.errors)")
      let names = try FileManager.default.contentsOfDirectory(atPath: repository(folder) + "/blobs")
      #expect(names.allSatisfy { $0.utf8.count == 64 || $0.utf8.count == 40 }, "\(names)")
    }
  }

  /// Where the hub isn't asked: what is missing, what is damaged, and what is unfinished.
  @Test func offline() throws {
    let hub = try HubStandIn()
    defer { hub.stop() }
    try Self.fill(hub)
    try withTemporaryFolder { folder in
      let offline = ["HF_HUB_OFFLINE": "1"]
      func outcome(_ arguments: [String] = [], name: String = "hf:org/model") throws -> Outcome { try download(nil, folder, name, arguments, offline) }
      let missing = try outcome()
      #expect(missing.status == 66 && missing.errors.contains("isn't in the hub's cache"), "\(missing.errors)")
      #expect(try download(hub, folder).status == 0)
      #expect(try outcome().status == 0)
      #expect(try outcome(name: "hf:org/model@v9").status == 66)
      #expect(try outcome(["--include", "original/*"]).status == 66)
      // Nothing passes by that nobody sends.
      let pulled = try drover(nil, folder, ["pull", "hf:org/model", folder + "/out", "--mp", "1"], offline)
      #expect(pulled.status == 66 && pulled.errors.contains("it is in the hub's cache already"), "\(pulled.errors)")
      // The hub's client has noted what there is, and only some of it is here.
      let commit = try String(contentsOfFile: repository(folder) + "/refs/main", encoding: .utf8)
      try FileManager.default.createDirectory(atPath: repository(folder) + "/trees", withIntermediateDirectories: true)
      let tree = #"{"format_version": 1, "files": {"config.json": {"size": 1, "blob_id": "\#(String(repeating: "a", count: 40))"}, "model.safetensors": {"size": 1, "blob_id": "\#(String(repeating: "b", count: 40))"}, "tokenizer.json": {"size": 1, "blob_id": "\#(String(repeating: "c", count: 40))"}}}"#
      try tree.write(toFile: repository(folder) + "/trees/\(commit).json", atomically: true, encoding: .utf8)
      let partial = try outcome()
      #expect(partial.status == 66 && partial.errors.contains("lacks tokenizer.json"), "\(partial.errors)")
      try FileManager.default.removeItem(atPath: repository(folder) + "/trees")
      let weights = repository(folder) + "/snapshots/\(commit)/model.safetensors"
      let file = try FileHandle(forUpdating: URL(filePath: weights).resolvingSymlinksInPath())
      try file.seek(toOffset: 700_000)
      try file.write(contentsOf: Data(repeating: 0, count: 100))
      try file.close()
      let damaged = try outcome()
      #expect(damaged.status == 65 && damaged.errors.contains("drover repair hf:org/model"), "\(damaged.errors)")
    }
  }

  private struct Report: Decodable {
    struct File: Decodable {
      let path, status: String
      let verified: Bool
    }
    let files: [File]
  }

  private func folder(_ hub: HubStandIn?, _ home: String, _ out: String, _ arguments: [String] = ["--include", "*"]) throws -> (outcome: Outcome, statuses: [String: String]) {
    let outcome = try drover(hub, home, ["download", "hf:org/model", "--output", out, "--yes", "--json"] + arguments, hub == nil ? ["HF_HUB_OFFLINE": "1"] : [:])
    let report = try? JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8))
    return (outcome, Dictionary((report?.files ?? []).map { ($0.path, $0.verified ? $0.status : "unverified") }) { first, _ in first })
  }

  private func fetches(_ hub: HubStandIn) -> Int { hub.log.count { $0.hasPrefix("store") || $0.contains("/resolve/") && $0.contains(" GET ") } }

  private func isSame(_ folder: String, _ hub: HubStandIn) throws -> Bool {
    try run("/usr/bin/diff", ["-r", "--exclude", "drover-receipt.json", folder + "/model", hub.root + "/org/model/main"]).status == 0
  }

  /// A folder of one's own gets what the cache has, also where the hub isn't asked, and its receipt.
  @Test func aFolderTakesWhatTheCacheHas() throws {
    let hub = try HubStandIn()
    defer { hub.stop() }
    try Self.fill(hub)
    try hub.write(Data((0..<6_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 7) }), to: "org/model/main/original/consolidated.00.pth")
    try withTemporaryFolder { home in
      #expect(try download(hub, home, "hf:org/model", Self.everything).status == 0)
      let before = (fetches(hub), try tree(repository(home)))
      for source in [hub, nil] {
        let out = home + (source == nil ? "/offline" : "/online")
        let plan = try drover(source, home, ["download", "hf:org/model", "--output", out, "--dry-run", "--include", "*"], source == nil ? ["HF_HUB_OFFLINE": "1"] : [:])
        #expect(plan.status == 0 && plan.output.contains("in the hub's cache") && plan.output.contains(": 0 to fetch"), "\(plan.output) \(plan.errors)")
        let (outcome, statuses) = try folder(source, home, out)
        #expect(outcome.status == 0 && statuses.count == 7 && statuses.values.allSatisfy { $0 == "copied" }, "\(statuses) \(outcome.errors)")
        #expect(try isSame(out, hub))
        #expect(try drover(nil, home, ["verify", out + "/model"]).status == 0)
        // The next time it is there.
        #expect(try folder(source, home, out).statuses.values.allSatisfy { $0 == "present" })
      }
      #expect(fetches(hub) == before.0)
      #expect(try tree(repository(home)) == before.1)
      // Of another file under the name nothing is lost, and a part that somebody has left is no part of it.
      let other = home + "/other/model"
      try FileManager.default.createDirectory(atPath: other, withIntermediateDirectories: true)
      try Data("mine".utf8).write(to: URL(filePath: other + "/model.safetensors"))
      try Data("mine too".utf8).write(to: URL(filePath: other + "/README.md"))
      for name in ["README.md", "model.safetensors"] { try Data(repeating: 1, count: 9_000_000).write(to: URL(filePath: other + "/\(name).part")) }
      let (outcome, statuses) = try folder(nil, home, home + "/other")
      #expect(outcome.status == 0 && statuses.values.allSatisfy { $0 == "copied" }, "\(statuses) \(outcome.errors)")
      #expect(["README.md", "model.safetensors"].allSatisfy { FileManager.default.contentsEqual(atPath: other + "/\($0)", andPath: hub.root + "/org/model/main/\($0)") })
      #expect(try String(contentsOfFile: other + "/model.safetensors.orig", encoding: .utf8) == "mine" && String(contentsOfFile: other + "/README.md.orig", encoding: .utf8) == "mine too")
    }
  }

  /// A blob that isn't what it is called by is noticed while it is copied: that file is fetched, or missed where the hub isn't asked.
  @Test(arguments: ["model.safetensors", "README.md", "original/params/big.bin"]) func aDamagedBlobIsFetched(name: String) throws {
    let hub = try HubStandIn()
    defer { hub.stop() }
    try Self.fill(hub)
    // So that one name is one blob.
    try hub.write(Data("# Another card\n".utf8), to: "org/model/main/original/README.md")
    try withTemporaryFolder { home in
      #expect(try download(hub, home, "hf:org/model", Self.everything).status == 0)
      let commit = try String(contentsOfFile: repository(home) + "/refs/main", encoding: .utf8)
      let blob = URL(filePath: repository(home) + "/snapshots/\(commit)/\(name)").resolvingSymlinksInPath()
      var bytes = try Data(contentsOf: blob)
      bytes[bytes.count / 2] ^= 1
      try bytes.write(to: blob)
      let offline = try folder(nil, home, home + "/offline")
      #expect(offline.outcome.status == 65 && offline.outcome.errors.contains("drover repair") && offline.outcome.errors.contains(blob.lastPathComponent), "\(offline.outcome.errors)")
      let left = try FileManager.default.subpathsOfDirectory(atPath: home + "/offline/model")
      #expect(!left.contains(name) && !left.contains { $0.hasSuffix(".part") || $0.hasSuffix(".journal") }, "\(left)")
      // It costs only that file.
      #expect(offline.statuses.values.filter { $0 == "copied" }.count == 5, "\(offline.statuses)")
      let before = hub.log.count
      let (outcome, statuses) = try folder(hub, home, home + "/online")
      #expect(outcome.status == 0 && outcome.errors.contains("\(name): ") && outcome.errors.contains("is damaged"), "\(outcome.errors)")
      #expect(statuses.count == 6 && statuses.allSatisfy { $0.value == ($0.key == "model/" + name ? "downloaded" : "copied") }, "\(statuses)")
      let asked = hub.log.dropFirst(before).filter { $0.contains("/resolve/") }
      #expect(!asked.isEmpty && asked.allSatisfy { $0.contains("/\(name)") }, "\(asked)")
      #expect(try isSame(home + "/online", hub))
      // The cache stays as it was: repair is for that.
      #expect(try Data(contentsOf: blob) == bytes)
    }
  }

  /// Where the cache and the token are, the hub's own library says.
  @Test(.needs(.currentTorch), arguments: [
    [:], ["HF_HOME": "/a/b"], ["HF_HOME": "~/x"], ["HF_HUB_CACHE": "/c"], ["HF_HUB_CACHE": "$HF_HOME/deep", "HF_HOME": "/h"], ["HUGGINGFACE_HUB_CACHE": "/old"],
    ["HUGGINGFACE_HUB_CACHE": "/old", "HF_HUB_CACHE": "/new"], ["XDG_CACHE_HOME": "/xdg"], ["XDG_CACHE_HOME": "/xdg", "HF_HOME": "/h"], ["XDG_CACHE_HOME": "~/c"],
    ["HF_TOKEN_PATH": "${HF_HOME}/t", "HF_HOME": "/h"], ["HF_HOME": "/a/$NOBODY/b"], ["HF_HOME": "/a/${NOBODY"],
  ] as [[String: String]])
  func theCacheIsWhereTheHubsLibraryHasIt(variables: [String: String]) throws {
    let all = variables.merging(["HOME": "/home/somebody"]) { $1 }
    let names = ["HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME", "HF_TOKEN_PATH"]
    let theirs = try run(
      "/usr/bin/env", names.flatMap { ["-u", $0] } + all.map { "\($0)=\($1)" } + [Peer.currentTorch.path, "-c", "from huggingface_hub import constants as c; print(c.HF_HUB_CACHE, c.HF_TOKEN_PATH)"])
    let folders = HubFolders(all)
    #expect("\(folders.cache?.string ?? "") \(folders.token?.string ?? "")" == theirs.output.trimmingCharacters(in: .whitespacesAndNewlines), "\(theirs.errors)")
  }

  /// A cache, and a folder besides: only one of the two can be meant.
  @Test(arguments: [["download", "hf:org/model", "--hf-cache", "--output", "x"], ["download", "llama-2-7b", "--hf-cache"], ["pull", "hf:org/model", "x", "--mp", "1", "--hf-cache"]]) func whatContradictsIsRefused(arguments: [String]) throws {
    try withTemporaryFolder { folder in
      let outcome = try drover(nil, folder, arguments)
      #expect(outcome.status == 64, "\(outcome.errors)")
    }
  }
}
