import FoundationEssentials
import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

extension Checkpoint {
  /// Opens the checkpoint at `path`, in whatever format it is.
  ///
  /// The files' directories are checked completely; weights are read only to tell heads from their copies.
  ///
  /// - Parameter path: a folder with `params.json` and `consolidated.NN.pth` or safetensors files, a Hugging Face folder, a GGUF file, or one
  ///   of the files in such a folder.
  public static func open(at path: FilePath) throws(CheckpointError) -> Checkpoint {
    if let folder = try CheckpointFolder(path) { return try folder.checkpoint() }
    if path.extension == "pth" || path.extension == "safetensors" {
      let parent = path.removingLastComponent()
      if let folder = try CheckpointFolder(parent.isEmpty ? "." : parent), let name = path.lastComponent {
        return try folder.checkpoint(preferring: name.string)
      }
    }
    return try GGUFReader.open(LocalFile(path))
  }
}

extension Checkpoint {
  /// Whether a file of this name may hold weights.
  public static func hasWeights(_ path: FilePath) -> Bool { ["pth", "safetensors", "gguf"].contains(path.extension) }
}

/// The names in a checkpoint's folder, of this machine or elsewhere.
struct CheckpointFolder {
  let path: FilePath
  let names: [String]
  /// Opens a file in it.
  let open: (FilePath) throws(CheckpointError) -> any ByteSource
  let isRemote: Bool

  /// A folder that is elsewhere.
  init(path: FilePath, names: [String], open: @escaping (FilePath) throws(CheckpointError) -> any ByteSource) {
    self.path = path
    self.names = names
    self.open = open
    isRemote = true
  }

  /// - Returns: nil when `path` is a file.
  init?(_ path: FilePath) throws(CheckpointError) {
    var isDirectory = false
    guard FileManager.default.fileExists(atPath: path.string, isDirectory: &isDirectory) else {
      throw CheckpointError(.missing, in: path, "isn't there")
    }
    guard isDirectory else { return nil }
    self.path = path
    open = { path throws(CheckpointError) in try LocalFile(path) }
    isRemote = false
    do {
      names = try FileManager.default.contentsOfDirectory(atPath: path.string).sorted()
    } catch {
      // Foundation's own words are for programs; the system's are within.
      let cause = ((error as? CocoaError)?.underlying as? POSIXError).map { Errno(rawValue: $0.code.rawValue).description }
      throw CheckpointError(.io, in: path, "can't be listed: \(cause ?? "\(error)")")
    }
  }

  /// What lies beside the weights; nothing of a folder that is elsewhere.
  func companions() throws(CheckpointError) -> Companions { isRemote ? Companions() : try Companions(besides: path) }

  func has(_ name: String) -> Bool { names.contains(name) }

  /// - Parameter preferring: the file that a person named, where the folder holds several formats.
  func checkpoint(preferring named: String? = nil) throws(CheckpointError) -> Checkpoint {
    let suffix = named.flatMap { FilePath.Component($0)?.extension }
    if suffix != "safetensors", let shards = try shards("pth") { return try MetaFolder.open(self, shards.map { [$0] }, format: .pth) }
    if let shards = try shards("safetensors") { return try MetaFolder.open(self, shards.map { [$0] }, format: .safetensors) }
    if has("params.json"), has("consolidated.safetensors"), named == nil || named == "consolidated.safetensors" {
      return try MetaFolder.open(self, [[path.appending("consolidated.safetensors")]], format: .safetensors)
    }
    if let paths = try indexed("safetensors") {
      if has("config.json") { return try HuggingFaceReader.open(self, paths) }
      return try MetaFolder.open(self, [paths], format: .safetensors)
    }
    if let gguf = try only("gguf") { return try GGUFReader.open(open(gguf)) }
    if names.contains(where: { $0.hasPrefix("pytorch_model") && $0.hasSuffix(".bin") }) {
      throw CheckpointError(.unsupported, in: path, "has its weights in pytorch_model.bin; save them as safetensors with transformers first")
    }
    throw CheckpointError(
      .missing, in: path,
      "holds no checkpoint: none of consolidated.00.pth, consolidated.00.safetensors, model.safetensors with config.json, or a .gguf file")
  }

  /// The safetensors files of one unsplit checkpoint: those that the index names, or the only one.
  private func indexed(_ suffix: String) throws(CheckpointError) -> [FilePath]? {
    if let index = try only("\(suffix).index.json") { return try SafetensorsIndex.files(open(index)) }
    if has("model.safetensors") { return [path.appending("model.safetensors")] }
    return try only(suffix).map { [$0] }
  }

  /// The files `consolidated.NN.<suffix>` in the order of rank.
  /// - Returns: nil when there are none.
  /// - Throws: when one is missing in the row.
  func shards(_ suffix: String) throws(CheckpointError) -> [FilePath]? {
    let prefix = "consolidated."
    let found = names.filter { $0.hasPrefix(prefix) && $0.hasSuffix("." + suffix) }
      .compactMap { name -> (rank: Int, name: String)? in
        let digits = name.dropFirst(prefix.count).dropLast(suffix.count + 1)
        return digits.count >= 2 && digits.allSatisfy(\.isASCII) ? Int(digits).map { ($0, name) } : nil
      }
      .sorted { $0.rank < $1.rank }
    guard !found.isEmpty else { return nil }
    for (expected, shard) in found.enumerated() where shard.rank != expected {
      let number = expected < 10 ? "0\(expected)" : "\(expected)"
      throw CheckpointError(.missing, in: path.appending("\(prefix)\(number).\(suffix)"), "isn't there, but \(shard.name) is")
    }
    return found.map { path.appending($0.name) }
  }

  /// The one file with this suffix; nil when there is none.
  func only(_ suffix: String) throws(CheckpointError) -> FilePath? {
    let found = names.filter { $0.hasSuffix("." + suffix) }
    guard found.count <= 1 else {
      throw CheckpointError(.refused, in: path, "has \(found.count) .\(suffix) files; name the one that is meant")
    }
    return found.first.map { path.appending($0) }
  }
}
