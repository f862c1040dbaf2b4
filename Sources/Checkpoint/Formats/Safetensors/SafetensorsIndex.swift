import SystemPackage

/// Which file each tensor lies in: `model.safetensors.index.json`.
struct SafetensorsIndex: Codable {
  /// From a tensor's name to its file's.
  var weightMap: [String: String]
  var metadata: Metadata?

  struct Metadata: Codable {
    /// Bytes of all tensors.
    var totalSize: Int?

    enum CodingKeys: String, CodingKey { case totalSize = "total_size" }
  }

  enum CodingKeys: String, CodingKey {
    case weightMap = "weight_map"
    case metadata
  }

  /// The files that an index names, in order of name.
  static func files(_ index: any ByteSource) throws(CheckpointError) -> [FilePath] {
    let path = index.path
    let names = Set(try decodeJSON(SafetensorsIndex.self, from: index).weightMap.values).sorted()
    let folder = path.removingLastComponent()
    var files: [FilePath] = []
    for name in names {
      guard let component = FilePath.Component(name), component.kind == .regular else {
        throw CheckpointError(.corrupt, in: path, "names the file \(name), which isn't in its folder")
      }
      files.append(folder.appending(component))
    }
    guard !files.isEmpty else { throw CheckpointError(.corrupt, in: path, "names no file") }
    return files
  }
}
