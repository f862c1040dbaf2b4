import Foundation
import Integrity
import SystemPackage
import TestSupport
import Testing
import Transfer

/// Downloads from Hugging Face's hub, whose part a stand-in plays.
@Suite struct HubTests {
  /// A repository of two versions, as transformers' users publish models.
  private static func fill(_ hub: HubStandIn) throws {
    for revision in ["main", "v2"] {
      try hub.write(Data("{\"revision\": \"\(revision)\"}".utf8), to: "org/model/\(revision)/config.json")
      try hub.write(Data("# The card of \(revision)\n".utf8), to: "org/model/\(revision)/README.md")
      try hub.write(Data(), to: "org/model/\(revision)/.gitattributes")
      try hub.write(Data("{}      ".utf8).prefixed(8) + bytes(3_000_000, seed: revision), to: "org/model/\(revision)/model.safetensors")
      try hub.write(bytes(300_000, seed: "bin"), to: "org/model/\(revision)/pytorch_model.bin")
    }
    try hub.write(bytes(200_000, seed: "pth"), to: "org/model/main/original/consolidated.00.pth")
    try hub.write(Data("only in main".utf8), to: "org/model/main/old.txt")
  }

  private static func bytes(_ count: Int, seed: String) -> Data {
    var state = seed.utf8.reduce(UInt64(88_172_645_463_325_252)) { $0 &* 31 &+ UInt64($1) }
    return Data((0..<count / 8).flatMap { _ in
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      return withUnsafeBytes(of: state) { Array($0) }
    })
  }

  private func download(_ hub: HubStandIn, _ arguments: String..., into folder: String, token: String? = nil) throws -> Outcome {
    // A home without a saved token.
    var environment = ["HF_ENDPOINT": hub.endpoint, "HOME": folder, "HF_HOME": folder + "/none", "HF_TOKEN": token ?? "", "DROVER_URL": ""]
    environment["HF_HUB_OFFLINE"] = ""
    return try run(droverPath, ["download"] + arguments + ["--output", folder + "/out", "--yes", "--retries", "4"], environment: environment)
  }

  private func names(_ folder: String) throws -> [String] {
    try FileManager.default.subpathsOfDirectory(atPath: folder).filter { !$0.hasSuffix("drover-receipt.json") }.sorted()
  }

  private func same(_ hub: HubStandIn, _ path: String, _ file: String) -> Bool {
    guard let a = FileManager.default.contents(atPath: hub.root + "/" + path), let b = FileManager.default.contents(atPath: file) else { return false }
    return a == b
  }

  @Test func fetchesWhatRunsTheModelAndVerifiesIt() throws {
    let hub = try HubStandIn("--page", "3")
    defer { hub.stop() }
    try Self.fill(hub)
    try withTemporaryFolder { folder in
      let outcome = try download(hub, "hf:org/model", "--json", into: folder, token: "hf_good")
      try #require(outcome.status == 0, "\(outcome.errors)")
      #expect(try names(folder + "/out/model") == ["README.md", "config.json", "model.safetensors", "old.txt"])
      #expect(same(hub, "org/model/main/model.safetensors", folder + "/out/model/model.safetensors"))
      let report = try #require(try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any])
      let commit = try run("/usr/bin/sha1sum", [], input: "main").output.prefix(40)
      #expect(report["revision"] as? String == String(commit))
      let files = try #require(report["files"] as? [[String: Any]])
      #expect(files.allSatisfy { $0["verified"] as? Bool == true })
      // git itself says what the blob of a small file is called.
      let card = try #require(files.first { ($0["path"] as? String)?.hasSuffix("README.md") == true })
      let content = try Data(contentsOf: URL(filePath: folder + "/out/model/README.md"))
      let blob = try run("/usr/bin/python3", ["-c", "import hashlib,sys; b=open(sys.argv[1],'rb').read(); print(hashlib.sha1(b'blob %d\\0'%len(b)+b).hexdigest())", folder + "/out/model/README.md"])
      #expect(card["blob"] as? String == blob.output.trimmingCharacters(in: .newlines) && GitBlobID(of: content).hex == card["blob"] as? String)
      // The receipt says where it came from, and holds.
      let receipt = try Receipt(contentsOf: FilePath("\(folder)/out/model/drover-receipt.json"))
      #expect(receipt.origin == .repository("org/model", commit: String(commit)))
      #expect(try drover("verify", folder + "/out/model").status == 0)
      // The token went to the hub, and to nobody else, and lies nowhere.
      #expect(hub.log.contains { $0.hasPrefix("hub") && $0.hasSuffix("token") })
      #expect(hub.log.contains { $0.hasPrefix("store") } && !hub.log.contains { $0.hasPrefix("store") && $0.hasSuffix("token") })
      #expect(!(outcome.output + outcome.errors).contains("hf_good"))
      #expect(try run("/usr/bin/grep", ["-r", "hf_good", folder]).status == 1)
      // Once more fetches nothing.
      let requests = hub.log.count { $0.hasPrefix("store") }
      #expect(try download(hub, "hf:org/model", "--json", into: folder).output.contains("\"present\""))
      #expect(hub.log.count { $0.hasPrefix("store") } == requests)
    }
  }

  /// The hub's list says all that there is to say, but for the description of the model; the store isn't asked.
  @Test func aDryRunAsksTheHubAlone() throws {
    let hub = try HubStandIn("--gated", "org/model")
    defer { hub.stop() }
    try Self.fill(hub)
    try hub.write(Data(#"{"model_type": "llama", "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": 64, "num_hidden_layers": 3}"#.utf8), to: "org/model/main/config.json")
    try withTemporaryFolder { folder in
      let outcome = try download(hub, "hf:org/model", "--dry-run", "--json", into: folder, token: "hf_good")
      try #require(outcome.status == 0, "\(outcome.errors)")
      #expect(!hub.log.contains { $0.hasPrefix("store") } && hub.log.count { !$0.hasPrefix("sent") } == 4 && !FileManager.default.fileExists(atPath: folder + "/out"), "\(hub.log)")
      let report = try #require(try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any])
      let files = try #require(report["files"] as? [[String: Any]])
      for file in files {
        let path = (file["path"] as? String ?? "").replacing("model/", with: "org/model/main/")
        #expect(file["bytes"] as? Int == FileManager.default.contents(atPath: hub.root + "/" + path)?.count && file["status"] as? String == "absent", "\(path)")
      }
      let memory = try #require((report["memory"] as? [[String: Any]])?.first)
      #expect(memory["weights"] as? Int == FileManager.default.contents(atPath: hub.root + "/org/model/main/model.safetensors")?.count)
      #expect(memory["cache"] as? Int == 3 * 2 * 2 * 16 * 4 * 512)
      // What is of another version isn't here, though it is as long.
      #expect(try download(hub, "hf:org/model", into: folder, token: "hf_good").status == 0)
      let other = try download(hub, "hf:org/model@v2", "--dry-run", "--json", "--include", "*.safetensors", into: folder, token: "hf_good")
      #expect(other.status == 0 && other.output.contains("\"absent\"") && !other.output.contains("\"present\""), "\(other)")
      #expect(try download(hub, "hf:org/model", "--dry-run", into: folder, token: "hf_good").output.contains("0 to fetch"))
    }
  }

  /// Another version takes the place of the one that a receipt vouches for; what somebody changed by hand is kept.
  @Test func anotherRevisionReplacesWhatWasDownloaded() throws {
    let hub = try HubStandIn()
    defer { hub.stop() }
    try Self.fill(hub)
    try withTemporaryFolder { folder in
      #expect(try download(hub, "hf:org/model", into: folder).status == 0)
      try "{\"mine\": 1}".write(toFile: folder + "/out/model/config.json", atomically: true, encoding: .utf8)
      let outcome = try download(hub, "hf:org/model@v2", into: folder)
      #expect(outcome.status == 0, "\(outcome.errors)")
      #expect(try names(folder + "/out/model") == ["README.md", "config.json", "config.json.orig", "model.safetensors", "old.txt"])
      #expect(same(hub, "org/model/v2/model.safetensors", folder + "/out/model/model.safetensors"))
      #expect(outcome.errors.contains("model/old.txt: this version of hf:org/model@v2 has no such file"))
    }
  }

  @Test func patternsChoose() throws {
    let hub = try HubStandIn()
    defer { hub.stop() }
    try Self.fill(hub)
    try withTemporaryFolder { folder in
      #expect(try download(hub, "hf:org/model", "--include", "original/*", "--include", "*.md", "--exclude", "*.txt", into: folder).status == 0)
      #expect(try names(folder + "/out/model") == ["README.md", "original", "original/consolidated.00.pth"])
      let outcome = try download(hub, "hf:org/model", "--include", "*.gguf", into: folder)
      #expect(outcome.status == 66 && outcome.errors.contains("no file of the repository fits *.gguf"))
    }
  }

  /// Each refusal in a sentence of its own: what was asked for, with which token, the exit code, and what the message must say.
  @Test(arguments: [
    ("hf:org/nothing", nil, 66, "has no such repository"), ("hf:org/model@v9", nil, 66, "no branch, tag or commit \"v9\""),
    ("hf:org/secret", nil, 66, "give a token"), ("hf:org/secret", "hf_good", 0, ""),
    ("hf:org/gated", nil, 77, "accept its licence at http://127.0.0.1:"), ("hf:org/gated", "hf_good", 0, ""),
    ("hf:org/gated", "hf_outsider", 77, "accept its licence at http://127.0.0.1:"), ("hf:org/lost", nil, 66, "has it on its list, and hasn't got it"),
    ("hf:org/model", "hf_bad", 77, "doesn't know the token"), ("hf:org/../x", nil, 64, "isn't the name of a repository"),
    ("hf:org/model,llama-2-7b", nil, 64, "one after the other"),
  ] as [(String, String?, Int32, String)])
  func whatIsRefusedSaysWhy(name: String, token: String?, status: Int32, words: String) throws {
    let hub = try HubStandIn("--private", "org/secret", "--gated", "org/gated", "--outsider", "hf_outsider", "--lost", "lost/main/model.safetensors")
    defer { hub.stop() }
    try Self.fill(hub)
    for name in ["secret", "gated", "lost"] { try hub.write(Self.bytes(200_000, seed: name).withFirst(0), to: "org/\(name)/main/model.safetensors") }
    try withTemporaryFolder { folder in
      let outcome = try download(hub, name, into: folder, token: token)
      #expect(outcome.status == status, "\(outcome.errors)")
      #expect(words.isEmpty || outcome.errors.contains(words), "\(outcome.errors)")
      #expect(!outcome.errors.contains("hf_"))
    }
  }

  /// A store's link opens its file once, and the answer breaks off: the hub is asked for another, and the rest comes from the same byte.
  @Test func linksThatEndAreResolvedAgain() throws {
    let hub = try HubStandIn("--uses", "1", "--cut", "700000")
    defer { hub.stop() }
    try Self.fill(hub)
    try withTemporaryFolder { folder in
      let outcome = try download(hub, "hf:org/model", "--connections", "1", into: folder)
      #expect(outcome.status == 0, "\(outcome.errors)")
      #expect(same(hub, "org/model/main/model.safetensors", folder + "/out/model/model.safetensors"))
      #expect(hub.log.count { $0.hasPrefix("store") } >= 4)
    }
  }

  /// What isn't what the hub says gets no name.
  @Test(arguments: ["model.safetensors", "config.json"]) func wrongBytesGetNoName(file: String) throws {
    let hub = try HubStandIn("--wrong", file)
    defer { hub.stop() }
    try Self.fill(hub)
    try withTemporaryFolder { folder in
      let outcome = try download(hub, "hf:org/model", into: folder)
      #expect(outcome.status == 65 && outcome.errors.contains("model/\(file): what arrived"), "\(outcome.errors)")
      #expect(try !names(folder + "/out/model").contains(file))
    }
  }

  /// The stand-in answers as the hub does: the hub's own client gets the same bytes from it.
  @Test(.needs(.currentTorch)) func theHubsOwnClientAgrees() throws {
    let hub = try HubStandIn("--page", "2", "--gated", "org/model")
    defer { hub.stop() }
    try Self.fill(hub)
    try withTemporaryFolder { folder in
      let script = """
        import os, sys
        os.environ.update(HF_ENDPOINT=sys.argv[1], HF_HOME=sys.argv[2] + "/home", HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_TELEMETRY="1")
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError
        for arguments, error in [(("org/none",), RepositoryNotFoundError), (("org/model", "v9"), RevisionNotFoundError)]:
            try: snapshot_download(arguments[0], revision=(arguments + (None,))[1])
            except error: pass
        try: snapshot_download("org/model", token=False)
        except GatedRepoError: pass
        snapshot_download("org/model", token="hf_good", local_dir=sys.argv[2] + "/theirs", allow_patterns=["*.json", "*.md", "*.txt", "model.safetensors"])
        """
      try python(script, hub.endpoint, folder, with: .currentTorch, isFresh: true)
      #expect(try download(hub, "hf:org/model", into: folder, token: "hf_good").status == 0)
      for file in ["README.md", "config.json", "model.safetensors", "old.txt"] {
        #expect(same(hub, "org/model/main/\(file)", folder + "/theirs/\(file)") && same(hub, "org/model/main/\(file)", folder + "/out/model/\(file)"))
      }
    }
  }

  /// Names, and what they mean.
  @Test(arguments: [
    ("hf:org/model", "org/model", "main"), ("hf:org/model@v1.0", "org/model", "v1.0"), ("hf:gpt2", "gpt2", "main"), ("hf:a/b@refs/pr/1", "a/b", "refs/pr/1"),
  ]) func namesAreRead(text: String, repository: String, revision: String) throws {
    let name = try #require(try HubName(text))
    #expect(name.repository == repository && name.revision == revision)
  }

  @Test(arguments: ["hf:", "hf:/x", "hf:a/b/c", "hf:a/..", "hf:a/b@", "hf:a/b@../..", "hf:a/b@x y", "hf:a/b%2f", "hf:a/-b", "hf:a?/b", "hf:a/b@x?y"])
  func otherNamesAreRefused(text: String) { #expect(throws: HubError.self) { try HubName(text) } }

  /// What is fetched where nobody says: the files of a repository, and which of them.
  @Test(arguments: [
    (["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json", "consolidated.safetensors", "pytorch_model.bin", "config.json", "a.png"],
     ["config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"]),
    (["pytorch_model.bin", "pytorch_model.bin.index.json", "LICENSE", "onnx/model.onnx"], ["LICENSE", "pytorch_model.bin", "pytorch_model.bin.index.json"]),
    (["m-Q4_K_M-00001-of-00002.gguf", "m-Q4_K_M-00002-of-00002.gguf", "README.md"], ["README.md", "m-Q4_K_M-00001-of-00002.gguf", "m-Q4_K_M-00002-of-00002.gguf"]),
    (["consolidated.00.pth", "consolidated.01.pth", "params.json", "tokenizer.model", "checklist.chk"], ["checklist.chk", "consolidated.00.pth", "consolidated.01.pth", "params.json", "tokenizer.model"]),
    (["m.Q4_0.gguf", "m.Q8_0.gguf"], []), (["README.md"], []),
  ]) func whatRunsTheModelIsChosen(all: [String], chosen: [String]) throws {
    let name = try #require(try HubName("hf:a/b"))
    let repository = HubRepository(
      name: name, commit: String(repeating: "0", count: 40), files: all.map { .init(path: $0, bytes: 1, digest: .blob(GitBlobID(of: []))) })
    if chosen.isEmpty { #expect(throws: HubError.self) { try HubSelection().files(of: repository) } } else {
      #expect(try HubSelection().files(of: repository).map(\.path) == chosen)
    }
  }
}

extension Data {
  /// Behind its own length as safetensors has it.
  fileprivate func prefixed(_ count: Int) -> Data { Swift.withUnsafeBytes(of: UInt64(count).littleEndian) { Data($0) } + self }
  fileprivate func withFirst(_ byte: UInt8) -> Data { Data([byte]) + dropFirst() }
}
