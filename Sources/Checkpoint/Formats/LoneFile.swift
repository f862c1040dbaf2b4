import Integrity
import SystemPackage

/// One file of weights, seen by itself.
struct LoneFile {
  let file: any ByteSource
  let format: Checkpoint.Format
  let tensors: [TensorName: StoredTensor]

  init(_ file: any ByteSource) throws(CheckpointError) {
    self.file = file
    let isPth = try Checkpoint.Format.ofFile(file) == .pth
    let stored = isPth ? try PthReader.read(file, index: 0) : try SafetensorsReader.read(file, index: 0)
    let isMeta = isPth || stored.hasMetaNames
    format = isPth ? .pth : isMeta ? .safetensors : .hf
    var tensors: [TensorName: StoredTensor] = [:]
    if isMeta {
      try stored.add(to: &tensors, in: file.path) { TensorName($0) }
    } else {
      try stored.add(to: &tensors, in: file.path, skipping: HuggingFaceReader.isBuffer, name: HuggingFaceReader.metaName)
    }
    self.tensors = tensors
  }

  /// The shape in the first layer that is here.
  private func shape(_ role: TensorName.Role) -> [Int]? {
    tensors.keys.filter { $0.role == role }.min().flatMap { tensors[$0]?.shape }
  }

  /// Shards of the release that the file is from: in every Llama the heads together are as wide as the model.
  private var modelParallel: Int? {
    guard let dim = shape(.norm)?.first ?? shape(.attentionNorm)?.first, let rows = shape(.wq)?.first, dim % rows == 0 else { return nil }
    return dim / rows
  }

  private var layers: Int { Set(tensors.keys.compactMap(\.layer)).count }

  /// The file beside this one that makes a checkpoint of it; nil when more than that is missing.
  var description: String? {
    guard modelParallel == 1, shape(.tokEmbeddings) != nil, shape(.norm) != nil else { return nil }
    return format == .hf ? "config.json" : "params.json"
  }

  func outline() throws(CheckpointError) -> CheckpointOutline {
    guard !tensors.isEmpty else { throw CheckpointError(.corrupt, in: file.path, "holds no tensors") }
    let shards = modelParallel ?? 1
    let dim = shape(.norm)?.first ?? shape(.attentionNorm)?.first ?? shape(.w1)?.last
    let isCutByColumns = shards > 1 && shape(.tokEmbeddings)?.last != dim
    func whole(_ rows: Int?) -> Int? { rows.flatMap { product($0, shards) } }
    let vocabulary = whole(shape(.output)?.first) ?? (isCutByColumns ? shape(.tokEmbeddings)?.first : whole(shape(.tokEmbeddings)?.first))
    var notes = ["it is one file, without what describes it: the number of heads and RoPE aren't known"]
    if shards > 1 { notes.append("it is one of \(shards) shards, and shapes are the shard's own; name the release with --model to see the whole") }
    if layers == 0 || shape(.tokEmbeddings) == nil || shape(.norm) == nil { notes.append("it holds a part of a model, whose other tensors are in other files") }
    return CheckpointOutline(
      format: format, modelParallel: shards,
      params: .shapes(dim: dim, layers: layers, hiddenDim: whole(shape(.w1)?.first), vocabularySize: vocabulary),
      tensors: tensors.keys.sorted().compactMap { name in
        tensors[name].map {
          .init(name: name, shape: $0.shape, dtype: $0.dtype, split: shards > 1 ? name.role.split(embeddingAxis: isCutByColumns ? 1 : 0) : .whole,
            parts: 1)
        }
      }, notes: notes)
  }
}
