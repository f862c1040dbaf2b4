import SystemPackage

/// Which format a folder or a file is of, and who reads it. The readers don't know each other.
extension Checkpoint {
  /// Opens the checkpoint at `path`, in whatever format it is.
  ///
  /// The files' directories are checked completely; of the weights a row or two of each shard are read, to tell heads from their copies and ranks from each other.
  ///
  /// - Parameter path: a folder with weights and what describes them (`params.json` or `config.json`), a GGUF file or any part of a split one, or one of
  ///   the files in such a folder.
  public static func open(at path: FilePath, _ options: OpenOptions = OpenOptions()) throws(CheckpointError) -> Checkpoint {
    if let folder = try CheckpointFolder(path) { return try open(folder, options) }
    let file = try LocalFile(path)
    guard try WeightsFile.Kind(file) != .gguf else { return try GGUFReader.open(file, options, sibling: file.sibling) }
    guard let folder = try CheckpointFolder(path.folder) else { throw CheckpointError(.missing, in: path, "isn't in a folder") }
    func isOne(of paths: [FilePath]) -> Bool { paths.contains { $0.lastComponent == path.lastComponent } }
    // A shard stands for the row that it is of, and a file for those that belong to it.
    for suffix in ["pth", "safetensors"] {
      if let shards = try folder.shards(suffix), isOne(of: shards) { return try WeightsFolder.open(folder, shards.map { [$0] }, options) }
    }
    for suffix in ["safetensors", "bin"] {
      if let paths = try indexed(folder, suffix), isOne(of: paths) { return try WeightsFolder.open(folder, [paths], options) }
    }
    let counted = try folder.counted(path.lastComponent)
    // Any other is what it is by itself.
    return try WeightsFolder.open(folder, [counted ?? [path]], options)
  }

  /// Opens a checkpoint whose files of weights are about to arrive, and won't be kept.
  /// - Parameters:
  ///   - path: a folder with what describes them.
  ///   - arriving: the files of weights by the names that they would have in it; their headers can be read.
  public static func open(at path: FilePath, arriving: [String: any ByteSource], _ options: OpenOptions = OpenOptions()) throws(CheckpointError) -> Checkpoint {
    try open(CheckpointFolder(path, arriving: arriving), options)
  }

  /// Whether a file of this name may hold weights.
  public static func hasWeights(_ path: FilePath) -> Bool { ["pth", "safetensors", "gguf"].contains(path.extension) }

  static func open(_ folder: CheckpointFolder, _ options: OpenOptions) throws(CheckpointError) -> Checkpoint {
    for suffix in ["pth", "safetensors"] {
      if let shards = try folder.shards(suffix) { return try WeightsFolder.open(folder, shards.map { [$0] }, options) }
    }
    // Mistral's.
    let whole = "consolidated.safetensors"
    if folder.has(DescriptionFile.params.rawValue), folder.has(whole) { return try WeightsFolder.open(folder, [[folder.path.appending(whole)]], options) }
    if let paths = try safetensors(folder) { return try WeightsFolder.open(folder, [paths], options) }
    if let path = try folder.gguf() {
      let file = try folder.open(path)
      return try WeightsFile.Kind(file) == .gguf ? GGUFReader.open(file, options, sibling: folder.file) : WeightsFolder.open(folder, [[path]], options)
    }
    if DCPReader.reads(folder) {
      let (stored, files) = try DCPReader.read(folder)
      return try WeightsFolder.checkpoint(folder, [[stored]], [[folder.path.appending(DCPReader.metadataName)]], files, .dcp, options)
    }
    if let paths = try indexed(folder, "bin") { return try WeightsFolder.open(folder, [paths], options) }
    if let paths = try folder.torchFiles() { return try WeightsFolder.open(folder, [paths], options) }
    throw CheckpointError(
      .missing, in: folder.path,
      "holds no checkpoint: none of consolidated.00.pth, consolidated.00.safetensors, model.safetensors with config.json, a .gguf file, or another file that torch wrote weights into")
  }

  /// The files that an index names; nil where there is none.
  /// - Parameter suffix: of files that it names.
  private static func indexed(_ folder: CheckpointFolder, _ suffix: String) throws(CheckpointError) -> [FilePath]? {
    try folder.only("\(suffix).index.json").map { index throws(CheckpointError) in try WeightIndex.files(folder.open(index)) }
  }

  /// The safetensors files of one unsplit checkpoint: those that the index names, or the only one.
  private static func safetensors(_ folder: CheckpointFolder) throws(CheckpointError) -> [FilePath]? {
    let whole = "model.safetensors"
    guard let files = try indexed(folder, "safetensors") else {
      return folder.has(whole) ? [folder.path.appending(whole)] : try folder.only("safetensors").map { [$0] }
    }
    // transformers would load the one file, and other readers those of the index.
    if folder.has(whole), files.map({ $0.lastComponent?.string }) != [whole] {
      let named = files.compactMap { $0.lastComponent?.string }
      throw CheckpointError(
        .corrupt, in: folder.path, "has an index that names \(named.prefix(3).joined(separator: ", "))\(named.count > 3 ? " and others" : ""), but \(whole) lies beside it; only one of the two "
          + "can be the model: remove the other")
    }
    return files
  }
}

extension Checkpoint.Format {
  /// What messages call that which says of a checkpoint what its shapes don't.
  var describedBy: String {
    switch self {
    case .pth, .safetensors, .dcp: "params.json"
    case .hf: "config.json"
    case .gguf: "its metadata"
    }
  }
}
