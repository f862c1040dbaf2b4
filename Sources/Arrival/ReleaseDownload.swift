import Catalog
import Checkpoint
import Integrity
import SystemPackage
import Transfer

/// The download of one or several models, with a receipt in the folder of each: releases over a signed link, or repositories of Hugging Face's hub.
public struct ReleaseDownload: Sendable {
  public let request: TransferRequest
  /// Sentences that a person should read before it begins.
  public let notes: [String]
  let models: [Model]

  /// What gets a receipt of its own.
  struct Model: Sendable {
    /// What messages call it.
    let name: String
    /// Relative to the download's folder.
    let folder: FilePath
    let origin: Receipt.Origin
    /// Paths in the download, each with whether the model is whole without it.
    let files: [String: Bool]
    /// The files that make the checkpoint, by their names in its folder: their paths in the download.
    let checkpointFiles: [String: String]
    let follower: ReleaseFollower
    /// What is known of it beforehand.
    var shape: StatedShape?
    /// Whether others may lie in its folder that came each by itself too.
    var isLoneFile = false
  }

  /// Room for the zip directory of the largest shards, where each tensor takes about a hundred bytes.
  private static let directoryBytes = 1 << 20

  /// - Parameter request: how to download; its files are set here.
  /// - Throws: `.sharedPath` where two releases would overwrite each other's files.
  public init(_ releases: [Release], _ request: TransferRequest) throws(ArrivalError) {
    try self.init(
      releases.map { release in
        Model(
          name: release.folder.isEmpty ? release.id : release.folder, folder: FilePath(release.folder), origin: .release(release.id),
          files: Dictionary(release.files.map { ($0.path, $0.isOptional) }) { first, _ in first },
          checkpointFiles: release.checkpointFiles.mapValues(\.path), follower: ReleaseFollower(release),
          shape: release.shape.map { StatedShape(layers: $0.layers, kvHeads: $0.kvHeads, headDim: $0.dim / $0.heads) })
      },
      releases.flatMap(\.files).map { .init(path: $0.path, remote: $0.remote, isOptional: $0.isOptional, digest: $0.digest) }, request)
  }

  /// One file behind a link of its own.
  /// - Parameters:
  ///   - name: the link's.
  ///   - hosts: of the link and its mirrors, for the receipt.
  ///   - digest: what somebody says of it.
  /// - Throws: `.unsafePath` for a name that drover uses itself.
  public init(file name: String, from hosts: [String], digest: Digest?, _ request: TransferRequest) throws(ArrivalError) {
    if let danger = Release.danger(ofPath: name) { throw .unsafeName(name, why: danger) }
    let model = Model(
      name: name, folder: "", origin: .hosts(hosts), files: [name: false], checkpointFiles: [name: name],
      // Of other formats one file alone makes no checkpoint.
      follower: ReleaseFollower(name.hasSuffix(".gguf") ? [name: name] : [:], keyValueHeads: nil), isLoneFile: true)
    try self.init([model], [.init(path: name, remote: name, digest: digest.map { .hash($0) })], request)
  }

  /// - Parameters:
  ///   - repositories: each with the files that are wanted of it.
  ///   - request: how to download; its files are set here.
  ///   - cache: the folder of the hub's cache, from which files are copied that it has.
  ///   - isOffline: whether they come from there alone.
  /// - Throws: `.unsafePath` for a file that must not be written; `.sharedPath` where two repositories have the same last name.
  public init(_ repositories: [(HubRepository, files: [HubRepository.File])], _ request: TransferRequest, cache: FilePath? = nil, isOffline: Bool = false) throws(ArrivalError) {
    var wanted: [TransferRequest.File] = []
    var models: [Model] = []
    var notes: [String] = []
    for (repository, files) in repositories {
      let folder = repository.name.name
      let earlier = Self.earlier(repository, in: request.folder.appending(folder))
      for path in earlier.keys.sorted() where !repository.files.contains(where: { $0.path == path }) {
        notes.append("\(folder)/\(path): this version of \(repository.name) has no such file; it stays, and isn't part of what is here any more")
      }
      var paths: [String: Bool] = [:]
      var checkpointFiles: [String: String] = [:]
      for file in files {
        let path = folder + "/" + file.path
        if let danger = Release.danger(ofPath: path) { throw .unsafePath(file.path, of: repository.name.description, why: danger) }
        let blob = cache.map { CachedRepository(repository.name.repository, in: $0).blob(file.digest) }
        wanted.append(
          .init(
            path: path, remote: repository.remote(file.path), bytes: file.bytes, digest: file.digest, replaceable: earlier[file.path],
            stored: blob.map { StoredCopy($0, isOnly: isOffline) }))
        paths[path] = false
        if !file.path.contains("/") { checkpointFiles[file.path] = path }
      }
      models.append(
        Model(
          name: folder, folder: FilePath(folder), origin: .repository(repository.name.repository, commit: repository.commit), files: paths,
          checkpointFiles: checkpointFiles, follower: ReleaseFollower(checkpointFiles, keyValueHeads: nil)))
    }
    try self.init(models, wanted, request, notes)
  }

  /// What an earlier download of the same repository says that it put into the folder.
  private static func earlier(_ repository: HubRepository, in folder: FilePath) -> [String: Digest] {
    guard let receipt = try? Receipt(contentsOf: folder.appending(Receipt.fileName)), case .repository(repository.name.repository, _) = receipt.origin else { return [:] }
    return Dictionary(receipt.files.compactMap { file in file.sha256.map { (file.path.string, $0.digest) } }) { first, _ in first }
  }

  private init(_ models: [Model], _ files: [TransferRequest.File], _ request: TransferRequest, _ notes: [String] = []) throws(ArrivalError) {
    var request = request
    request.files = []
    var remotes: [String: String] = [:]
    for var file in files {
      if let other = remotes.updateValue(file.remote, forKey: file.path) {
        guard other == file.remote else { throw .sharedPath(file.path) }
        continue
      }
      if file.path.hasSuffix(".pth") { file.directoryBytes = Self.directoryBytes }
      request.files.append(file)
    }
    self.request = request
    self.models = models
    self.notes = notes
  }

  /// What makes the fingerprints of the weights while they arrive, for `Download`.
  public var followers: [String: any ContentFollower] {
    models.reduce(into: [:]) { all, one in all.merge(one.follower.followers) { first, _ in first } }
  }

  /// The receipts that are due when the download has ended: one for each model that is here, whatever became of others.
  /// - Parameters:
  ///   - tool: the program and its version.
  ///   - options: what the download was told, but for the link and for what names places on this machine.
  public func receipts(_ report: TransferReport, tool: String, options: [String: String]) -> [DownloadReceipt] {
    let here = Set(report.files.map(\.path))
    return models.compactMap { model in
      guard model.files.allSatisfy({ path, isOptional in isOptional || here.contains(path) }) else { return nil }
      let files = report.files.compactMap { file -> Receipt.File? in
        var path = FilePath(file.path)
        guard model.files[file.path] != nil, path.removePrefix(model.folder) else { return nil }
        return .init(path: path, file)
      }
      guard !files.isEmpty else { return nil }
      let followed = Set(report.files.filter(\.isFollowed).map(\.path))
      return DownloadReceipt(
        name: model.name, folder: request.folder.appending(model.folder.components),
        receipt: Receipt(tool: tool, operation: "download", origin: model.origin, options: options, files: files), isLoneFile: model.isLoneFile, follower: model.follower,
        followed: model.checkpointFiles.compactMapValues { followed.contains($0) ? $0 : nil })
    }
  }
}

extension Receipt.File {
  /// What a receipt says of a file that was downloaded.
  init(path: FilePath, _ file: TransferReport.File) {
    func chain(_ algorithm: HashAlgorithm) -> ChainedDigest? { file.digest.digest.algorithm == algorithm ? file.digest : nil }
    self.init(path: path, bytes: file.bytes, md5: chain(.md5), sha256: chain(.sha256))
  }
}

extension Release.File {
  /// What its manifest says of its content.
  var digest: PublishedDigest? {
    (sha256 ?? md5).flatMap { Digest(hex: $0) }.map { .hash($0) } ?? blob.flatMap { GitBlobID(hex: $0) }.map { .blob($0) }
  }
}
