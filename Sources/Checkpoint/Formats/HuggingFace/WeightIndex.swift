import Platform
import SystemPackage

/// Which file each tensor lies in: `model.safetensors.index.json`, and `pytorch_model.bin.index.json`.
struct WeightIndex: Encodable {
  /// From a tensor's name to its file's.
  var weightMap: [String: String]
  var metadata: Metadata?

  struct Metadata: Encodable {
    /// Bytes of all tensors.
    var totalSize: Int?

    enum CodingKeys: String, CodingKey { case totalSize = "total_size" }
  }

  enum CodingKeys: String, CodingKey {
    case weightMap = "weight_map"
    case metadata
  }

  /// Files of one model: the largest have some hundreds.
  private static let mostFiles = 1 << 16
  /// Bytes of an index: that of 405B has a hundred kilobytes, DeepSeek's 9 MB.
  private static let longest = 64 << 20

  /// The names of the files that an index names.
  private static func names(_ index: any ByteSource) throws(CheckpointError) -> Set<String> {
    try index.refuseStandIn()
    let bytes = try index.contents(limit: longest)
    var names: Set<String>?
    do throws(JSONError) {
      try JSONReader.read(bytes) { (reader) throws(JSONError) in
        try reader.object { (reader, key) throws(JSONError) in
          guard key.elementsEqual("weight_map".utf8) else { return try reader.skip() }
          guard names == nil else { throw reader.error("a second weight_map") }
          names = try Self.weightMap(&reader)
        }
      }
    } catch {
      throw CheckpointError(.corrupt, in: index.path, byte: error.byte, error.sentence)
    }
    guard let names else { throw CheckpointError(.corrupt, in: index.path, "has no weight_map, so it isn't an index") }
    return names
  }

  private static func weightMap(_ reader: inout JSONReader) throws(JSONError) -> Set<String> {
    var places: [String: Int] = [:]
    var fileOfTensor: [[UInt8]: Int] = [:]
    try reader.object { (reader, tensor) throws(JSONError) in
      guard fileOfTensor.count < StoredTensors.most else { throw reader.error("more than \(StoredTensors.most) tensors, which no model has") }
      let start = reader.at
      let name = try reader.text()
      guard name.utf8.count <= StoredTensors.longestName, places.count < mostFiles else { throw reader.error("more or longer names of files than any model has") }
      let place = places[name] ?? places.count
      places[name] = place
      guard let other = fileOfTensor.updateValue(place, forKey: tensor), other != place else { return }
      let first = places.first { $0.value == other }?.key ?? ""
      throw JSONError(.contradiction, byte: start, "says that \(String(decoding: tensor.prefix(100), as: UTF8.self)) lies in \(first) and in \(name)")
    }
    return Set(places.keys)
  }

  /// The files that an index names, in order of name.
  static func files(_ index: any ByteSource) throws(CheckpointError) -> [FilePath] {
    let path = index.path
    let names = try names(index).sorted()
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
