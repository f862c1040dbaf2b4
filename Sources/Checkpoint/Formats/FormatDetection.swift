import SystemPackage

/// Which format a folder or a file is of, and who reads it. The readers don't know each other.
extension Checkpoint {
  /// Opens the checkpoint at `path`, in whatever format it is.
  ///
  /// The files' directories are checked completely; of the weights a row or two of each shard are read, to tell heads from their copies and ranks from each other.
  ///
  /// - Parameter path: a folder with `params.json` and `consolidated.NN.pth` or safetensors files, a Hugging Face folder, a GGUF file, or one
  ///   of the files in such a folder.
  public static func open(at path: FilePath, _ options: OpenOptions = OpenOptions()) throws(CheckpointError) -> Checkpoint {
    if let folder = try CheckpointFolder(path) { return try open(folder, options) }
    let file = try LocalFile(path)
    let format = try Format.ofFile(file)
    guard format != .gguf else { return try GGUFReader.open(file, options) }
    guard let folder = try CheckpointFolder(path.folder) else { throw CheckpointError(.missing, in: path, "isn't in a folder") }
    // A shard stands for the row that it is of.
    for (suffix, format) in [("pth", Format.pth), ("safetensors", .safetensors)] {
      if let shards = try folder.shards(suffix), shards.contains(where: { $0.lastComponent == path.lastComponent }) {
        return try meta(folder, shards.map { [$0] }, format, options)
      }
    }
    if let paths = try indexed(folder), paths.contains(where: { $0.lastComponent == path.lastComponent }) {
      return try unsharded(folder, paths, options)
    }
    // Any other is what it is by itself.
    switch try LoneFile(file).format {
    case .hf: return try HuggingFaceReader.open(folder, [path], options)
    case let format: return try meta(folder, [[path]], format, options)
    }
  }

  /// Whether a file of this name may hold weights.
  public static func hasWeights(_ path: FilePath) -> Bool { ["pth", "safetensors", "gguf"].contains(path.extension) }

  static func open(_ folder: CheckpointFolder, _ options: OpenOptions) throws(CheckpointError) -> Checkpoint {
    if let shards = try folder.shards("pth") { return try meta(folder, shards.map { [$0] }, .pth, options) }
    if let shards = try folder.shards("safetensors") { return try meta(folder, shards.map { [$0] }, .safetensors, options) }
    // Mistral's.
    let whole = "consolidated.safetensors"
    if folder.has("params.json"), folder.has(whole) { return try meta(folder, [[folder.path.appending(whole)]], .safetensors, options) }
    if let paths = try safetensors(folder) { return try unsharded(folder, paths, options) }
    if let gguf = try folder.only("gguf") { return try GGUFReader.open(folder.open(gguf), options) }
    if folder.names.contains(where: { $0.string.hasPrefix("pytorch_model") && $0.extension == "bin" }) {
      throw CheckpointError(.unsupported, in: folder.path, "has its weights in pytorch_model.bin; save them as safetensors with transformers first")
    }
    let others = folder.names.filter { ["pt", "pth", "bin", "ckpt"].contains($0.extension) }.prefix(3).map(\.string)
    throw CheckpointError(
      .missing, in: folder.path,
      "holds no checkpoint: none of consolidated.00.pth, consolidated.00.safetensors, model.safetensors with config.json, or a .gguf file"
        + (others.isEmpty ? "" : "; name the file that is meant, if it is \(others.joined(separator: " or "))"))
  }

  /// A folder with Meta's `params.json`.
  static func meta(_ folder: CheckpointFolder, _ shards: [[FilePath]], _ format: Format, _ options: OpenOptions) throws(CheckpointError) -> Checkpoint {
    try MetaFolder.open(folder, shards, format: format, options, reading: format == .pth ? PthReader.read : SafetensorsReader.read)
  }

  /// Safetensors files that together are one checkpoint without ranks, Hugging Face's or with Meta's names.
  private static func unsharded(_ folder: CheckpointFolder, _ paths: [FilePath], _ options: OpenOptions) throws(CheckpointError) -> Checkpoint {
    folder.has("config.json") ? try HuggingFaceReader.open(folder, paths, options) : try meta(folder, [paths], .safetensors, options)
  }

  /// The files that an index names; nil where there is none.
  private static func indexed(_ folder: CheckpointFolder) throws(CheckpointError) -> [FilePath]? {
    try folder.only("safetensors.index.json").map { index throws(CheckpointError) in try SafetensorsIndex.files(folder.open(index)) }
  }

  /// The safetensors files of one unsplit checkpoint: those that the index names, or the only one.
  private static func safetensors(_ folder: CheckpointFolder) throws(CheckpointError) -> [FilePath]? {
    let whole = "model.safetensors"
    guard let files = try indexed(folder) else {
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
    case .pth, .safetensors: "params.json"
    case .hf: "config.json"
    case .gguf: "its metadata"
    }
  }

  /// What a file of weights is, by its first bytes; `.safetensors` for one of a Hugging Face folder too.
  static func ofFile(_ file: any ByteSource) throws(CheckpointError) -> Self {
    let head = try file.bytes(0..<min(file.count, 16))
    if head.starts(with: "GGUF".utf8) { return .gguf }
    // A zip, or torch's format from before it, which the reader of zips knows to name.
    if head.starts(with: "PK".utf8) || head.first == 0x80 { return .pth }
    if head.count > 8, head[8] == UInt8(ascii: "{") { return .safetensors }
    try file.refuseStandIn()
    throw CheckpointError(.corrupt, in: file.path, byte: 0, "is neither a .pth, nor a safetensors file, nor a GGUF")
  }
}
