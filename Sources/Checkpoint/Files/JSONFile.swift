import FoundationEssentials
import Platform
import SystemPackage

/// Decodes the JSON that `file` is.
/// - Parameter limit: the most bytes that make sense.
func decodeJSON<T: Decodable>(_ type: T.Type, from file: any ByteSource, limit: Int = descriptionLimit) throws(CheckpointError) -> T {
  try decodeJSON(type, from: jsonContents(of: file, limit: limit), in: file.path)
}

/// The bytes of a file that should be JSON, and is no web page.
func jsonContents(of file: any ByteSource, limit: Int = descriptionLimit) throws(CheckpointError) -> [UInt8] {
  try file.refuseStandIn()
  return try file.contents(limit: limit)
}

/// The members of the JSON object that lies in `path`.
func decodeJSONObject(_ bytes: [UInt8], in path: FilePath) throws(CheckpointError) -> [String: JSONValue] {
  guard case .object(let object) = try readJSON(bytes, in: path) else {
    throw CheckpointError(.corrupt, in: path, "isn't a JSON object")
  }
  return object
}

/// What JSON that lies in `path` says. It is refused where it says two things under one key.
private func readJSON(_ bytes: [UInt8], in path: FilePath) throws(CheckpointError) -> JSONValue {
  do throws(JSONError) { return try JSONReader.read(bytes) { (reader) throws(JSONError) in try reader.value() } } catch {
    throw CheckpointError(.corrupt, in: path, byte: error.byte, error.sentence)
  }
}

/// Decodes JSON that lies in `path`.
func decodeJSON<T: Decodable>(_ type: T.Type, from bytes: [UInt8], in path: FilePath) throws(CheckpointError) -> T {
  // Foundation's decoder takes one of two values under a key, and says nothing.
  _ = try readJSON(bytes, in: path)
  do {
    return try JSONDecoder().decode(type, from: Data(bytes))
  } catch DecodingError.dataCorrupted {
    throw CheckpointError(.corrupt, in: path, "isn't valid JSON")
  } catch DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context), DecodingError.keyNotFound(_, let context) {
    let key = context.codingPath.map(\.stringValue).joined(separator: ".")
    throw CheckpointError(.corrupt, in: path, "isn't what was expected\(key.isEmpty ? "" : " at \(key)"): \(context.debugDescription)")
  } catch {
    throw CheckpointError(.corrupt, in: path, "isn't valid JSON: \(error)")
  }
}

/// The bytes of a file that says `value`.
func encodeJSON(_ value: some Encodable) throws(CheckpointError) -> [UInt8] {
  do { return try JSONText.encode(value) } catch { throw CheckpointError(.output, "JSON can't be written: \(error)") }
}

/// The most bytes that a description of a model in JSON has: some have a few kilobytes, and decoding takes 30 times as much memory.
let descriptionLimit = 512 << 10
