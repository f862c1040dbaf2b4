import Catalog
import Checkpoint
import Platform
import SystemPackage
import Transfer

/// What a model of a download will take to run, as far as that can be known before its weights are here.
public struct ModelMemory: Sendable {
  public let name: String
  /// Bytes of its weights, which run as they lie in their files; nil where the length of one isn't known, or where it has none.
  public let weights: Int?
  /// nil where nothing tells.
  public let shape: StatedShape?
}

extension ReleaseDownload {
  private static let weights: Set = ["pth", "safetensors", "gguf", "bin", "pt"]

  /// The description of a model that the catalog doesn't have is asked for: one request for each.
  public func memory(_ forecast: Forecast) -> [ModelMemory] {
    let files = Dictionary(zip(request.files, forecast.files).map { ($0.path, (request: $0, forecast: $1)) }) { first, _ in first }
    return models.map { model in
      let weights = model.files.keys.filter { FilePath($0).extension.map(Self.weights.contains) ?? false }
      let lengths = weights.map { files[$0]?.forecast.bytes }
      let sum = lengths.isEmpty || lengths.contains(nil) ? nil : lengths.reduce(0) { $0.addingReportingOverflow($1 ?? 0).overflow ? .max : $0 + ($1 ?? 0) }
      return ModelMemory(name: model.name, weights: sum, shape: model.shape ?? shape(besides: weights, files.mapValues(\.request), forecast.link))
    }
  }

  /// What lies beside the weights and describes them.
  private func shape(besides weights: [String], _ files: [String: TransferRequest.File], _ link: SignedLink) -> StatedShape? {
    guard let first = weights.min(), let session = try? RemoteSession(to: link, authorities: request.authorities, retry: request.retry) else { return nil }
    let folder = FilePath(first).removingLastComponent()
    for name in StatedShape.files {
      guard let file = files[folder.appending(name).string] else { continue }
      if let stored = file.stored, let bytes = try? SmallFile.read(stored.path, atMost: StoredDescription.mostBytes) {
        if let shape = StatedShape(StoredDescription(bytes: bytes), named: name) { return shape }
      } else if file.stored?.isOnly != true, let source = try? RemoteFile(link, file.remote, as: file.path, session: session) {
        if let shape = StatedShape(source, named: name) { return shape }
      }
    }
    return nil
  }
}

/// A description that a store on this machine has.
private struct StoredDescription: RangeSource {
  let bytes: [UInt8]
  static let mostBytes = 1 << 20

  var count: Int { bytes.count }
  func bytes(in range: Range<Int>) -> [UInt8] { Array(bytes[range]) }
}
