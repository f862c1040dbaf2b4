import Catalog
import Checkpoint
import Integrity
import SystemPackage
import Transfer

/// Follows the files of a model's weights while they arrive, and joins what they hash to.
package struct ReleaseFollower: Sendable {
  /// By the files' paths in the download.
  private let shards: [String: ShardFollower]
  /// Of what says how wide heads are, where weights may have Hugging Face's order of rows.
  private let description: DescriptionFollower?
  /// What is known of the model beforehand: a release's manifest says it.
  package let keyValueHeads: Int?

  package init(_ release: Release) {
    self.init(release.checkpointFiles.mapValues(\.path), keyValueHeads: release.shape?.kvHeads)
  }

  /// - Parameters:
  ///   - files: of the checkpoint, by their names in its folder: their paths in the download.
  ///   - keyValueHeads: where they are known beforehand.
  package init(_ files: [String: String], keyValueHeads: Int?) {
    // Without all of its shards a release is no checkpoint.
    let numbered = files.keys.filter { Self.rank(of: $0) != nil }
    let names = Set(numbered.compactMap(Self.rank)) == Set(0..<numbered.count) ? numbered : []
    // A file that isn't numbered holds whole tensors.
    let others = files.keys.filter { Self.rank(of: $0) == nil && Checkpoint.hasWeights(FilePath($0)) }
    let description = files[DescriptionFollower.name].map { DescriptionFollower($0) }
    var shards: [String: ShardFollower] = [:]
    for name in names + others {
      guard let path = files[name] else { continue }
      let (rank, ranks) = (Self.rank(of: name) ?? 0, others.contains(name) ? 1 : names.count)
      shards[path] = ShardFollower(FilePath(path)) { source throws(CheckpointError) in
        try ShardWeight.read(source, rank: rank, ranks: ranks, kvHeads: keyValueHeads) { () throws(CheckpointError) in
          try description?.headDim()
        }
      }
    }
    (self.shards, self.description) = (shards, shards.isEmpty ? nil : description)
    self.keyValueHeads = keyValueHeads
  }

  /// The number in `consolidated.NN.pth`.
  private static func rank(of name: String) -> Int? {
    let pieces = name.split(separator: ".")
    guard pieces.count == 3, pieces[0] == "consolidated", pieces[1].count >= 2, pieces[1].utf8.allSatisfy({ 0x30...0x39 ~= $0 }) else { return nil }
    return Int(pieces[1])
  }

  package var followers: [String: any ContentFollower] {
    var followers: [String: any ContentFollower] = shards
    if let description { followers[description.path] = description }
    return followers
  }

  /// The fingerprints of those tensors of which every part was followed.
  ///
  /// - Parameters:
  ///   - checkpoint: of the files that arrived, opened where they lie now: its tensors say what the shards' directories left open.
  ///   - paths: of its files, by index, as the download calls them; nil for those whose bytes weren't all followed.
  /// - Returns: them, and the tensors that have to be read.
  /// - Throws: `.corrupt` where copies of a tensor in several shards differ.
  package func join(_ checkpoint: Checkpoint, paths: [String?]) throws(CheckpointError) -> (digests: [String: Digest], missing: [LogicalTensor]) {
    let parts = paths.map { path in
      Dictionary((path.flatMap { shards[$0]?.finish() } ?? []).map { ($0.weight.name, $0) }) { first, _ in first }
    }
    var joined: [String: Digest] = [:]
    var missing: [LogicalTensor] = []
    for tensor in checkpoint.tensors where !tensor.name.role.isBuffer {
      try checkpoint.checkFirstRowsDiffer(tensor)
      if let root = try root(of: tensor, parts, checkpoint) { joined[tensor.name.text] = root } else { missing.append(tensor) }
    }
    return (joined, missing)
  }

  private func root(
    of tensor: LogicalTensor, _ shards: [[TensorName: (weight: ShardWeight, digests: RegionDigests)]], _ checkpoint: Checkpoint
  ) throws(CheckpointError) -> Digest? {
    var tree = TensorTree(TensorGrid(dtype: tensor.dtype, shape: tensor.shape, cut: tensor.name.role.cut))
    var seen: [RegionDigests] = []
    for part in tensor.parts {
      guard let followed = shards[part.file][tensor.name], let weight = ShardWeight(part, of: tensor), weight == followed.weight else { return nil }
      if let copy = seen.first(where: { $0.region == weight.region }) {
        guard copy == followed.digests else {
          throw CheckpointError(.corrupt, in: checkpoint.files[part.file].path, byte: part.offset, "has another \(tensor.name) than the shards before it")
        }
      } else {
        seen.append(followed.digests)
        tree.add(followed.digests)
      }
    }
    return tree.root()
  }
}
