import Catalog
import Foundation
import TestSupport
import SystemPackage
import Testing

@Suite struct CatalogTests {
  let catalog: Catalog

  init() throws { catalog = try Catalog.builtIn() }

  @Test func everyManifestInTheFolderIsBuiltIn() throws {
    let names = try FileManager.default.contentsOfDirectory(atPath: Peer.packageRoot + "/Manifests/releases")
    #expect(names.count == catalog.releases.count)
    for release in catalog.releases {
      #expect(names.contains(release.id.lowercased().replacingOccurrences(of: ".", with: "_") + ".json"), "\(release.id)")
    }
  }

  /// What Meta's download scripts for each family take, and where they put it.
  @Test(arguments: [
    ("7B", "llama-2-7b", 1), ("13B-chat", "llama-2-13b-chat", 2), ("70b-CHAT", "llama-2-70b-chat", 8), ("Llama-2-70b", "llama-2-70b", 8),
    ("llama-7b", "7B", 1), ("30B", "30B", 4), ("65B", "65B", 8), ("llama-13b", "13B", 2),
    ("7b-Python", "CodeLlama-7b-Python", 1), ("codellama-34b-instruct", "CodeLlama-34b-Instruct", 4), ("CodeLlama-70b", "CodeLlama-70b", 8),
    ("8B", "Meta-Llama-3-8B", 1), ("70B-instruct", "Meta-Llama-3-70B-Instruct", 8),
    ("Llama3.1-405B-Instruct:bf16-mp16", "Llama-3.1-405B-Instruct-MP16", 16), ("llama-guard", "llama-guard", 1),
  ])
  func namesLeadToFolders(name: String, folder: String, shards: Int) throws {
    let release = try catalog.release(named: name).release
    #expect(release.folder == folder)
    #expect(release.modelParallel == shards)
    let weights = (0..<shards).map { "\(folder)/consolidated.\($0 < 10 ? "0" : "")\($0).pth" }
    #expect(release.files.map(\.path).filter { $0.hasSuffix(".pth") } == weights)
    #expect(release.files.contains { $0.path == "\(folder)/checklist.chk" })
    #expect(release.files.contains { $0.path == "\(folder)/params.json" })
  }

  @Test func aSharedNameTellsWhatElseItCouldMean() throws {
    let match = try catalog.release(named: "7b")
    #expect(match.release.id == "llama-2-7b")
    #expect(Set(match.alternatives.map(\.id)) == ["llama-7b", "CodeLlama-7b"])
    #expect(try catalog.release(named: "llama-2-7b").alternatives.isEmpty)
  }

  /// A row of Meta's own table.
  private struct Row: Decodable {
    let folder: String
    let files: [String]
    let pth: Int
    /// dim, layers, heads, KV heads, width of the feed-forward layer, vocabulary, RoPE's theta; nil where the table says nothing.
    let shape: [Int]?
    let names: [String]
  }

  /// Meta's own table, as PyPI's `llama-models` carries it: every release in it is here, with its files, its shards and its shapes.
  @Test(.needs(.llama3Tokenizer)) func nothingOfMetasOwnTableIsMissing() throws {
    let package = URL(filePath: Peer.llama3Tokenizer.path).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let table = try python(
      """
      import sys, json, types
      # Of pydantic only a base class and a default are used.
      class Base:
          def __init__(self, **values): self.__dict__.update(values)
      sys.modules["pydantic"] = types.SimpleNamespace(BaseModel=Base, ConfigDict=dict, Field=lambda default_factory=None: None)
      sys.path.insert(0, sys.argv[1])
      from llama_models.sku_list import all_registered_models, llama_meta_net_info
      from llama_models.cli.safety_models import prompt_guard_download_info_map
      out = []
      for model in all_registered_models():
          info, a = llama_meta_net_info(model), model.arch_args
          shape = None
          if a:
              hidden = a.get("hidden_dim")
              if hidden is None:
                  # FeedForward in llama3/model.py
                  hidden, multiple = int(a["ffn_dim_multiplier"] * int(2 * 4 * a["dim"] / 3)), a["multiple_of"]
                  hidden = multiple * ((hidden + multiple - 1) // multiple)
              shape = [a["dim"], a["n_layers"], a["n_heads"], a["n_kv_heads"], hidden, a["vocab_size"], int(a.get("rope_theta", a.get("rope_freq_base")))]
          out.append(dict(folder=info.folder, files=sorted(info.files), pth=model.pth_file_count, shape=shape, names=[model.descriptor(), model.huggingface_repo]))
      for id, info in prompt_guard_download_info_map().items():
          out.append(dict(folder=info.folder, files=sorted(info.files), pth=1, shape=None, names=[id]))
      print(json.dumps(out))
      """, package.path(percentEncoded: false), with: .currentTorch)
    let rows = try JSONDecoder().decode([Row].self, from: Data(table.utf8))
    #expect(rows.count >= 44)
    for row in rows {
      // Meta's script calls Llama 3's folders so, and the table as Hugging Face's.
      let folders = [row.folder, "Meta-" + row.folder]
      guard let release = catalog.releases.first(where: { folders.contains($0.folder) }) else {
        Issue.record("\(row.folder) is missing")
        continue
      }
      for name in row.names where !name.hasPrefix("meta-llama/Llama-3.1-405B") && !name.hasPrefix("meta-llama/Llama-3-") {
        #expect(try catalog.release(named: name).release.id == release.id, "\(name)")
      }
      #expect(!release.hosts.isEmpty && release.documents.license != nil && release.documents.modelCard != nil && release.documents.usePolicy != nil, "\(release.id)")
      let names = release.files.filter { !$0.isOptional && $0.path != "tokenizer_checklist.chk" }.compactMap { $0.path.split(separator: "/").last.map(String.init) }
      // The table has one shard for 13B, the script two, and the bucket agrees with the script.
      if !release.id.hasPrefix("llama-2-13b") {
        #expect(names.sorted() == row.files, "\(release.id)")
        #expect(release.modelParallel == row.pth, "\(release.id)")
      }
      guard let shape = row.shape, let own = release.shape else {
        #expect(row.shape == nil, "\(release.id)")
        continue
      }
      var ours = [own.dim, own.layers, own.heads, own.kvHeads, own.hiddenDim, own.vocabularySize, Int(own.ropeTheta ?? 0)]
      var theirs = shape
      // The rows of Llama 2 have Llama 3's key and value heads, feed-forward width and theta; params.json of these releases has others.
      if release.family == "Llama 2" { for at in [3, 4, 6] { (ours[at], theirs[at]) = (0, 0) } }
      // Copies of key and value heads count at MP 16.
      if release.modelParallel == 16 { theirs[3] = own.kvHeads }
      // Guard 2 is Llama 3 8B; the row has Llama 2's vocabulary, and a multiple that gives another width.
      if release.id == "llama-guard-2" { for at in [4, 5] { (ours[at], theirs[at]) = (0, 0) } }
      #expect(ours == theirs, "\(release.id)")
    }
  }

  @Test func everyReleaseKnowsItsHost() {
    for release in catalog.releases {
      #expect(!release.hosts.isEmpty && release.documents.license != nil, "\(release.id)")
      for host in release.hosts { #expect(throws: Never.self) { try catalog.checkLink(to: host, opens: [release]) } }
      // Mirrors and servers of one's own open what they have.
      for host in ["127.0.0.1", "mirror.example.org"] { #expect(throws: Never.self) { try catalog.checkLink(to: host, opens: [release]) } }
    }
  }

  @Test func aNearMissIsSuggested() {
    #expect(throws: CatalogError.self) { try catalog.release(named: "llama-2-7b-caht") }
    do { _ = try catalog.release(named: "llama-2-7b-caht") } catch { #expect(error.description.contains("llama-2-7b-chat")) }
    do { _ = try catalog.release(named: "zzz") } catch { #expect(error.description.contains("drover catalog")) }
  }

  @Test func listsAreSplitAndCountEachReleaseOnce() throws {
    #expect(try catalog.matches("7B, 70B-chat,llama-2-7b").map(\.release.id) == ["llama-2-7b", "llama-2-70b-chat"])
  }

  @Test(arguments: [
    (#"{"id":"x","files":[{"path":"../x"}]}"#, "leads out"),
    (#"{"id":"x","files":[{"path":"/etc/passwd"}]}"#, "absolute"),
    (#"{"id":"x","files":[{"path":"a","remote":"../../b"}]}"#, "leads out"),
    (#"{"id":"x","files":[{"path":"a//b"}]}"#, "empty part"),
    (#"{"id":"x","files":[{"path":"a\\b"}]}"#, "backslash"),
    (#"{"id":"x","files":[{"path":"a"},{"path":"A"}]}"#, "two files"),
    (#"{"id":"x","files":[]}"#, "no files"), (#"{"id":"x"}"#, "\"files\" is missing in it"), (#"{"id":"https://x","files":[{"path":"a"}]}"#, "a path or a link"),
    (#"{"id":"x","files":[{"path":"a"},{"path":"a.part.journal"}]}"#, "uses itself"), (#"{"id":"x","files":[{"path":"m/drover-receipt.json"}]}"#, "uses itself"),
    (#"{"id":"x","files":[{"path":"a"}],"tokenizer":"b"}"#, "isn't among"),
    (#"{"id":"x","files":[{"path":"a"}],"modelParallel":0}"#, "modelParallel"),
    (#"[{"id":"x","files":[{"path":"a"}]},{"id":"y","aliases":["X"],"files":[{"path":"a"}]}]"#, "both"),
    (#"{"files":[]}"#, "\"id\" is missing"), (#"{"id":1,"files":[]}"#, "wrong kind"), ("nonsense", "JSON"), ("", "JSON"),
  ])
  func hostileManifestsAreRefused(text: String, reason: String) throws {
    try withTemporaryFolder { folder in
      let path = folder + "/manifest.json"
      try text.write(toFile: path, atomically: true, encoding: .utf8)
      do {
        _ = try Catalog(manifest: FilePath(path))
        Issue.record("accepted")
      } catch { #expect("\(error)".contains(reason), "\(error)") }
    }
  }

  /// Every manifest, with bytes changed in all sorts of ways: read or refused, never a crash, and never a path that leads out.
  @Test func mutatedManifestsNeverLeadOut() throws {
    try withTemporaryFolder { folder in
      let original = try Data(contentsOf: URL(filePath: Peer.packageRoot + "/Manifests/releases/llama-2-7b-chat.json"))
      var random = Splitmix(seed: 7)
      var accepted = 0
      for _ in 0..<500 {
        let path = folder + "/m.json"
        try Data(mutated([UInt8](original), &random)).write(to: URL(filePath: path))
        guard let catalog = try? Catalog(manifest: FilePath(path)) else { continue }
        accepted += 1
        for file in catalog.releases.flatMap(\.files) {
          #expect(!file.path.hasPrefix("/") && !file.path.split(separator: "/").contains("..") && !file.remote.hasPrefix("/"))
        }
      }
      #expect(accepted > 0)
    }
  }

  @Test func commandListsAsJSON() throws {
    let all = try drover("catalog", "--json")
    let document = try JSONSerialization.jsonObject(with: Data(all.output.utf8)) as? [[String: Any]]
    #expect(document?.count == catalog.releases.count)
    for key in ["id", "aliases", "family", "parameters", "modelParallel", "files", "tokenizer", "chatFormat", "license", "hosts", "documents"] {
      #expect(document?.allSatisfy { $0[key] != nil } == true, "\(key)")
    }
    #expect(try drover("catalog", "nosuch").status == 64)
    #expect(try drover("catalog", "--manifest", "/nonexistent").status == 66)
    #expect(try drover("catalog", "7B").output.contains("llama-2-7b/consolidated.00.pth"))
  }

  /// A copy of the program alone knows the releases: nothing is looked up beside it.
  @Test func theProgramCarriesTheCatalog() throws {
    try withTemporaryFolder { folder in
      try FileManager.default.copyItem(atPath: droverPath, toPath: folder + "/d")
      let outcome = try run(folder + "/d", ["catalog", "70B"], in: folder)
      #expect(outcome.status == 0)
      #expect(outcome.output.contains("consolidated.07.pth"))
    }
  }

  /// Of those that aren't Llama text models, the numbers of weights are those that transformers has room for.
  @Test(.needs(.currentTorch)) func parametersOfOtherArchitectures() throws {
    let printed = try python(
      """
      import json, torch
      from transformers import (Llama4Config, Llama4ForConditionalGeneration, Llama4TextConfig, Llama4VisionConfig, MllamaConfig, MllamaForConditionalGeneration)
      from transformers.models.mllama.configuration_mllama import MllamaTextConfig
      def count(kind, config):
          with torch.device("meta"): return sum(p.numel() for p in kind(config).parameters())
      vision = Llama4VisionConfig(hidden_size=1408, num_hidden_layers=34, num_attention_heads=16, intermediate_size=5632, image_size=336, patch_size=14, vision_output_dim=4096,
                                  projector_input_dim=4096, projector_output_dim=4096)
      def llama4(**text): return count(Llama4ForConditionalGeneration, Llama4Config(text_config=Llama4TextConfig(**text), vision_config=vision))
      large = MllamaTextConfig(hidden_size=8192, num_hidden_layers=100, num_attention_heads=64, intermediate_size=28672, cross_attention_layers=list(range(3, 100, 5)))
      print(json.dumps({"Scout": llama4(), "Maverick": llama4(num_local_experts=128, interleave_moe_layer_step=2), "Guard-4": llama4(moe_layers=[], intermediate_size_mlp=8192),
                        "11B-Vision": count(MllamaForConditionalGeneration, MllamaConfig()), "90B-Vision": count(MllamaForConditionalGeneration, MllamaConfig(text_config=large))}))
      """, with: .currentTorch)
    for (words, count) in try JSONDecoder().decode([String: Int].self, from: Data(printed.utf8)) {
      let releases = catalog.releases.filter { $0.id.contains(words) }
      #expect(!releases.isEmpty)
      for release in releases { #expect(release.parameters == count, "\(release.id)") }
    }
  }
}
