import Arrival
import Catalog
import Checkpoint
import Foundation
import Integrity
import Synchronization
import SystemPackage
import TestSupport
import Testing
import Transfer

/// The fingerprint that is made while shards arrive, held against Python's of the whole model.
@Suite(.needs(.python)) struct FollowerTests {
  /// A file that arrives: its end is here from the start, or from a certain byte on, or never.
  private final class Arriving: FollowedFile {
    let content: [UInt8]
    let directoryComesAt: Int
    private let arrived = Mutex(0)

    init(_ content: [UInt8], directoryComesAt: Int = 0) { (self.content, self.directoryComesAt) = (content, directoryComesAt) }

    var length: Int? { content.count }

    func bytes(in range: Range<Int>) -> [UInt8]? {
      let here = arrived.withLock { $0 }
      guard range.upperBound <= here || here >= directoryComesAt && range.lowerBound >= content.count - (1 << 20) else { return nil }
      return Array(content[range])
    }

    /// Gives the follower the bytes of `range`.
    func deliver(_ range: Range<Int>, to follower: any ContentFollower) {
      content.withUnsafeBytes { follower.take(UnsafeRawBufferPointer(rebasing: $0[range]), at: range.lowerBound) }
      arrived.withLock { $0 = range.upperBound }
    }
  }

  /// Follows a model's files, of which what describes it comes first, or last, or never.
  private struct Following {
    let files: [String: String]
    let folder: String
    let kvHeads: Int?

    init(_ folder: String, kvHeads: Int? = 4) throws {
      self.folder = folder
      self.kvHeads = kvHeads
      let names = try FileManager.default.contentsOfDirectory(atPath: folder).filter { Checkpoint.hasWeights(FilePath($0)) || $0 == "config.json" }
      files = Dictionary(uniqueKeysWithValues: names.map { ($0, "m/" + $0) })
    }

    var weights: [String] { files.keys.filter { $0 != "config.json" }.sorted() }

    func content(_ name: String) throws -> [UInt8] { try [UInt8](Data(contentsOf: URL(filePath: folder + "/" + name))) }

    /// What follows the files in one run.
    func begin(isDescribed: Bool = true) throws -> ReleaseFollower {
      let release = ReleaseFollower(files, keyValueHeads: kvHeads)
      if isDescribed { try describe(release) }
      return release
    }

    func describe(_ release: ReleaseFollower) throws {
      guard files["config.json"] != nil else { return }
      let follower = try #require(release.followers["m/config.json"])
      let file = try Arriving(content("config.json"))
      follower.begin(file)
      file.deliver(0..<file.content.count, to: follower)
    }

    func join(_ release: ReleaseFollower) throws -> (digests: [String: String], missing: Set<String>) {
      let checkpoint = try Checkpoint.open(at: FilePath(folder))
      let (digests, missing) = try release.join(checkpoint, paths: checkpoint.files.map { $0.path.lastComponent.map { "m/" + $0.string } })
      return (digests.mapValues(\.hex), Set(missing.map(\.name.text)))
    }
  }

  /// - Parameters:
  ///   - slices: bytes given at a time, in turn.
  ///   - interruptions: how often another follower goes on from what the last one kept.
  private func follow(_ folder: String, slices: [Int], interruptions: Int = 0, kvHeads: Int? = 4, directoryComesAt: Int = 0) throws
    -> (digests: [String: String], missing: Set<String>)
  {
    let following = try Following(folder, kvHeads: kvHeads)
    let release = try following.begin()
    for name in following.weights {
      let content = try following.content(name)
      let file = Arriving(content, directoryComesAt: directoryComesAt)
      let last = try #require(release.followers["m/" + name])
      var follower = interruptions > 0 ? try #require(following.begin().followers["m/" + name]) : last
      follower.begin(file)
      let stops = (0..<interruptions).map { (1 + 2 * $0) * content.count / (2 * interruptions) }
      var (position, turn) = (0, 0)
      while position < content.count {
        let stop = stops.first { $0 > position } ?? content.count
        let end = min(position + slices[turn % slices.count], stop)
        file.deliver(position..<end, to: follower)
        (position, turn) = (end, turn + 1)
        guard stops.contains(position) else { continue }
        let state = follower.savedState()
        // What goes on needs no description: its journal says all.
        follower = position == stops.last ? last : try #require(following.begin(isDescribed: false).followers["m/" + name])
        #expect(follower.resume(from: state, at: position, of: file))
      }
    }
    return try following.join(release)
  }

  @Test(arguments: ["mp1", "mp2", "mp4", "mp8", "safetensors", "hf", "hf-parts", "gguf"]) func everyLayoutHasTheReferencesFingerprint(layout: String) throws {
    try withTemporaryFolder { folder in
      let expected = try #require(try ReferenceModel.write(to: folder, scale: 12)["keep"])
      try ReferenceModel.arrange(folder, parts: 3)
      for (slices, interruptions) in [([256 << 10], 0), ([1, 4095, 70_001], 3), ([1 << 20], 7)] {
        let (digests, missing) = try follow(folder + "/" + layout, slices: slices, interruptions: interruptions)
        #expect(missing.isEmpty)
        #expect(digests == expected.tensors.filter { digests[$0.key] != nil } && digests.count == expected.tensors.count, "\(slices)")
      }
    }
  }

  /// What only another shard could tell and what lies apart is left to be read; a directory may come late.
  @Test func whatCannotBeFollowedIsLeft() throws {
    try withTemporaryFolder { folder in
      let expected = try #require(try ReferenceModel.write(to: folder, scale: 12)["keep"])
      let matrices = Set(expected.tensors.keys.filter { !$0.contains("norm") })
      #expect(try follow(folder + "/strided", slices: [4096]).missing == matrices)
      // Heads that lie on two ranks each, where nothing says so.
      let heads = Set(expected.tensors.keys.filter { $0.contains(".wk.") || $0.contains(".wv.") })
      #expect(try follow(folder + "/mp8", slices: [4096], kvHeads: nil).missing == heads)
      #expect(try follow(folder + "/mp2", slices: [65_000], directoryComesAt: 3_000_000).missing.isEmpty)
    }
  }

  /// Heads of Hugging Face's files can't be put into order before it is known how wide they are: that is waited for; where it is never said, all else is followed.
  @Test func whatDescribesTheModelMayComeLast() throws {
    try withTemporaryFolder { folder in
      let expected = try #require(try ReferenceModel.write(to: folder, tied: "tied")["keep"])
      let following = try Following(folder + "/hf")
      for isDescribed in [true, false] {
        let release = try following.begin(isDescribed: false)
        let file = try Arriving(following.content("model.safetensors"))
        let follower = try #require(release.followers["m/model.safetensors"])
        follower.begin(file)
        file.deliver(0..<file.content.count, to: follower)
        if isDescribed { try following.describe(release) }
        let (digests, missing) = try following.join(release)
        #expect(missing.isEmpty == isDescribed)
        if isDescribed { #expect(digests == expected.tensors.filter { $0.key != "output.weight" }) }
      }
      // One that says nothing of heads.
      try #"{"model_type": "llama"}"#.write(toFile: folder + "/hf/other.json", atomically: true, encoding: .utf8)
      let release = try following.begin(isDescribed: false)
      let (description, weights) = try (Arriving(following.content("other.json")), Arriving(following.content("model.safetensors")))
      for (name, file) in [("config.json", description), ("model.safetensors", weights)] {
        let follower = try #require(release.followers["m/" + name])
        follower.begin(file)
        file.deliver(0..<file.content.count, to: follower)
      }
      #expect(try following.join(release).missing == Set(expected.tensors.keys.filter { $0.contains(".wq.") || $0.contains(".wk.") }))
    }
  }

  /// A GGUF's header has the tokenizer in it, and comes in many pieces; its quantized blocks are hashed as they lie, and biases too.
  @Test func aLongHeaderComesInPieces() throws {
    try withTemporaryFolder { folder in
      try python(
        """
        import sys, numpy as np, gguf
        dim, hidden, vocab = 64, 128, 100_000
        w = gguf.GGUFWriter(sys.argv[1], "llama")
        w.add_embedding_length(dim); w.add_block_count(1); w.add_feed_forward_length(hidden); w.add_head_count(4); w.add_head_count_kv(2)
        w.add_layer_norm_rms_eps(1e-5); w.add_vocab_size(vocab); w.add_context_length(64)
        w.add_tokenizer_model("llama"); w.add_token_list([f"token{n}" for n in range(vocab)]); w.add_token_scores([0.0] * vocab)
        rows = {"token_embd": vocab, "output_norm": 0, "output": vocab} | {f"blk.0.{n}": r for n, r in {"attn_norm": 0, "attn_q": dim, "attn_k": dim // 2, "attn_v": dim // 2,
          "attn_output": dim, "ffn_norm": 0, "ffn_gate": hidden, "ffn_up": hidden, "ffn_down": dim}.items()}
        random = np.random.default_rng(1)
        types = [gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.Q4_0, gguf.GGMLQuantizationType.F16]
        for turn, (name, count) in enumerate(rows.items()):
            columns = hidden if "down" in name else dim
            if count == 0: w.add_tensor(name + ".weight", random.standard_normal(columns, dtype=np.float32)); continue
            kind = types[turn % 3] if count < 1000 else types[0]
            w.add_tensor(name + ".weight", gguf.quants.quantize(random.standard_normal((count, columns), dtype=np.float32), kind), raw_dtype=kind)
        for name, count in [("attn_q", dim), ("attn_k", dim // 2)]: w.add_tensor(f"blk.0.{name}.bias", random.standard_normal(count, dtype=np.float32))
        w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()
        """, folder + "/model.gguf")
      let expected = try Checkpoint.open(at: FilePath(folder)).fingerprint().tensors.mapValues(\.hex)
      for (slices, interruptions) in [([256 << 10], 0), ([70_001, 4095, 1 << 20], 5)] {
        let (digests, missing) = try follow(folder, slices: slices, interruptions: interruptions)
        #expect(missing.isEmpty && digests == expected, "\(slices)")
      }
    }
  }

  /// Copies of a tensor in two shards that aren't the same are no checkpoint.
  @Test func copiesAreCompared() throws {
    try withTemporaryFolder { folder in
      _ = try ReferenceModel.write(to: folder)
      try python(
        """
        import sys, torch
        at = sys.argv[1] + "/mp2/consolidated.01.pth"
        shard = torch.load(at)
        shard["layers.1.ffn_norm.weight"][3] += 1
        torch.save(shard, at)
        """, folder)
      let error = #expect(throws: CheckpointError.self) { try self.follow(folder + "/mp2", slices: [9999]) }
      #expect(error?.message.contains("layers.1.ffn_norm.weight") == true)
    }
  }

  /// A journal has room for the state of any shard, wherever it ends.
  @Test func statesAreSmall() throws {
    for release in try Catalog.builtIn().releases {
      guard let shape = release.shape else { continue }
      let ranks = release.modelParallel
      var weights: [(weight: ShardWeight, hash: FollowerState.Hash)] = []
      var offset = 0
      func add(_ role: TensorName.Role, _ layer: Int?, _ rows: Int, _ columns: Int) {
        let cut = role.cut == .both ? .rows : role.cut
        let grid = TensorGrid(dtype: .bf16, shape: rows == 1 ? [columns] : [rows, columns], cut: role.cut)
        let region = GridRegion(
          grid, rows: 0..<(cut == .rows ? rows / ranks : rows), columns: 0..<(cut == .columns ? columns / ranks : columns), stored: .bf16)
        let digests = region.nodes.map { _ in Digest(.sha256, bytes: [UInt8](repeating: 7, count: 32)) }
        weights.append((ShardWeight(name: TensorName(role, layer: layer), region: region, offset: offset), .done(RegionDigests(region: region, digests: digests, leaves: [:]))))
        offset += region.storedBytes
      }
      let keys = shape.dim / shape.heads * max(shape.kvHeads, ranks)
      add(.tokEmbeddings, nil, shape.vocabularySize, shape.dim)
      for layer in 0..<shape.layers {
        add(.wq, layer, shape.dim, shape.dim)
        add(.wk, layer, keys, shape.dim)
        add(.wv, layer, keys, shape.dim)
        add(.wo, layer, shape.dim, shape.dim)
        add(.w1, layer, shape.hiddenDim, shape.dim)
        add(.w2, layer, shape.dim, shape.hiddenDim)
        add(.w3, layer, shape.hiddenDim, shape.dim)
        add(.attentionNorm, layer, 1, shape.dim)
        add(.ffnNorm, layer, 1, shape.dim)
      }
      add(.norm, nil, 1, shape.dim)
      add(.output, nil, shape.vocabularySize, shape.dim)
      let state = FollowerState(weights)
      let encoded = state.encoded
      #expect(encoded.count <= 1_000_000, "\(release.id): \(encoded.count)")
      #expect(FollowerState(decoding: encoded) == state, "\(release.id)")
    }
  }

  /// No bytes bring a follower down.
  @Test(arguments: ["mp2/consolidated.01.pth", "hf/model.safetensors"]) func damagedStatesAreRefused(path: String) throws {
    try withTemporaryFolder { folder in
      _ = try ReferenceModel.write(to: folder)
      let (layout, name) = (path.split(separator: "/")[0], path.split(separator: "/")[1])
      let following = try Following("\(folder)/\(layout)")
      let content = try following.content(String(name))
      let file = Arriving(content)
      func follower() throws -> any ContentFollower { try #require(following.begin().followers["m/\(name)"]) }
      let first = try follower()
      first.begin(file)
      file.deliver(0..<content.count / 2, to: first)
      let state = first.savedState()
      #expect(try follower().resume(from: state, at: content.count / 2, of: file))
      for length in stride(from: 1, to: state.count, by: 7) { #expect(try !follower().resume(from: Array(state[..<length]), at: content.count / 2, of: file)) }
      for index in stride(from: 0, to: state.count, by: 3) {
        var damaged = state
        damaged[index] ^= 0x91
        let other = try follower()
        if other.resume(from: damaged, at: content.count / 2, of: file) { file.deliver(content.count / 2..<content.count, to: other) }
      }
    }
  }
}
