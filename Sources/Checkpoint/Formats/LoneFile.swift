import Integrity
import SystemPackage

/// One file of weights, seen by itself.
struct LoneFile {
  let file: any ByteSource
  let format: Checkpoint.Format
  let tensors: [TensorName: StoredTensor]
  private let scheme: NamingScheme
  /// A tensor that holds several, which only the number of heads can tell apart.
  private let fused: String?
  private let extras: ExtraTensors

  init(_ file: any ByteSource) throws(CheckpointError) {
    self.file = file
    let stored = try WeightsFile.read(file, index: 0)
    scheme = NamingScheme.of(stored.names) ?? .meta
    format = scheme.descriptions.first == .config ? .hf : try WeightsFile.Kind(file) == .safetensors ? .safetensors : .pth
    var names = NamedWeights(scheme)
    try names.add(stored, in: file.path)
    (fused, extras) = (names.fused.first, names.extras)
    tensors = names.takeWeights()
  }

  /// The shape in the first layer that is here.
  private func shape(_ role: TensorName.Role) -> [Int]? {
    tensors.keys.filter { $0.role == role }.min().flatMap { tensors[$0]?.shape }
  }

  /// Shards of the release that the file is from: in every Llama the heads together are as wide as the model.
  private var modelParallel: Int? {
    guard let dim = shape(.norm)?.first ?? shape(.attentionNorm)?.first, let rows = shape(.wq)?.first ?? shape(.wo)?.last, dim % rows == 0 else { return nil }
    return dim / rows
  }

  private var layers: Int { Set(tensors.keys.compactMap(\.layer)).count }

  /// The files one of which beside this one makes a checkpoint of it; none when more than that is missing.
  var descriptions: [DescriptionFile] {
    modelParallel == 1 && shape(.tokEmbeddings) != nil && shape(.norm) != nil ? scheme.descriptions : []
  }

  func outline() throws(CheckpointError) -> CheckpointOutline {
    guard !tensors.isEmpty else { throw CheckpointError(.corrupt, in: file.path, (["holds no weights"] + extras.notes).joined(separator: "; ")) }
    if let fused {
      throw CheckpointError(
        .missing, in: file.path, "has \(fused), in which several projections lie: how many heads there are, \(scheme.descriptions.map(\.rawValue).joined(separator: " or ")) beside it must say")
    }
    let shards = modelParallel ?? 1
    let dim = shape(.norm)?.first ?? shape(.attentionNorm)?.first ?? shape(.w1)?.last
    let isCutByColumns = shards > 1 && shape(.tokEmbeddings)?.last != dim
    func whole(_ rows: Int?) -> Int? { rows.flatMap { product($0, shards) } }
    let vocabulary = whole(shape(.output)?.first) ?? (isCutByColumns ? shape(.tokEmbeddings)?.first : whole(shape(.tokEmbeddings)?.first))
    var notes = ["it is one file, without what describes it: the number of heads and RoPE aren't known"]
    if shards > 1 { notes.append("it is one of \(shards) shards, and shapes are the shard's own; name the release with --model to see the whole") }
    notes += extras.notes
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
