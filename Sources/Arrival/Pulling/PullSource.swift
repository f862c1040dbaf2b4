import Catalog
import Checkpoint
import Integrity
import SystemPackage
import Transfer

/// A model that is to be pulled: which files describe it, and come first, and which have its weights, and only pass.
public struct PullSource: Sendable {
  /// What messages call it.
  public let name: String
  /// What it is called among all models, whatever version of it.
  public let identity: String
  /// Relative to a download's folder.
  let folder: FilePath
  let origin: Receipt.Origin
  /// Where they are known beforehand.
  let keyValueHeads: Int?
  /// By their paths in a download.
  let companions: [TransferRequest.File]
  /// By their names in the model's folder.
  let weights: [String: TransferRequest.File]

  /// What a file of weights may end in.
  private static let endings: Set<String> = ["pth", "pt", "bin", "safetensors", "gguf"]

  private static func hasWeights(_ path: String) -> Bool { FilePath(path).extension.map(endings.contains) ?? false }

  public init(_ release: Release) {
    (name, identity) = (release.id, release.id)
    folder = FilePath(release.folder)
    origin = .release(release.id)
    keyValueHeads = release.shape?.kvHeads
    weights = release.checkpointFiles.filter { Self.hasWeights($0.key) }.mapValues { .init(path: $0.path, remote: $0.remote, digest: $0.digest) }
    let passing = Set(weights.values.map(\.path))
    companions = release.files.filter { !passing.contains($0.path) }.map { .init(path: $0.path, remote: $0.remote, isOptional: $0.isOptional, digest: $0.digest) }
  }

  /// - Parameter files: that are wanted of it.
  /// - Throws: `.unsafePath` for a file that must not be written.
  public init(_ repository: HubRepository, files: [HubRepository.File]) throws(ArrivalError) {
    (name, identity) = (repository.name.name, "hf:" + repository.name.repository)
    folder = FilePath(repository.name.name)
    origin = .repository(repository.name.repository, commit: repository.commit)
    keyValueHeads = nil
    var (companions, weights) = ([TransferRequest.File](), [String: TransferRequest.File]())
    for file in files {
      let path = name + "/" + file.path
      if let danger = Release.danger(ofPath: path) { throw .unsafePath(file.path, of: repository.name.description, why: danger) }
      let wanted = TransferRequest.File(path: path, remote: repository.remote(file.path), digest: file.digest)
      // What the hub knows by git's name alone is small.
      if case .hash = file.digest, Self.hasWeights(file.path), !file.path.contains("/") { weights[file.path] = wanted } else { companions.append(wanted) }
    }
    (self.companions, self.weights) = (companions, weights)
  }

  /// The receipt of what a pull of this has made at `destination`, where each of its files has the length that it should have: what they hold isn't read.
  public func receipt(at destination: FilePath) -> Receipt? {
    guard let receipt = try? Receipt(contentsOf: destination.appending(Receipt.fileName)), receipt.operation == "pull", receipt.origin == origin else { return nil }
    return receipt.files.allSatisfy { file in (try? destination.pushing(file.path).stat()).map { $0.type == .regular && Int($0.size) == file.bytes } ?? false } ? receipt : nil
  }
}
