import Integrity
import SystemPackage

extension CheckpointOutline {
  /// Reads the headers of a checkpoint's folder that is elsewhere.
  ///
  /// - Parameters:
  ///   - folder: what messages call it.
  ///   - names: files in it, as a folder of this machine would have them.
  ///   - open: opens one of them.
  /// - Throws: what `open` or its sources throw, or `CheckpointError`.
  public static func read(folder: FilePath, names: [String], open: @escaping (String) throws -> any RangeSource) throws -> CheckpointOutline {
    try reading { () throws(CheckpointError) in
      CheckpointOutline(try CheckpointFolder(path: folder, names: names.sorted(), open: opener(open)).checkpoint())
    }
  }

  /// Reads the headers of one file that is elsewhere: a `.pth`, a safetensors file or a GGUF, told apart by their content.
  ///
  /// - Parameters:
  ///   - name: what messages call it.
  ///   - sibling: opens a file beside it by name; nil when it isn't there. Asked for what describes the weights.
  /// - Throws: what `sibling` or the sources throw, or `CheckpointError`.
  public static func read(
    file source: any RangeSource, name: FilePath, sibling: @escaping (String) throws -> (any RangeSource)?
  ) throws -> CheckpointOutline {
    try reading { () throws(CheckpointError) in
      let file = try RemoteHeaders(source, path: name)
      if try content(of: file) == .gguf { return CheckpointOutline(try GGUFReader.open(file)) }
      let lone = try LoneFile(file)
      guard let description = lone.description else { return try lone.outline() }
      let beside: (any RangeSource)?
      do { beside = try sibling(description) } catch {
        throw CheckpointError(.io, in: name, "\(description) beside it can't be fetched: \(error)", cause: error)
      }
      guard let beside else { return try lone.outline() }
      let path = FilePath(description)
      let descriptionFile = try RemoteHeaders(beside, path: path)
      let folder = CheckpointFolder(path: "", names: [description, name.string]) { $0 == path ? descriptionFile : file }
      return CheckpointOutline(
        description == "config.json"
          ? try HuggingFaceReader.open(folder, [name]) : try MetaFolder.open(folder, [[name]], format: lone.format))
    }
  }

  /// Runs `body`, and throws what a source threw in place of what a reader made of it.
  private static func reading(_ body: () throws(CheckpointError) -> CheckpointOutline) throws -> CheckpointOutline {
    do { return try body() } catch { throw error.cause ?? error }
  }

  private static func opener(_ open: @escaping (String) throws -> any RangeSource) -> (FilePath) throws(CheckpointError) -> any ByteSource {
    { path throws(CheckpointError) in
      let source: any RangeSource
      do { source = try open(path.lastComponent?.string ?? "") } catch {
        throw CheckpointError(.io, in: path, "can't be fetched: \(error)", cause: error)
      }
      return try RemoteHeaders(source, path: path)
    }
  }

  enum Content { case pth, safetensors, gguf }

  /// What a file is, by its first bytes.
  static func content(of file: any ByteSource) throws(CheckpointError) -> Content {
    let head = try file.bytes(0..<min(file.count, 16))
    if head.starts(with: "GGUF".utf8) { return .gguf }
    // A zip, or torch's format from before it, which the reader of zips knows to name.
    if head.starts(with: "PK".utf8) || head.first == 0x80 { return .pth }
    if head.count > 8, head[8] == UInt8(ascii: "{") { return .safetensors }
    throw CheckpointError(.corrupt, in: file.path, byte: 0, "is neither a .pth, nor a safetensors file, nor a GGUF")
  }
}

/// One file of weights, seen by itself.
private struct LoneFile {
  let file: any ByteSource
  let format: Checkpoint.Format
  let tensors: [TensorName: StoredTensor]

  init(_ file: any ByteSource) throws(CheckpointError) {
    self.file = file
    let isPth = try CheckpointOutline.content(of: file) == .pth
    let stored = isPth ? try PthReader.read(file, index: 0).tensors : try SafetensorsReader.read(file, index: 0).tensors
    let isMeta = stored.keys.contains { TensorName($0) != nil }
    format = isPth ? .pth : isMeta ? .safetensors : .hf
    var tensors: [TensorName: StoredTensor] = [:]
    for (text, tensor) in stored where !text.hasSuffix(".rotary_emb.inv_freq") {
      guard let name = isMeta || isPth ? TensorName(text) : HuggingFaceReader.metaName(text) else {
        throw CheckpointError(.unsupported, in: file.path, "has the tensor \(text), which isn't one of a Llama text model")
      }
      tensors[name] = tensor
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
