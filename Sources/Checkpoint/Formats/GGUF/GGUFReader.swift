import Integrity
import Platform
import SystemPackage

/// Reads a GGUF file, version 2 or 3, of the llama architecture.
///
/// Source: `docs/gguf.md` and `ggml/include/ggml.h` of the ggml repository.
enum GGUFReader {
  static func open(_ file: any ByteSource, _ options: Checkpoint.OpenOptions) throws(CheckpointError) -> Checkpoint {
    let path = file.path
    let (metadata, infos, dataStart) = try readHeader(file)
    let stated = try stated(metadata, path)
    var tensors: [TensorName: StoredTensor] = [:]
    var companions = Companions(tokenizer: .gguf(metadata))
    var params = stated
    var spans: [(range: Range<Int>, name: String)] = []
    for info in infos {
      let (tensor, range) = try info.tensor(file, dataStart: dataStart)
      spans.append((range, info.name))
      if info.name == "rope_freqs.weight" {
        params.ropeScaling = try ropeScaling(tensor, file, metadata)
        continue
      }
      guard let name = metaName(info.name) else {
        throw CheckpointError(.unsupported, in: path, byte: info.at, "has the tensor \(info.name), which isn't one of a Llama text model")
      }
      guard tensors.updateValue(tensor, forKey: name) == nil else {
        throw CheckpointError(.corrupt, in: path, byte: info.at, "has the tensor \(info.name) twice")
      }
    }
    spans.sort { $0.range.lowerBound < $1.range.lowerBound }
    for (a, b) in zip(spans, spans.dropFirst()) where a.range.upperBound > b.range.lowerBound {
      throw CheckpointError(.corrupt, in: path, byte: b.range.lowerBound, "the tensors \(a.name) and \(b.name) overlap")
    }
    if metadata["tokenizer.ggml.model"] == nil { companions.tokenizer = nil }
    return try Assembly(format: .gguf, path: path, shards: [tensors], files: [file], stated: params, options: options, companions: companions).checkpoint()
  }

  static func readHeader(_ file: any ByteSource) throws(CheckpointError) -> (GGUFMetadata, [GGUFTensorInfo], dataStart: Int) {
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
    let metadata = try GGUFMetadata(&reader, count: keyCount)
    var infos: [GGUFTensorInfo] = []
    for _ in 0..<tensorCount { infos.append(try GGUFTensorInfo(&reader)) }
    let alignment = metadata["general.alignment"]?.integer ?? 32
    guard alignment > 0, alignment <= 1 << 30, alignment.nonzeroBitCount == 1 else {
      throw reader.corrupt("has the alignment \(alignment), which isn't a power of two")
    }
    return (metadata, infos, dataStart: (reader.position + alignment - 1) / alignment * alignment)
  }

  private static func stated(_ metadata: GGUFMetadata, _ path: FilePath) throws(CheckpointError) -> StatedParams {
    let architecture = try metadata.text("general.architecture", path)
    guard architecture == "llama" else {
      throw CheckpointError(.unsupported, in: path, "is a model of the architecture \(architecture ?? "(none given)"); only llama is supported")
    }
    guard let heads = try metadata.integer("llama.attention.head_count", path) else {
      throw CheckpointError(.corrupt, in: path, "doesn't say llama.attention.head_count")
    }
    guard let epsilon = try metadata.number("llama.attention.layer_norm_rms_epsilon", path) else {
      throw CheckpointError(.corrupt, in: path, "doesn't say llama.attention.layer_norm_rms_epsilon, without which no norm can be computed")
    }
    guard epsilon.isFinite, epsilon >= 0 else { throw CheckpointError(.corrupt, in: path, "says llama.attention.layer_norm_rms_epsilon is \(epsilon)") }
    var stated = StatedParams(
      dim: try metadata.integer("llama.embedding_length", path), layers: try metadata.integer("llama.block_count", path), heads: heads,
      kvHeads: try metadata.integer("llama.attention.head_count_kv", path) ?? heads, headDim: try metadata.integer("llama.attention.key_length", path),
      hiddenDim: try metadata.integer("llama.feed_forward_length", path), vocabularySize: try metadata.integer("llama.vocab_size", path),
      // A float32 such as 1e-5 is shown as the decimal number that was meant.
      normEpsilon: Float(epsilon).shortest, ropeTheta: try metadata.number("llama.rope.freq_base", path))
    stated.unhonoured = KeyTable.gguf.unhonoured(metadata.json, in: path)
    // The width of a head can be said three times; what the tensors have is held against the first.
    if let dim = stated.dim, heads > 0 {
      let width = stated.headDim ?? dim / heads
      for key in ["llama.attention.value_length", "llama.rope.dimension_count"] {
        guard let said = try metadata.integer(key, path), said != width else { continue }
        stated.unhonoured.append(UnhonouredKey(key, .integer(said), in: path, because: "heads are \(width) wide, and only whole heads are supported"))
      }
    }
    return stated
  }

  /// GGUF keeps Llama 3.1's scaling as the divisors of the frequencies that come of it; the parameters are the set that gives them.
  private static func ropeScaling(
    _ tensor: StoredTensor, _ file: any ByteSource, _ metadata: GGUFMetadata
  ) throws(CheckpointError) -> ModelParams.RoPEScaling? {
    guard tensor.dtype == .f32, tensor.shape.count == 1, tensor.columns <= 1 << 16 else { throw CheckpointError(.unsupported, in: file.path, "rope_freqs.weight isn't a float32 vector") }
    var reader = ByteReader(file, tensor.offset..<tensor.offset + 4 * tensor.columns)
    var divisors: [Double] = []
    for _ in 0..<tensor.columns { divisors.append(Double(Float(bitPattern: try reader.integer(UInt32.self, "rope_freqs.weight")))) }
    if divisors.allSatisfy({ $0 == 1 }) { return nil }
    let theta = metadata["llama.rope.freq_base"]?.number ?? 10000
    let scaling = ModelParams.RoPEScaling(factor: divisors.max() ?? 8)
    let expected = scaling.divisors(headDim: 2 * divisors.count, theta: theta)
    guard zip(divisors, expected).allSatisfy({ abs($0 - $1) <= 1e-4 * $1 }) else {
      throw CheckpointError(.unsupported, in: file.path, byte: tensor.offset, "rope_freqs.weight isn't the scaling of Llama 3.1")
    }
    return scaling
  }

  private static let roles: [String: TensorName.Role] = [
    "token_embd.weight": .tokEmbeddings, "attn_norm.weight": .attentionNorm, "attn_q.weight": .wq, "attn_k.weight": .wk,
    "attn_v.weight": .wv, "attn_output.weight": .wo, "ffn_norm.weight": .ffnNorm, "ffn_gate.weight": .w1,
    "ffn_down.weight": .w2, "ffn_up.weight": .w3, "output_norm.weight": .norm, "output.weight": .output,
  ]

  private static func metaName(_ name: String) -> TensorName? {
    guard name.hasPrefix("blk.") else { return roles[name].flatMap { $0.isLayered ? nil : TensorName($0) } }
    let rest = name.dropFirst(4)
    guard let dot = rest.firstIndex(of: "."), let layer = TensorName.layer(rest[..<dot]),
      let role = roles[String(rest[rest.index(after: dot)...])], role.isLayered
    else { return nil }
    return TensorName(role, layer: layer)
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
  func tensor(_ file: any ByteSource, dataStart: Int) throws(CheckpointError) -> (StoredTensor, Range<Int>) {
    guard let dtype = Self.dtypes[type] else {
      throw CheckpointError(
        .unsupported, in: file.path, byte: at,
        "\(name) is stored as \(Self.typeNames[type] ?? "type \(type)"); supported are \(Self.dtypes.values.map { $0.rawValue.uppercased() }.sorted().joined(separator: ", "))")
    }
    guard let start = sum(dataStart, offset), let bytes = StoredTensor.byteCount(dtype, shape), let end = sum(start, bytes),
      let tensor = StoredTensor(dtype: dtype, shape: shape, file: 0, offset: start)
    else { throw CheckpointError(.corrupt, in: file.path, byte: at, "\(name) has the shape \(shape) at \(offset), which \(dtype) can't have") }
    guard end <= file.count else {
      throw CheckpointError(
        .corrupt, in: file.path, byte: at,
        "\(name) lies at bytes \(start) to \(end), but the file ends at \(file.count): it is cut off or damaged")
    }
    return (tensor, start..<end)
  }

  /// `enum ggml_type`.
  private static let dtypes: [UInt32: DType] = [
    0: .f32, 1: .f16, 2: .q4_0, 3: .q4_1, 6: .q5_0, 7: .q5_1, 8: .q8_0, 10: .q2_k, 11: .q3_k, 12: .q4_k, 13: .q5_k, 14: .q6_k, 20: .iq4_nl, 23: .iq4_xs,
    30: .bf16,
  ]

  /// The other types.
  private static let typeNames: [UInt32: String] = [
    9: "Q8_1", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 21: "IQ3_S", 22: "IQ2_S", 24: "I8", 25: "I16", 26: "I32", 27: "I64",
    28: "F64", 29: "IQ1_M", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4", 40: "NVFP4",
  ]
}
