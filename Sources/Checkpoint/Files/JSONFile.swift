import FoundationEssentials
import Platform
import SystemPackage

/// Decodes the JSON that `file` is.
func decodeJSON<T: Decodable>(_ type: T.Type, from file: any ByteSource) throws(CheckpointError) -> T {
  let bytes = try file.contents()
  if bytes.first(where: { $0 > 0x20 }) == UInt8(ascii: "<") {
    throw CheckpointError(.corrupt, in: file.path, "is a page of HTML, not JSON; the link it came from was wrong or had expired")
  }
  return try decodeJSON(type, from: bytes, in: file.path)
}

/// Decodes JSON that lies in `path`.
func decodeJSON<T: Decodable>(_ type: T.Type, from bytes: [UInt8], in path: FilePath) throws(CheckpointError) -> T {
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
