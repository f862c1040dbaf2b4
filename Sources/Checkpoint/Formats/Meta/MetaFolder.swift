import SystemPackage

/// A folder as Meta ships it: `params.json` and a file for each rank, whose tensors have Meta's names.
enum MetaFolder {
  /// - Parameters:
  ///   - shards: the files of each rank; one each, but for safetensors with an index.
  ///   - read: reads one of them, which is file `index` of the checkpoint.
  static func open(
    _ folder: CheckpointFolder, _ shards: [[FilePath]], format: Checkpoint.Format,
    reading read: (_ file: any ByteSource, _ index: Int) throws(CheckpointError) -> StoredTensors
  ) throws(CheckpointError) -> Checkpoint {
    let params = folder.path.appending("params.json")
    let stated = try MetaParams.stated(in: folder.open(params))
    var files: [any ByteSource] = []
    var ranks: [[TensorName: StoredTensor]] = []
    for paths in shards {
      var tensors: [TensorName: StoredTensor] = [:]
      for path in paths {
        let file = try folder.open(path)
        let stored = try read(file, files.count)
        try stored.add(to: &tensors, in: path) { TensorName($0) }
        files.append(file)
      }
      ranks.append(tensors)
    }
    // Tied embeddings: the output is the embedding's storage under a second name.
    let (embedding, output) = (TensorName(.tokEmbeddings), TensorName(.output))
    if ranks.allSatisfy({ $0[output] != nil && $0[output] == $0[embedding] }) {
      for rank in ranks.indices { ranks[rank][output] = nil }
    }
    var companions = try folder.companions()
    companions.params = params
    return try Assembly(
      format: format, path: folder.path, shards: ranks, files: files, stated: stated, companions: companions
    ).checkpoint()
  }
}
