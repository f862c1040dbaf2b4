import SystemPackage

/// A folder as Meta ships it: `params.json` and a file for each rank, whose tensors have Meta's names.
enum MetaFolder {
  static func openPth(_ folder: FilePath, _ paths: [FilePath]) throws(CheckpointError) -> Checkpoint {
    try open(folder, paths, format: .pth) { (file, index) throws(CheckpointError) in try PthReader.read(file, index: index) }
  }

  private static func open(
    _ folder: FilePath, _ paths: [FilePath], format: Checkpoint.Format,
    read: (MappedFile, Int) throws(CheckpointError) -> [String: StoredTensor]
  ) throws(CheckpointError) -> Checkpoint {
    let stated = try MetaParams.read(folder.appending("params.json"))
    var files: [MappedFile] = []
    var shards: [[TensorName: StoredTensor]] = []
    for (rank, path) in paths.enumerated() {
      let file = try MappedFile.open(path)
      files.append(file)
      shards.append(try named(try read(file, rank), file.path))
    }
    return try Assembly(
      format: format, path: folder, shards: shards, files: files, stated: stated, companions: try Companions(besides: folder)
    ).checkpoint()
  }

  private static func named(_ tensors: [String: StoredTensor], _ path: FilePath) throws(CheckpointError) -> [TensorName: StoredTensor] {
    var named: [TensorName: StoredTensor] = [:]
    named.reserveCapacity(tensors.count)
    for (text, tensor) in tensors {
      guard let name = TensorName(text) else {
        throw CheckpointError(.unsupported, in: path, "has the tensor \(text), which isn't one of a Llama text model")
      }
      named[name] = tensor
    }
    return named
  }
}
