import Platform
import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// The folder that ollama keeps its models in.
///
/// `blobs/sha256-HEX` has each content once; `manifests/HOST/NAMESPACE/MODEL/TAG`, a small JSON file, says which of them make a model. Newer ones have such
/// files as blobs too, and links to them in `manifests-v2` (ollama's `manifest/manifest.go` and `paths.go`).
public struct OllamaStore: Sendable {
  public let path: FilePath

  public init(path: FilePath) { self.path = path }

  /// - Returns: nil for a folder that isn't one.
  public init?(at path: FilePath) {
    guard (try? Directory.kind(of: path.appending("blobs"))) == .folder, Self.manifestFolders.contains(where: { (try? Directory.kind(of: path.appending($0))) == .folder }) else { return nil }
    self.path = path
  }

  /// The store of a manifest, by where that lies.
  /// - Returns: nil for a path that doesn't lead to one.
  public init?(ofManifest path: FilePath) {
    guard (try? Directory.kind(of: path)) == .file else { return nil }
    var folder = path.lexicallyNormalized()
    for _ in 0..<5 {
      folder.removeLastComponent()
      guard let name = folder.lastComponent?.string else { return nil }
      if Self.manifestFolders.contains(name) {
        self.init(at: folder.removingLastComponent().isEmpty ? "." : folder.removingLastComponent())
        return
      }
    }
    return nil
  }

  /// OLLAMA_MODELS, else `.ollama/models` in the home; the service that ollama's installer sets up has a home of its own.
  public static func folders(_ variables: [String: String]) -> [FilePath] {
    func variable(_ name: String) -> String? { variables[name].flatMap { $0.isEmpty ? nil : $0 } }
    if let folder = variable("OLLAMA_MODELS") { return [FilePath(folder)] }
    return [HubFolders.home(variable).map { FilePath($0).appending(".ollama").appending("models") }, "/usr/share/ollama/.ollama/models"].compactMap(\.self)
  }

  private static let manifestFolders = ["manifests-v2", "manifests"]

  var blobs: FilePath { path.appending("blobs") }
  public func blob(_ digest: Digest) -> FilePath { blobs.appending("sha256-" + digest.hex) }

  /// - Parameter name: of a file in `blobs`.
  static func digest(ofBlobNamed name: String) -> Digest? {
    guard name.hasPrefix("sha256-"), let digest = Digest(hex: name.dropFirst(7)), digest.algorithm == .sha256 else { return nil }
    return digest
  }

  // MARK: Models

  /// A model and where its manifest lies.
  public struct Model: Sendable {
    /// As `ollama list` has it.
    public let name: String
    public let manifest: FilePath
  }

  /// All of its models, in the order of their names.
  public var models: [Model] {
    var models: [String: FilePath] = [:]
    for root in Self.manifestFolders.map({ path.appending($0) }) {
      func walk(_ folder: FilePath, _ names: [String]) {
        for name in (try? Directory.names(in: folder)) ?? [] {
          let (path, names) = (folder.appending(name), names + [name.string])
          if names.count < 4 { walk(path, names) } else if let name = Self.name(names), models[name] == nil { models[name] = path }
        }
      }
      walk(root, [])
    }
    return models.map { Model(name: $0.key, manifest: $0.value) }.sorted { $0.name < $1.name }
  }

  /// `HOST/NAMESPACE/MODEL:TAG` without what stands for itself.
  private static func name(_ parts: [String]) -> String? {
    guard parts.count == 4 else { return nil }
    let host = parts[0] == "registry.ollama.ai" ? "" : parts[0] + "/"
    return host + (host.isEmpty && parts[1] == "library" ? "" : parts[1] + "/") + parts[2] + ":" + parts[3]
  }

  /// - Parameter name: `MODEL`, with `:TAG` behind it and `NAMESPACE/` or `HOST/NAMESPACE/` before it where they aren't the usual ones.
  public func model(named name: String) -> Model? {
    let name = name.split(separator: "/").last?.contains(":") == true ? name : name + ":latest"
    return models.first { $0.name.lowercased() == name.lowercased() }
  }

  // MARK: Manifests

  public struct Layer: Sendable, Equatable {
    public let mediaType: String
    public let digest: Digest
    public let bytes: Int
    /// The program that it is for, where a manifest has several models; empty where it doesn't say.
    public var runner = ""
  }

  /// What a model is made of.
  public struct Manifest: Sendable, Equatable {
    public var layers: [Layer] = []
    /// Other manifests, of which one is meant.
    public var choices: [Layer] = []

    static let mostBytes = 4 << 20
    /// Of a manifest itself.
    static let mediaType = "application/vnd.docker.distribution.manifest.v2+json"

    /// - Parameter path: what errors call it.
    package init(parsing bytes: [UInt8], path: FilePath) throws(VerificationError) {
      do throws(JSONError) { self = try JSONReader.read(bytes) { (reader) throws(JSONError) in try Manifest(&reader, depth: 0) } } catch {
        throw .manifest(path, why: "byte \(error.byte): it \(error.sentence)")
      }
      guard !layers.isEmpty || !choices.isEmpty else { throw .manifest(path, why: "it names no blobs") }
    }

    private init(_ reader: inout JSONReader, depth: Int) throws(JSONError) {
      var (layers, choices): ([Layer], [Layer]) = ([], [])
      try reader.members { (reader, key) throws(JSONError) in
        switch key {
        case "config": if let layer = try Layer(&reader) { layers.append(layer) }
        case "layers": if !reader.takesNull() { try reader.array { (reader) throws(JSONError) in if let layer = try Layer(&reader) { layers.append(layer) } } }
        case "manifests":
          if depth > 0 { throw reader.error("a list of manifests in another") }
          if !reader.takesNull() { try reader.array { (reader) throws(JSONError) in if let choice = try Layer(&reader) { choices.append(choice) } } }
        default: try reader.skip()
        }
      }
      (self.layers, self.choices) = (layers, choices)
    }
  }

  /// Reads a manifest, whose link is followed only to a blob of this store.
  public func manifest(at manifest: FilePath) throws(VerificationError) -> Manifest {
    var status = stat()
    if manifest.withPlatformString({ lstat($0, &status) }) == 0, status.st_mode & S_IFMT == S_IFLNK {
      guard let real = manifest.realPath else { throw .missing(manifest) }
      guard let name = real.lastComponent?.string, Self.digest(ofBlobNamed: name) != nil, blobs.appending(name).realPath == real else { throw .leavesStore(manifest, target: real) }
    }
    let bytes: [UInt8]
    do throws(Errno) { bytes = try SmallFile.read(manifest, atMost: Manifest.mostBytes) } catch { throw .unreadable(manifest, error) }
    return try Manifest(parsing: bytes, path: manifest)
  }

  /// The GGUF of a model, and what ollama would do with it besides, in sentences.
  /// - Throws: where it is made of more than one file of weights, or of none that is here.
  public func weights(of model: Model) throws(VerificationError) -> (FilePath, notes: [String]) {
    func refuse(_ why: String) -> VerificationError { .unusable(model.manifest, why: why) }
    var manifest = try manifest(at: model.manifest)
    if !manifest.choices.isEmpty {
      // Those for the programs that run GGUF, in ollama's order.
      guard let choice = ["ollama", "llamacpp", ""].lazy.compactMap({ runner in manifest.choices.first { $0.runner.lowercased() == runner } }).first else {
        throw refuse("it has no model in GGUF, but for \(manifest.choices.map(\.runner).joined(separator: ", "))")
      }
      manifest = try self.manifest(at: blob(choice.digest))
    }
    func layers(_ kind: String) -> [Layer] { manifest.layers.filter { $0.mediaType == "application/vnd.ollama.image." + kind || $0.mediaType.hasPrefix("application/vnd.ollama.image.\(kind);") } }
    if !layers("adapter").isEmpty { throw refuse("it has an adapter (LoRA), which changes what the weights say; drover runs models without") }
    if !layers("tensor").isEmpty { throw refuse("its weights lie in a file a tensor, for another program than llama.cpp") }
    guard let weights = layers("model").first, layers("model").count == 1 else { throw refuse("it has \(layers("model").count) files of weights, and one makes a model") }
    guard Directory.exists(blob(weights.digest)) else { throw .missing(blob(weights.digest)) }
    let own = ["template", "system", "params", "messages"].filter { !layers($0).isEmpty }
    var notes = own.isEmpty ? [] : ["ollama's own \(own.joined(separator: ", ")) of \(model.name) \(own.count == 1 ? "isn't" : "aren't") used: the weights' file says how a chat is written"]
    if !layers("projector").isEmpty { notes.append("\(model.name) sees images by way of a second file, which isn't used") }
    return (blob(weights.digest), notes)
  }
}

extension OllamaStore.Layer {
  /// - Returns: nil for an entry without a digest, as an empty configuration is.
  fileprivate init?(_ reader: inout JSONReader) throws(JSONError) {
    var (mediaType, digest, runner): (String, String, String) = ("", "", "")
    var bytes = 0
    var isNested = false
    try reader.members { (reader, key) throws(JSONError) in
      switch key {
      case "mediaType": mediaType = try reader.text()
      case "digest": digest = try reader.text()
      case "size": bytes = try reader.size("size")
      case "runner": runner = try reader.text()
      case "layers", "config":
        isNested = true
        try reader.skip()
      default: try reader.skip()
      }
    }
    if isNested { throw reader.error("a manifest written out within another, which this drover doesn't know") }
    if digest.isEmpty { return nil }
    guard digest.hasPrefix("sha256:") || digest.hasPrefix("sha256-"), let hash = Digest(hex: digest.dropFirst(7)), hash.algorithm == .sha256 else {
      throw reader.error("“\(digest.prefix(80))”, where the SHA-256 of a blob should be")
    }
    self.init(mediaType: mediaType, digest: hash, bytes: bytes, runner: runner)
  }
}
