import SystemPackage

/// Which format a folder or a file is of, and who reads it. The readers don't know each other.
extension Checkpoint {
  /// Opens the checkpoint at `path`, in whatever format it is.
  ///
  /// The files' directories are checked completely; weights are read only to tell heads from their copies.
  ///
  /// - Parameter path: a folder with `params.json` and `consolidated.NN.pth` or safetensors files, a Hugging Face folder, a GGUF file, or one
  ///   of the files in such a folder.
  public static func open(at path: FilePath) throws(CheckpointError) -> Checkpoint {
    if let folder = try CheckpointFolder(path) { return try open(folder) }
    if path.extension == "pth" || path.extension == "safetensors" {
      let parent = path.removingLastComponent()
      if let folder = try CheckpointFolder(parent.isEmpty ? "." : parent) { return try open(folder, preferring: path.lastComponent) }
    }
    return try GGUFReader.open(LocalFile(path))
  }

  /// Whether a file of this name may hold weights.
  public static func hasWeights(_ path: FilePath) -> Bool { ["pth", "safetensors", "gguf"].contains(path.extension) }

  /// - Parameter named: the file that a person named, where the folder holds several formats.
  static func open(_ folder: CheckpointFolder, preferring named: FilePath.Component? = nil) throws(CheckpointError) -> Checkpoint {
    if named?.extension != "safetensors", let shards = try folder.shards("pth") { return try meta(folder, shards.map { [$0] }, .pth) }
    if let shards = try folder.shards("safetensors") { return try meta(folder, shards.map { [$0] }, .safetensors) }
    // Mistral's.
    let whole = "consolidated.safetensors"
    if folder.has("params.json"), folder.has(whole), named == nil || named?.string == whole {
      return try meta(folder, [[folder.path.appending(whole)]], .safetensors)
    }
    if let paths = try safetensors(folder) {
      return folder.has("config.json") ? try HuggingFaceReader.open(folder, paths) : try meta(folder, [paths], .safetensors)
    }
    if let gguf = try folder.only("gguf") { return try GGUFReader.open(folder.open(gguf)) }
    if folder.names.contains(where: { $0.string.hasPrefix("pytorch_model") && $0.extension == "bin" }) {
      throw CheckpointError(.unsupported, in: folder.path, "has its weights in pytorch_model.bin; save them as safetensors with transformers first")
    }
    throw CheckpointError(
      .missing, in: folder.path,
      "holds no checkpoint: none of consolidated.00.pth, consolidated.00.safetensors, model.safetensors with config.json, or a .gguf file")
  }

  /// A folder with Meta's `params.json`.
  static func meta(_ folder: CheckpointFolder, _ shards: [[FilePath]], _ format: Format) throws(CheckpointError) -> Checkpoint {
    try MetaFolder.open(folder, shards, format: format, reading: format == .pth ? PthReader.read : SafetensorsReader.read)
  }

  /// The safetensors files of one unsplit checkpoint: those that the index names, or the only one.
  private static func safetensors(_ folder: CheckpointFolder) throws(CheckpointError) -> [FilePath]? {
    if let index = try folder.only("safetensors.index.json") { return try SafetensorsIndex.files(folder.open(index)) }
    if folder.has("model.safetensors") { return [folder.path.appending("model.safetensors")] }
    return try folder.only("safetensors").map { [$0] }
  }
}

extension Checkpoint.Format {
  /// What a file of weights is, by its first bytes; `.safetensors` for one of a Hugging Face folder too.
  static func ofFile(_ file: any ByteSource) throws(CheckpointError) -> Self {
    let head = try file.bytes(0..<min(file.count, 16))
    if head.starts(with: "GGUF".utf8) { return .gguf }
    // A zip, or torch's format from before it, which the reader of zips knows to name.
    if head.starts(with: "PK".utf8) || head.first == 0x80 { return .pth }
    if head.count > 8, head[8] == UInt8(ascii: "{") { return .safetensors }
    throw CheckpointError(.corrupt, in: file.path, byte: 0, "is neither a .pth, nor a safetensors file, nor a GGUF")
  }
}
