import Glibc

/// Which files of a repository are fetched.
///
/// Where nobody says: what runs the model, once, and what people read beside it. The same weights lie in many repositories in several formats.
public struct HubSelection: Sendable {
  /// Patterns as huggingface_hub takes them (fnmatch, whose `*` goes over slashes); empty for what runs the model.
  public let include: [String]
  public let exclude: [String]
  /// Names of files that come along from the root, whatever is included: licences, policies and cards.
  public let companions: [String]

  public init(include: [String] = [], exclude: [String] = [], companions: [String] = []) { (self.include, self.exclude, self.companions) = (include, exclude, companions) }

  /// - Throws: `.noFile` for a pattern that nothing fits; `.ambiguous` where several GGUFs lie beside each other.
  public func files(of repository: HubRepository) throws(HubError) -> [HubRepository.File] {
    let name = repository.name
    var files: [HubRepository.File]
    if include.isEmpty {
      files = try Self.whatRuns(repository.files.filter { !isExcluded($0.path) }, name)
    } else {
      for pattern in include where !repository.files.contains(where: { Self.fits($0.path, pattern) }) { throw .noFile(name, pattern: pattern) }
      files = repository.files.filter { file in !isExcluded(file.path) && (companions.contains(file.path) || include.contains { Self.fits(file.path, $0) }) }
    }
    guard !files.isEmpty else { throw .noFile(name, pattern: "what was asked for") }
    // What lies in the root first: it is what the folder is.
    files.sort { ($0.path.contains("/") ? 1 : 0, $0.path) < ($1.path.contains("/") ? 1 : 0, $1.path) }
    return files
  }

  private func isExcluded(_ path: String) -> Bool { exclude.contains { Self.fits(path, $0) } }

  private static func fits(_ path: String, _ pattern: String) -> Bool { fnmatch(pattern.hasSuffix("/") ? pattern + "*" : pattern, path, 0) == 0 }

  /// Formats of weights, or of programs made of them.
  private static let weights = [".safetensors", ".gguf", ".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".ot", ".onnx", ".onnx_data", ".tflite", ".mlmodel", ".npz", ".pte", ".nemo", ".zip", ".gz", ".tar"]
  private static let others = [".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".mp4", ".pdf"]

  private static func whatRuns(_ all: [HubRepository.File], _ name: HubName) throws(HubError) -> [HubRepository.File] {
    func ends(_ path: String, _ endings: [String]) -> Bool { endings.contains { path.lowercased().hasSuffix($0) } }
    let root = all.filter { !$0.path.contains("/") && !$0.path.hasPrefix(".") }
    let beside = root.filter { !ends($0.path, weights + others) && !$0.path.hasSuffix(".index.json") }
    let templates = all.filter { $0.path.hasPrefix("additional_chat_templates/") && $0.path.hasSuffix(".jinja") }
    func with(_ weights: [HubRepository.File], index: String) -> [HubRepository.File] { beside + templates + weights + root.filter { $0.path == index } }

    let safetensors = root.filter { ends($0.path, [".safetensors"]) }
    // transformers' names before Mistral's for the same weights.
    let standard = safetensors.filter { $0.path == "model.safetensors" || $0.path.hasPrefix("model-") && $0.path.contains("-of-") }
    if !safetensors.isEmpty { return with(standard.isEmpty ? safetensors : standard, index: "model.safetensors.index.json") }
    let pickles = root.filter { $0.path == "pytorch_model.bin" || $0.path.hasPrefix("pytorch_model-") && $0.path.hasSuffix(".bin") }
    if !pickles.isEmpty { return with(pickles, index: "pytorch_model.bin.index.json") }
    let shards = root.filter { $0.path.hasPrefix("consolidated.") && $0.path.hasSuffix(".pth") }
    if !shards.isEmpty { return with(shards, index: "") }
    let models = gguf(root.filter { ends($0.path, [".gguf"]) })
    if models.count > 1 { throw .ambiguous(name, files: models.map { $0.count == 1 ? $0[0].path : String($0[0].path.dropLast("00001-of-00002.gguf".count)) + "*" }) }
    if let model = models.first { return with(model, index: "") }
    throw .noFile(name, pattern: "what runs a model (safetensors, pytorch_model*.bin, consolidated.*.pth or .gguf in its root); --include names others")
  }

  /// The parts of a split file belong together: `NAME-00001-of-00003.gguf`.
  private static func gguf(_ files: [HubRepository.File]) -> [[HubRepository.File]] {
    var models: [(stem: Substring, files: [HubRepository.File])] = []
    for file in files {
      let ending = file.path.suffix("-00001-of-00003.gguf".count)
      let isPart = ending.hasPrefix("-") && ending.dropFirst(6).hasPrefix("-of-") && ending.utf8.filter { (0x30...0x39).contains($0) }.count == 10
      let stem = isPart ? file.path.dropLast(ending.count) : file.path[...]
      if isPart, let index = models.firstIndex(where: { $0.stem == stem }) { models[index].files.append(file) } else { models.append((stem, [file])) }
    }
    return models.map(\.files)
  }
}
