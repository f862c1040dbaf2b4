/// One model as Meta releases it: what to fetch, where it goes, and what it is.
///
/// The JSON form is that of the files in `Manifests/releases`, and of `drover download --manifest`.
public struct Release: Sendable, Hashable {
  /// The catalog's own name, unique in it: mostly the folder that the files land in.
  public var id: String
  /// Other names that mean this release, as Meta's scripts and pages have them.
  public var aliases: [String]
  /// Names that Meta's script for this release takes, but that the catalog gives to another (`7B` is Llama 1, Llama 2 and Code Llama).
  public var contested: [String]
  /// Such as `Llama 2`.
  public var family: String
  /// Weights in all, without buffers; nil when the manifest doesn't say.
  public var parameters: Int?
  /// Shards that the weights come in.
  public var modelParallel: Int
  /// Where the links to its family lead, the one that Meta's form gives for it first; empty when the manifest doesn't say.
  public var hosts: [String]
  /// Links to servers that have its files, each with a `*` for a file's `remote`; empty where the link is given beside the manifest. They may be signed, so nothing shows them.
  public var mirrors: [String]
  /// Every file, those that several releases share included. A name that ends in `.chk` is a checklist of the files beside it.
  public var files: [File]
  /// Path of the tokenizer's file among `files`.
  public var tokenizer: String?
  /// How a dialog becomes tokens: `llama2`, `llama3` or `codellama70b`, of guards `llamaguard1` and so on; nil for models that weren't trained to chat.
  public var chatFormat: String?
  public var license: String?
  /// Where its publisher shows what goes with it.
  public var documents: Documents
  /// Hyperparameters where they are known before `params.json` is here.
  public var shape: Shape?
  /// What the release's own `params.json` says although its tensors' shapes don't bear it out, by key: `vocab_size` without the tokens that were added.
  public var contradictions: [String: Int]

  /// One file of a release.
  public struct File: Sendable, Hashable {
    /// Where it lands, relative to the download's folder.
    public var path: String
    /// What stands for the `*` of the link.
    public var remote: String
    /// Whether the release is whole without it (a licence's text).
    public var isOptional: Bool
    /// What it hashes to, in hexadecimal digits, where the manifest says so; at most one of the three.
    public var sha256: String?
    public var md5: String?
    /// git's name for it.
    public var blob: String?

    public init(path: String, remote: String, isOptional: Bool = false) {
      self.path = path
      self.remote = remote
      self.isOptional = isOptional
    }
  }

  /// Links to what one reads before one uses the model; nil where there is none.
  public struct Documents: Sendable, Hashable, Codable {
    public var license: String?
    public var modelCard: String?
    /// The acceptable-use policy.
    public var usePolicy: String?
  }

  public struct Shape: Sendable, Hashable, Codable {
    /// Width of the residual stream.
    public var dim: Int
    public var layers: Int
    public var heads: Int
    public var kvHeads: Int
    /// Width of the feed-forward layer.
    public var hiddenDim: Int
    public var vocabularySize: Int
    /// The base of RoPE's frequencies; nil when the manifest doesn't say.
    public var ropeTheta: Double?
  }

  /// The folder of the weights, relative to the download's folder; empty when they lie at its root.
  public var folder: String {
    let weights = files.first { $0.path.hasSuffix(".pth") || $0.path.hasSuffix(".safetensors") } ?? files.last
    guard let path = weights?.path, let slash = path.lastIndex(of: "/") else { return "" }
    return String(path[..<slash])
  }

  /// The files that make the checkpoint, by the names that they would have in one folder: those beside the weights, and the tokenizer, which may lie
  /// above them, where several releases share it.
  public var checkpointFiles: [String: File] {
    let prefix = folder.isEmpty ? "" : folder + "/"
    var named: [String: File] = [:]
    for file in files where file.path.hasPrefix(prefix) && !file.path.dropFirst(prefix.count).contains("/") {
      named[String(file.path.dropFirst(prefix.count))] = file
    }
    for file in files where file.path == tokenizer { named[String(file.path.split(separator: "/").last ?? "")] = file }
    return named
  }
}

extension Release: Codable {
  private enum CodingKeys: String, CodingKey {
    case id, aliases, contested, family, parameters, modelParallel, hosts, mirrors, files, tokenizer, chatFormat, license, documents, shape, contradictions
  }

  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    id = try values.decode(String.self, forKey: .id)
    aliases = try values.decodeIfPresent([String].self, forKey: .aliases) ?? []
    contested = try values.decodeIfPresent([String].self, forKey: .contested) ?? []
    family = try values.decodeIfPresent(String.self, forKey: .family) ?? id
    parameters = try values.decodeIfPresent(Int.self, forKey: .parameters)
    files = try values.decode([File].self, forKey: .files)
    modelParallel = try values.decodeIfPresent(Int.self, forKey: .modelParallel) ?? max(1, files.count { $0.path.hasSuffix(".pth") })
    tokenizer = try values.decodeIfPresent(String.self, forKey: .tokenizer)
    chatFormat = try values.decodeIfPresent(String.self, forKey: .chatFormat)
    license = try values.decodeIfPresent(String.self, forKey: .license)
    hosts = try values.decodeIfPresent([String].self, forKey: .hosts) ?? []
    mirrors = try values.decodeIfPresent([String].self, forKey: .mirrors) ?? []
    documents = try values.decodeIfPresent(Documents.self, forKey: .documents) ?? Documents()
    shape = try values.decodeIfPresent(Shape.self, forKey: .shape)
    contradictions = try values.decodeIfPresent([String: Int].self, forKey: .contradictions) ?? [:]
  }

  /// Every key is written, `null` where there is nothing to say: scripts needn't ask first.
  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    try values.encode(id, forKey: .id)
    try values.encode(aliases, forKey: .aliases)
    try values.encode(contested, forKey: .contested)
    try values.encode(family, forKey: .family)
    try values.encode(parameters, forKey: .parameters)
    try values.encode(modelParallel, forKey: .modelParallel)
    try values.encode(hosts, forKey: .hosts)
    try values.encode(files, forKey: .files)
    try values.encode(tokenizer, forKey: .tokenizer)
    try values.encode(chatFormat, forKey: .chatFormat)
    try values.encode(license, forKey: .license)
    try values.encode(documents, forKey: .documents)
    try values.encode(shape, forKey: .shape)
    try values.encode(contradictions, forKey: .contradictions)
  }
}

extension Release.File: Codable {
  private enum CodingKeys: String, CodingKey {
    case path, remote, sha256, md5, blob
    case isOptional = "optional"
  }

  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    path = try values.decode(String.self, forKey: .path)
    remote = try values.decodeIfPresent(String.self, forKey: .remote) ?? path
    isOptional = try values.decodeIfPresent(Bool.self, forKey: .isOptional) ?? false
    sha256 = try values.decodeIfPresent(String.self, forKey: .sha256)
    md5 = try values.decodeIfPresent(String.self, forKey: .md5)
    blob = try values.decodeIfPresent(String.self, forKey: .blob)
  }

  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    try values.encode(path, forKey: .path)
    try values.encode(remote, forKey: .remote)
    if isOptional { try values.encode(true, forKey: .isOptional) }
    try values.encodeIfPresent(sha256, forKey: .sha256)
    try values.encodeIfPresent(md5, forKey: .md5)
    try values.encodeIfPresent(blob, forKey: .blob)
  }
}

extension Release {
  /// Says what is wrong with a manifest that someone else wrote; nil when nothing is.
  func defect() -> String? {
    if id.isEmpty || id.contains(where: { $0 == "," || $0.isWhitespace }) { return "the id \"\(id)\" is empty or has a comma or a space in it" }
    // It stands in the receipt.
    if id.hasPrefix("/") || id.contains("://") { return "the id \"\(id)\" is a path or a link" }
    if files.isEmpty { return "\(id) has no files" }
    if modelParallel < 1 || modelParallel > 1024 { return "\(id) has a modelParallel of \(modelParallel)" }
    var paths = Set<String>()
    for file in files {
      for path in [file.path, file.remote] {
        if let reason = Self.danger(ofPath: path) { return "\(id) has the path \"\(path)\", which \(reason)" }
      }
      let digests = [("sha256", file.sha256, 64), ("md5", file.md5, 32), ("blob", file.blob, 40)].filter { $0.1 != nil }
      for (name, digits, count) in digests where digits.map({ $0.utf8.count == count && $0.utf8.allSatisfy(Self.isHexadecimal) }) == false {
        return "\(id) says that the \(name) of \"\(file.path)\" is something else than \(count) hexadecimal digits"
      }
      if digests.count > 1 { return "\(id) has \(digests.map(\.0).joined(separator: " and ")) of \"\(file.path)\", and only one of them would be checked: leave the strongest" }
      // Two names that differ in case are one file on some file systems.
      if !paths.insert(file.path.lowercased()).inserted { return "\(id) has two files at \"\(file.path)\"" }
    }
    if let tokenizer, !files.contains(where: { $0.path == tokenizer }) { return "\(id) names the tokenizer \"\(tokenizer)\", which isn't among its files" }
    if let shape, [shape.dim, shape.layers, shape.heads, shape.kvHeads, shape.hiddenDim, shape.vocabularySize].contains(where: { $0 < 1 }) {
      return "\(id) has a shape with a number below 1"
    }
    if let theta = shape?.ropeTheta, !(theta > 1 && theta.isFinite) { return "\(id) has a shape with the ropeTheta \(theta)" }
    return nil
  }

  private static func isHexadecimal(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"), UInt8(ascii: "A")...UInt8(ascii: "F"): true
    default: false
    }
  }

  /// Why a path must not be joined to a folder; nil when it stays below it.
  package static func danger(ofPath path: String) -> String? {
    if path.isEmpty { return "is empty" }
    if path.hasPrefix("/") { return "is absolute" }
    if path.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F || $0 == "\\" }) { return "has a control character or a backslash in it" }
    for ending in [".part", ".part.journal", "drover-receipt.json"] where path.lowercased().hasSuffix(ending) { return "ends in \(ending), which drover uses itself" }
    for part in path.split(separator: "/", omittingEmptySubsequences: false) {
      if part == ".." { return "leads out of the folder" }
      if part.isEmpty || part == "." { return "has an empty part" }
      if part.utf8.count > 200 { return "has a part longer than 200 bytes" }
    }
    return nil
  }
}
