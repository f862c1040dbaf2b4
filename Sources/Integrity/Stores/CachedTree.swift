import Platform
import SystemPackage

extension CachedRepository {
  /// All files of the repository at a commit, as huggingface_hub has noted them (`trees/COMMIT.json`, its `_tree_cache.py`); most of them may not be here.
  /// - Returns: nil where it hasn't noted them, or in another form.
  public func listed(at commit: String) -> [String: PublishedDigest]? {
    guard let bytes = try? SmallFile.read(path.appending("trees").appending(commit + ".json"), atMost: 64 << 20) else { return nil }
    return Self.parse(tree: bytes)
  }

  package static func parse(tree bytes: [UInt8]) -> [String: PublishedDigest]? {
    var files: [String: PublishedDigest] = [:]
    var version: Int?
    do throws(JSONError) {
      try JSONReader.read(bytes) { (reader) throws(JSONError) in
        try reader.members { (reader, key) throws(JSONError) in
          switch key {
          case "format_version": version = try reader.size("version")
          case "files":
            try reader.object { (reader, name) throws(JSONError) in
              let digest = try Self.digest(&reader)
              if let digest, let name = String(validating: name, as: UTF8.self) { files[name] = digest }
            }
          default: try reader.skip()
          }
        }
      }
    } catch { return nil }
    return version == 1 ? files : nil
  }

  private static func digest(_ reader: inout JSONReader) throws(JSONError) -> PublishedDigest? {
    var blob, lfs: String?
    try reader.members { (reader, key) throws(JSONError) in
      switch key {
      case "blob_id": blob = reader.takesNull() ? nil : try reader.text()
      case "lfs_sha256": lfs = reader.takesNull() ? nil : try reader.text()
      default: try reader.skip()
      }
    }
    return (lfs ?? blob).flatMap { PublishedDigest(blobName: $0.lowercased()) }
  }
}
