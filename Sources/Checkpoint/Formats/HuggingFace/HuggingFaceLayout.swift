import Integrity

/// Lays out a Hugging Face folder: `config.json`, safetensors with the names of `transformers`, and an index when there are several.
enum HuggingFaceLayout {
  /// What transformers takes.
  static let defaultShardBytes = 5_000_000_000

  static func files(_ source: Checkpoint, _ options: ReshardPlan.Options) throws(CheckpointError) -> [OutputFile] {
    func dtype(_ tensor: LogicalTensor) -> DType { options.dtype(of: tensor, in: source.params) }
    let maxShardBytes = options.maxShardBytes ?? defaultShardBytes
    var shards: [[OutputRegion]] = [[]]
    var bytes = 0
    for tensor in source.tensors {
      guard let text = HuggingFaceNames.name(tensor.name) else { continue }
      // transformers rotates halves of a head where Meta rotates pairs.
      let order: LogicalTensor.RowOrder = tensor.name.role.isRotated ? .halves(headDim: source.params.headDim) : .pairs
      let region = OutputRegion(whole: tensor, as: dtype(tensor), order: order, name: text)
      if bytes + region.byteCount > maxShardBytes, bytes > 0 {
        shards.append([])
        bytes = 0
      }
      shards[shards.count - 1].append(region)
      bytes += region.byteCount
    }
    var files: [OutputFile] = []
    var map: [String: String] = [:]
    for (index, regions) in shards.enumerated() {
      let name = shards.count == 1 ? "model.safetensors" : "model-\(number(index + 1))-of-\(number(shards.count)).safetensors"
      // What isn't a Llama's goes into the first.
      let extras = index == 0 ? source.extras : []
      files.append(SafetensorsLayout.file(name, regions.map { OutputTensor($0) }, extras: extras))
      for region in regions { map[region.name] = name }
      for extra in extras { map[extra.name] = name }
    }
    if shards.count > 1 {
      let total = shards.reduce(0) { $0 + $1.reduce(0) { $0 + $1.byteCount } }
      let index = WeightIndex(weightMap: map, metadata: .init(totalSize: total))
      files.append(OutputFile(name: "model.safetensors.index.json", content: try encodeJSON(index)))
    }
    let dominant = DType.dominant(source.tensors.map { (dtype($0), $0.rows * $0.columns) })
    files.append(OutputFile(name: "config.json", content: try HuggingFaceConfig.file(for: source, dominant)))
    if let generation = try GenerationConfig.file(for: source) { files.append(OutputFile(name: GenerationConfig.fileName, content: generation)) }
    return files
  }

  private static func number(_ value: Int) -> String {
    let digits = String(value)
    return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
  }
}

extension FormatCapacity {
  static let huggingFace = FormatCapacity(dtypes: safetensors.dtypes, isSharded: false)
}
