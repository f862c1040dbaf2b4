import Integrity
import SystemPackage

/// What stands before the data of a GGUF file, version 2 or 3.
///
/// Source: `docs/gguf.md` and `ggml/include/ggml.h` of the ggml repository.
struct GGUFHeader {
  let file: any ByteSource
  let metadata: GGUFMetadata
  let infos: [GGUFTensorInfo]
  /// Byte of the file that offsets count from.
  private let dataStart: Int

  init(_ file: any ByteSource) throws(CheckpointError) {
    self.file = file
    try file.refuseStandIn()
    var reader = ByteReader(file)
    guard try reader.bytes(4, "the magic").elementsEqual("GGUF".utf8) else { throw reader.corrupt("isn't a GGUF file", at: 0) }
    let version = try reader.integer(UInt32.self, "the version")
    guard version == 2 || version == 3 else {
      let isSwapped = version.byteSwapped <= 3
      throw CheckpointError(
        .unsupported, in: file.path, byte: 4, isSwapped ? "is a big-endian GGUF" : "is GGUF version \(version); 2 and 3 are supported")
    }
    let tensorCount = try reader.size("the tensor count")
    let keyCount = try reader.size("the key count")
    // 24 bytes is the least a tensor takes.
    guard tensorCount <= reader.remaining / 24 else { throw reader.corrupt("says it has \(tensorCount) tensors, more than it has room for", at: 8) }
    guard tensorCount <= StoredTensors.most else { throw reader.corrupt("says it has \(tensorCount) tensors; no model has more than \(StoredTensors.most)", at: 8) }
    metadata = try GGUFMetadata(&reader, count: keyCount)
    var infos: [GGUFTensorInfo] = []
    for _ in 0..<tensorCount { infos.append(try GGUFTensorInfo(&reader)) }
    self.infos = infos
    let alignment = metadata["general.alignment"]?.integer ?? 32
    guard alignment > 0, alignment <= 1 << 30, alignment.nonzeroBitCount == 1 else {
      throw reader.corrupt("has the alignment \(alignment), which isn't a power of two")
    }
    dataStart = (reader.position + alignment - 1) / alignment * alignment
  }

  /// The tensors that lie in the file, each in bytes of its own.
  /// - Parameter index: of the file in its checkpoint.
  func tensors(index: Int) throws(CheckpointError) -> [(info: GGUFTensorInfo, tensor: StoredTensor)] {
    var tensors: [(info: GGUFTensorInfo, tensor: StoredTensor)] = []
    var spans: [(range: Range<Int>, name: String)] = []
    for info in infos {
      let (tensor, range) = try info.tensor(file, index: index, dataStart: dataStart)
      tensors.append((info, tensor))
      spans.append((range, info.name))
    }
    spans.sort { $0.range.lowerBound < $1.range.lowerBound }
    for (a, b) in zip(spans, spans.dropFirst()) where a.range.upperBound > b.range.lowerBound {
      throw CheckpointError(.corrupt, in: file.path, byte: b.range.lowerBound, "the tensors \(a.name) and \(b.name) overlap")
    }
    return tensors
  }
}

/// Where a GGUF file says that a tensor is.
struct GGUFTensorInfo {
  let name: String
  /// Byte of the file where this record starts.
  let at: Int
  /// Rows first: the reverse of the file's order.
  let shape: [Int]
  let type: UInt32
  /// From the start of the data.
  let offset: Int

  init(_ reader: inout ByteReader) throws(CheckpointError) {
    at = reader.position
    name = try GGUFType.readString(&reader, "a tensor's name", longest: 64)
    let dimensions = try reader.integer(UInt32.self, "the dimensions of \(name)")
    guard (1...4).contains(dimensions) else { throw reader.corrupt("\(name) has \(dimensions) dimensions", at: at) }
    var shape: [Int] = []
    for _ in 0..<dimensions { shape.append(try reader.size("a dimension of \(name)")) }
    self.shape = shape.reversed()
    type = try reader.integer(UInt32.self, "the type of \(name)")
    offset = try reader.size("the offset of \(name)")
  }

  /// The tensor, and the bytes of the file that hold it.
  /// - Parameter index: of the file in its checkpoint.
  func tensor(_ file: any ByteSource, index: Int, dataStart: Int) throws(CheckpointError) -> (StoredTensor, Range<Int>) {
    guard let dtype = Self.dtypes[type] else {
      throw CheckpointError(
        .unsupported, in: file.path, byte: at,
        "\(name) is stored as \(Self.typeNames[type] ?? "type \(type)"); supported are \(Self.dtypes.values.map { $0.rawValue.uppercased() }.sorted().joined(separator: ", "))")
    }
    guard let start = sum(dataStart, offset), let bytes = StoredTensor.byteCount(dtype, shape), let end = sum(start, bytes),
      let tensor = StoredTensor(dtype: dtype, shape: shape, file: index, offset: start)
    else { throw CheckpointError(.corrupt, in: file.path, byte: at, "\(name) has the shape \(shape) at \(offset), which \(dtype) can't have") }
    guard end <= file.count else {
      throw CheckpointError(
        .corrupt, in: file.path, byte: at,
        "\(name) lies at bytes \(start) to \(end), but the file ends at \(file.count): it is cut off or damaged")
    }
    return (tensor, start..<end)
  }

  /// `enum ggml_type`.
  static let dtypes: [UInt32: DType] = [
    0: .f32, 1: .f16, 2: .q4_0, 3: .q4_1, 6: .q5_0, 7: .q5_1, 8: .q8_0, 10: .q2_k, 11: .q3_k, 12: .q4_k, 13: .q5_k, 14: .q6_k, 20: .iq4_nl, 23: .iq4_xs,
    30: .bf16,
  ]

  /// The other types.
  private static let typeNames: [UInt32: String] = [
    9: "Q8_1", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 21: "IQ3_S", 22: "IQ2_S", 24: "I8", 25: "I16", 26: "I32", 27: "I64",
    28: "F64", 29: "IQ1_M", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4", 40: "NVFP4",
  ]
}
