import SystemPackage

/// A folder as Meta ships it: `params.json` and a file for each rank, whose tensors have Meta's names.
enum MetaFolder {
  /// - Parameters:
  ///   - shards: the files of each rank; one each, but for safetensors with an index.
  ///   - read: reads one of them, which is file `index` of the checkpoint.
  static func open(
    _ folder: CheckpointFolder, _ shards: [[FilePath]], format: Checkpoint.Format, _ options: Checkpoint.OpenOptions,
    reading read: (_ file: any ByteSource, _ index: Int) throws(CheckpointError) -> StoredTensors
  ) throws(CheckpointError) -> Checkpoint {
    let params = folder.path.appending("params.json")
    let stated = try MetaParams.stated(in: folder.open(params))
    var files: [any ByteSource] = []
    var ranks: [[TensorName: StoredTensor]] = []
    var names: [String] = []
    for paths in shards {
      var tensors: [TensorName: StoredTensor] = [:]
      for path in paths {
        let file = try folder.open(path)
        let stored = try read(file, files.count)
        try stored.add(to: &tensors, in: path) { TensorName($0) }
        files.append(file)
        if let name = stored.writtenAs { names.append(name) }
      }
      ranks.append(tensors)
    }
    try checkNumbers(names, files.map(\.path))
    // Tied embeddings: the output is the embedding's storage under a second name.
    let (embedding, output) = (TensorName(.tokEmbeddings), TensorName(.output))
    if ranks.allSatisfy({ $0[output] != nil && $0[output] == $0[embedding] }) {
      for rank in ranks.indices { ranks[rank][output] = nil }
    }
    var companions = try folder.companions()
    companions.params = params
    return try Assembly(
      format: format, path: folder.path, shards: ranks, files: files, stated: stated, options: options, companions: companions
    ).checkpoint()
  }

  /// Shards that were written as `consolidated.00` and so on, each number once, but whose files have other numbers now, were renamed: each rank would get
  /// another's weights. Of shards that were written under other names nothing can be said.
  private static func checkNumbers(_ names: [String], _ paths: [FilePath]) throws(CheckpointError) {
    func name(_ rank: Int) -> String { "consolidated." + (rank < 10 ? "0\(rank)" : "\(rank)") }
    let expected = paths.indices.map(name)
    guard names.count == paths.count, Set(names) == Set(expected), let rank = names.indices.first(where: { names[$0] != expected[$0] }) else { return }
    throw CheckpointError(.corrupt, in: paths[rank], "was written as \(names[rank]).pth, so it is another rank's shard: give the shards back the names that they were written under")
  }
}
