import Catalog
import Integrity
import SystemPackage

extension Catalog {
  /// The release that a checkpoint is of, or was made from: by its receipt, and else by its folder's name; nil where neither tells.
  public func release(ofCheckpointAt path: FilePath) -> Release? {
    let folder = path.lexicallyNormalized()
    switch try? Receipt(contentsOf: folder.appending(Receipt.fileName)).origin {
    case .release(let id)?:
      if let release = releases.first(where: { $0.id == id }) { return release }
    case .checkpoint(let name)?:
      if let release = releases.first(where: { $0.folder == name }) { return release }
    case .repository?, .hosts?, nil: break
    }
    return releases.first { $0.folder == folder.lastComponent?.string }
  }
}

extension Checkpoint {
  /// The catalog's release that this is of, or was made from; nil where nothing tells, or where the vocabulary's size says otherwise.
  var release: Release? {
    guard let folder = companions.folder, let release = (try? Catalog.builtIn())?.release(ofCheckpointAt: folder) else { return nil }
    return release.shape.map { $0.vocabularySize == params.vocabularySize } ?? true ? release : nil
  }
}
