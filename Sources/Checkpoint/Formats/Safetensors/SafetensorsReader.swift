import Integrity
import Platform
import SystemPackage

/// Reads one safetensors file: eight bytes of header length, a JSON header, then the tensors without gaps.
///
/// Source: the format's description and `safetensors/src/tensor.rs` of the safetensors repository.
enum SafetensorsReader {
  /// As much header as the reference reader accepts.
  private static let longestHeader = 100_000_000

  /// - Parameter index: which of the checkpoint's files `file` is.
  static func read(_ file: any ByteSource, index: Int) throws(CheckpointError) -> StoredTensors {
    try file.refuseStandIn()
    var reader = ByteReader(file)
    let length = try reader.size("the header's length")
    guard length <= longestHeader else { throw reader.corrupt("says its header has \(length) bytes, which is too much", at: 0) }
    let entries = try header(try reader.bytes(length, "the header"), file)
    let dataStart = reader.position
    let dataCount = reader.remaining

    var tensors = StoredTensors(byte: headerStart)
    tensors.reserveCapacity(entries.count)
    var end = 0
    for entry in entries {
      let (name, lower, upper) = (entry.name, entry.lower, entry.upper)
      guard SafetensorsDType.isKnown(entry.dtype) else {
        throw CheckpointError(.unsupported, in: file.path, byte: headerStart, "\(name) \(NoWeight.dtype(entry.dtype))")
      }
      guard lower <= upper else { throw reader.corrupt("\(name) has the data offsets \([lower, upper])", at: headerStart) }
      guard lower == end else {
        throw reader.corrupt(
          "\(name) starts at \(lower) of the data, where the tensor before it ends at \(end): the format allows no gap and no overlap", at: headerStart)
      }
      guard upper <= dataCount else {
        throw reader.corrupt("\(name) ends at \(upper) of the data, but only \(dataCount) bytes are there: the file is cut off or damaged", at: headerStart)
      }
      guard SafetensorsDType.byteCount(entry.dtype, entry.shape) == upper - lower else {
        throw reader.corrupt("\(name) has \(upper - lower) bytes, which \(entry.dtype) of the shape \(entry.shape) doesn't take", at: headerStart)
      }
      if let code = SafetensorsDType.code(entry.dtype), let tensor = StoredTensor(codes: entry.shape, file: index, offset: dataStart + lower) { tensors.place(code, tensor, name) }
      guard tensors.insert(stored(entry, file: index, dataStart: dataStart), name) else {
        throw reader.corrupt("has \(name) twice in its header", at: headerStart)
      }
      end = upper
    }
    guard end == dataCount else { throw reader.corrupt("has \(dataCount - end) bytes behind its last tensor", at: dataStart + end) }
    return tensors
  }

  /// - Precondition: the file was read before, and is well formed.
  static func extras(_ names: Set<String>, _ file: any ByteSource) throws(CheckpointError) -> [ExtraTensor] {
    var reader = ByteReader(file)
    let entries = try header(try reader.bytes(try reader.size("the header's length"), "the header"), file)
    var extras: [ExtraTensor] = []
    for entry in entries where names.contains(entry.name) {
      guard let dtype = ExtraTensor.DType(rawValue: entry.dtype), entry.upper - entry.lower <= ExtraTensor.mostBytes else {
        throw CheckpointError(.unsupported, in: file.path, byte: headerStart, "\(entry.name) is stored as \(entry.dtype), or is too large to go along")
      }
      extras.append(ExtraTensor(name: entry.name, dtype: dtype, shape: entry.shape, bytes: try file.bytes(reader.position + entry.lower..<reader.position + entry.upper)))
    }
    return extras
  }

  private static let headerStart = 8

  private static func header(_ bytes: [UInt8], _ file: any ByteSource) throws(CheckpointError) -> [SafetensorsHeader.Entry] {
    guard bytes.first == UInt8(ascii: "{") else { throw CheckpointError(.corrupt, in: file.path, byte: headerStart, "has a header that isn't JSON") }
    do throws(JSONError) { return try SafetensorsHeader(bytes).entries } catch {
      throw CheckpointError(.corrupt, in: file.path, byte: headerStart + error.byte, "has a header that isn't JSON as the format wants it: \(error.message)")
    }
  }

  private static func stored(_ entry: SafetensorsHeader.Entry, file: Int, dataStart: Int) -> Result<StoredTensor, NoWeight> {
    guard let dtype = SafetensorsDType.dtype(entry.dtype) else { return .failure(.dtype(entry.dtype)) }
    // Scalars, empty tensors and those of more dimensions are legal, but none is a Llama's.
    guard let tensor = StoredTensor(dtype: dtype, shape: entry.shape, file: file, offset: dataStart + entry.lower) else { return .failure(.shape(entry.shape)) }
    return .success(tensor)
  }
}
