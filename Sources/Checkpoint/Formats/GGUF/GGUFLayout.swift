import Integrity

/// Lays out a GGUF: one file, or several by the names that llama.cpp looks for, of which the first has all keys.
enum GGUFLayout {
  private struct Tensor {
    let name: String
    let shape: [Int]
    let dtype: DType
    let content: Content

    enum Content {
      case region(OutputRegion)
      case bytes([UInt8])
    }

    var byteCount: Int {
      switch content {
      case .region(let region): region.byteCount
      case .bytes(let bytes): bytes.count
      }
    }
  }

  /// - Returns: the files, and what a person should know, in sentences.
  static func files(_ source: Checkpoint, _ options: ReshardPlan.Options) throws(CheckpointError) -> (files: [OutputFile], notes: [String]) {
    let dominant = DType.dominant(source.tensors.map { (options.dtype(of: $0, in: source.params), $0.rows * $0.columns) })
    if let kind = source.params.ropeScaling?.kind, kind == .dynamic {
      throw CheckpointError(.refused, "the model scales RoPE in the way called \(kind.rawValue), for which llama.cpp's llama architecture has no words; --format hf keeps it")
    }
    let description = try GGUFDescription(source, fileType: GGUFDescription.fileType(source, options.dtypes.ofAll, dominant: dominant))
    let tokenizer = try GGUFTokenizer.fields(source)
    let shards = cut(tensors(source, options), at: options.maxShardBytes ?? .max)
    guard shards.count <= GGUFSplit.mostParts else {
      throw CheckpointError(.refused, "--max-shard-size \(options.maxShardBytes ?? 0) cuts the GGUF into \(shards.count) files; more than \(GGUFSplit.mostParts) can't be read, so ask for larger ones")
    }
    let name = "\(description.name)-\((options.dtypes.ofAll?.rawValue ?? dominant.rawValue).uppercased())"
    let count = shards.reduce(0) { $0 + $1.count }
    let files = shards.enumerated().map { number, tensors in
      var header = GGUFHeaderBytes(number == 0 ? description.fields + tokenizer.fields : [])
      if shards.count > 1 {
        header.add("split.no", .uint16(number))
        header.add("split.count", .uint16(shards.count))
        header.add("split.tensors.count", .int32(count))
      }
      return file(shards.count == 1 ? "\(name).gguf" : "\(name)-\(digits(number + 1))-of-\(digits(shards.count)).gguf", header, tensors)
    }
    return (files, description.notes + tokenizer.notes)
  }

  private static func file(_ name: String, _ header: GGUFHeaderBytes, _ tensors: [Tensor]) -> OutputFile {
    var header = header
    var offset = 0
    for tensor in tensors {
      header.addTensor(tensor.name, shape: tensor.shape, type: tensor.dtype.ggmlType, offset: offset)
      offset += tensor.byteCount + GGUFHeaderBytes.padding(after: tensor.byteCount).count
    }
    var file = OutputFile(name: name)
    file.append(header.bytes)
    for tensor in tensors {
      switch tensor.content {
      case .region(let region): file.append(region)
      case .bytes(let bytes): file.append(bytes)
      }
      file.append(GGUFHeaderBytes.padding(after: tensor.byteCount))
    }
    return file
  }

  private static func tensors(_ source: Checkpoint, _ options: ReshardPlan.Options) -> [Tensor] {
    var tensors: [Tensor] = []
    let params = source.params
    if let scaling = params.ropeScaling, scaling.kind == .llama3 {
      let factors = scaling.divisors(headDim: params.headDim, theta: params.ropeTheta)
      tensors.append(Tensor(name: GGUFNames.ropeFactors, shape: [factors.count], dtype: .f32, content: .bytes(factors.flatMap { Float($0).bitPattern.littleEndianBytes })))
    }
    for tensor in source.tensors {
      guard let name = GGUFNames.name(tensor.name) else { continue }
      let dtype = options.dtype(of: tensor, in: params)
      tensors.append(Tensor(name: name, shape: tensor.storedShape, dtype: dtype, content: .region(OutputRegion(whole: tensor, as: dtype, name: name))))
    }
    return tensors
  }

  /// Runs of tensors of at most `limit` bytes, but for a single tensor that is larger.
  private static func cut(_ tensors: [Tensor], at limit: Int) -> [[Tensor]] {
    var shards: [[Tensor]] = [[]]
    var bytes = 0
    for tensor in tensors {
      if bytes + tensor.byteCount > limit, bytes > 0 {
        shards.append([])
        bytes = 0
      }
      shards[shards.count - 1].append(tensor)
      bytes += tensor.byteCount
    }
    return shards
  }

  private static func digits(_ value: Int) -> String {
    let digits = String(value)
    return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
  }
}

extension DType {
  /// Its number among `enum ggml_type`.
  fileprivate var ggmlType: UInt32 { GGUFTensorInfo.dtypes.first { $0.value == self }?.key ?? 0 }
}

extension FormatCapacity {
  static let gguf = FormatCapacity(dtypes: Set(GGUFTensorInfo.dtypes.values), isSharded: false)
}
