import Platform

/// The JSON header of a safetensors file, no more lenient than the reference reader, and a little stricter: a name comes once, and a tensor has no keys
/// beside those that the format defines.
///
/// Source: the format's description, and `Metadata` in `tensor.rs` of the safetensors repository.
struct SafetensorsHeader {
  struct Entry {
    let name: String
    /// As the format calls it.
    var dtype = ""
    var shape: [Int] = []
    /// Bytes of the data.
    var lower = 0
    var upper = 0
  }

  /// By place in the data; of two that start at the same byte the empty one first.
  private(set) var entries: [Entry] = []

  /// Neither torch nor numpy have tensors of more dimensions.
  private static let mostDimensions = 64
  private static let longestDType = 32

  init(_ header: [UInt8]) throws(JSONError) {
    var entries: [Entry] = []
    try JSONReader.read(header) { (reader) throws(JSONError) in
      var hasMetadata = false
      try reader.object { (reader, key) throws(JSONError) in
        guard key.elementsEqual("__metadata__".utf8) else {
          guard entries.count < StoredTensors.most else { throw reader.error("more than \(StoredTensors.most) tensors, which no model has") }
          return entries.append(try Self.entry(&reader, key))
        }
        guard !hasMetadata else { throw reader.error("a second __metadata__") }
        hasMetadata = true
        if reader.takesNull() { return }
        try reader.object { (reader, _) throws(JSONError) in _ = try reader.text() }
      }
    }
    entries.sort { ($0.lower, $0.upper, $0.name) < ($1.lower, $1.upper, $1.name) }
    self.entries = entries
  }

  private static func entry(_ reader: inout JSONReader, _ key: [UInt8]) throws(JSONError) -> Entry {
    guard key.count <= StoredTensors.longestName else { throw reader.error("a name of \(key.count) bytes, which no tensor has") }
    guard let name = String(validating: key, as: UTF8.self) else { throw reader.error("a name that isn't UTF-8") }
    var entry = Entry(name: name)
    var seen: Set<String> = []
    try reader.object { (reader, key) throws(JSONError) in
      let key = String(decoding: key, as: UTF8.self)
      guard seen.insert(key).inserted else { throw reader.error("\(name) has a second \(key)") }
      switch key {
      case "dtype":
        let dtype = try reader.text()
        guard dtype.utf8.count <= longestDType else { throw reader.error("\(name) has a dtype with a name of \(dtype.utf8.count) bytes") }
        entry.dtype = dtype
      case "shape":
        try reader.array { (reader) throws(JSONError) in
          guard entry.shape.count < mostDimensions else { throw reader.error("\(name) has more than \(mostDimensions) dimensions") }
          entry.shape.append(try reader.size("dimension"))
        }
      case "data_offsets":
        var count = 0
        try reader.array { (reader) throws(JSONError) in
          let offset = try reader.size("data offset")
          if count == 0 { entry.lower = offset } else { entry.upper = offset }
          count += 1
          guard count <= 2 else { throw reader.error("\(name) has more than two data offsets") }
        }
        guard count == 2 else { throw reader.error("\(name) has fewer than two data offsets") }
      default: throw reader.error("\(name) has the key \(key.prefix(100)), which the format doesn't define")
      }
    }
    for key in ["dtype", "shape", "data_offsets"] where !seen.contains(key) { throw reader.error("\(name) has no \(key)") }
    return entry
  }
}
