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

  private func release(_ names: [String], kvHeads: Int?) throws -> Release {
    let files = names.map { #"{"path": "m/\#($0)"}"# }.joined(separator: ",")
    let shape = kvHeads.map { #","shape": {"dim": 1, "layers": 1, "heads": 1, "kvHeads": \#($0), "hiddenDim": 1, "vocabularySize": 1}"# } ?? ""
    return try JSONDecoder().decode(Release.self, from: Data(#"{"id": "tiny", "files": [\#(files)]\#(shape)}"#.utf8))
  }

  /// - Parameters:
  ///   - slices: bytes given at a time, in turn.
  ///   - interruptions: how often another follower goes on from what the last one kept.
  private func follow(_ folder: String, slices: [Int], interruptions: Int = 0, kvHeads: Int? = 4, directoryComesAt: Int = 0) throws
    -> (digests: [String: String], missing: Set<String>)
  {
    let names = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasPrefix("consolidated") }.sorted()
    let release = try release(names, kvHeads: kvHeads)
    let releaseFollower = ReleaseFollower(release)
    for name in names {
      let content = try [UInt8](Data(contentsOf: URL(filePath: folder + "/" + name)))
      let file = Arriving(content, directoryComesAt: directoryComesAt)
      var follower = try #require(releaseFollower.followers["m/" + name])
      let last = follower
      if interruptions > 0 { follower = try #require(ReleaseFollower(release).followers["m/" + name]) }
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
        follower = position == stops.last ? last : try #require(ReleaseFollower(release).followers["m/" + name])
        #expect(follower.resume(from: state, at: position, of: file))
      }
    }
    let checkpoint = try Checkpoint.open(at: FilePath(folder))
    let (digests, missing) = try releaseFollower.join(checkpoint, paths: checkpoint.files.map { $0.path.lastComponent.map { "m/" + $0.string } })
    return (digests.mapValues(\.hex), Set(missing.map(\.name.text)))
  }

  @Test(arguments: ["mp1", "mp2", "mp4", "mp8", "safetensors"]) func everyLayoutHasTheReferencesFingerprint(layout: String) throws {
    try withTemporaryFolder { folder in
      let expected = try #require(try ReferenceModel.write(to: folder, scale: 12)["keep"])
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
  @Test func damagedStatesAreRefused() throws {
    try withTemporaryFolder { folder in
      _ = try ReferenceModel.write(to: folder)
      let content = try [UInt8](Data(contentsOf: URL(filePath: folder + "/mp2/consolidated.01.pth")))
      let file = Arriving(content)
      let release = try release(["consolidated.00.pth", "consolidated.01.pth"], kvHeads: 4)
      func follower() throws -> any ContentFollower { try #require(ReleaseFollower(release).followers["m/consolidated.01.pth"]) }
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
