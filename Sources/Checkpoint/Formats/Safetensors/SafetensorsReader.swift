import Integrity
import SystemPackage

/// Reads one safetensors file: eight bytes of header length, a JSON header, then the tensors without gaps.
///
/// Source: the format's description and `safetensors/src/tensor.rs` of the safetensors repository.
enum SafetensorsReader {
  /// As much header as the reference reader accepts.
  private static let longestHeader = 100_000_000

  /// - Parameter index: which of the checkpoint's files `file` is.
  static func read(_ file: any ByteSource, index: Int) throws(CheckpointError) -> StoredTensors {
    var reader = ByteReader(file)
    let length = try reader.size("the header's length")
    guard length <= longestHeader else {
      let isPage = try file.bytes(0..<8).first { $0 > 0x20 } == UInt8(ascii: "<")
      throw reader.corrupt(
        isPage ? "is a page of HTML; the link it came from was wrong or had expired" : "says its header has \(length) bytes, which is too much", at: 0)
    }
    let header = try reader.bytes(length, "the header")
    guard header.first == UInt8(ascii: "{") else { throw reader.corrupt("has a header that isn't JSON", at: 8) }
    let entries = try decodeJSON(Header.self, from: header, in: file.path).entries
    let dataStart = reader.position
    let dataCount = reader.remaining

    var tensors: [String: StoredTensor] = [:]
    tensors.reserveCapacity(entries.count)
    var end = 0
    for (name, entry) in entries.sorted(by: { ($0.value.order, $0.key) < ($1.value.order, $1.key) }) {
      guard let dtype = SafetensorsDType.dtype(entry.dtype) else {
        throw CheckpointError(.unsupported, in: file.path, byte: 8, "\(name) is stored as \(entry.dtype); supported are F32, F16 and BF16")
      }
      guard entry.dataOffsets.count == 2, entry.dataOffsets[0] >= 0, entry.dataOffsets[0] <= entry.dataOffsets[1] else {
        throw reader.corrupt("\(name) has the data offsets \(entry.dataOffsets)", at: 8)
      }
      let (lower, upper) = (entry.dataOffsets[0], entry.dataOffsets[1])
      guard lower == end else {
        throw reader.corrupt("\(name) starts at \(lower) of the data, where the tensor before it ends at \(end): the format allows no gap and no overlap", at: 8)
      }
      guard upper <= dataCount else {
        throw reader.corrupt("\(name) ends at \(upper) of the data, but only \(dataCount) bytes are there: the file is cut off or damaged", at: 8)
      }
      guard (1...2).contains(entry.shape.count), entry.shape.allSatisfy({ $0 > 0 }) else {
        throw CheckpointError(
          .unsupported, in: file.path, byte: 8, "\(name) has the shape \(entry.shape); a Llama has vectors and matrices")
      }
      guard StoredTensor.byteCount(dtype, entry.shape) == upper - lower,
        let tensor = StoredTensor(dtype: dtype, shape: entry.shape, file: index, offset: dataStart + lower)
      else { throw reader.corrupt("\(name) has \(upper - lower) bytes, which \(entry.dtype) of the shape \(entry.shape) doesn't take", at: 8) }
      tensors[name] = tensor
      end = upper
    }
    guard end == dataCount else { throw reader.corrupt("has \(dataCount - end) bytes behind its last tensor", at: dataStart + end) }
    return StoredTensors(tensors: tensors)
  }

  private struct Header: Decodable {
    var entries: [String: Entry] = [:]

    init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: AnyKey.self)
      for key in container.allKeys where key.stringValue != "__metadata__" {
        entries[key.stringValue] = try container.decode(Entry.self, forKey: key)
      }
    }
  }

  private struct Entry: Decodable {
    var dtype: String
    var shape: [Int]
    var dataOffsets: [Int]

    /// Where it starts; the shorter first, so that an empty tensor comes before the one that starts at the same byte.
    var order: Int { dataOffsets.first ?? 0 }

    enum CodingKeys: String, CodingKey {
      case dtype, shape
      case dataOffsets = "data_offsets"
    }
  }

  private struct AnyKey: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }
    init?(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }
}
