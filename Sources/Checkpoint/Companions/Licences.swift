import Catalog
import Integrity
import SystemPackage

/// What people must read of a checkpoint, and what its licence is called, as far as the files say.
struct Licences {
  /// Names of the licences, policies and cards beside the weights.
  var files: [String]
  /// What the licence is called; nil where nobody says.
  var name: String?

  /// Of a checkpoint's folder.
  init(folder: FilePath) {
    files = LegalFiles.inFolder(folder).compactMap { $0.lastComponent?.string }
    name = Self.name(folder)
  }

  /// Of one file: what came along with it, as a receipt says. What else lies beside it may be of something else.
  init(file: FilePath) {
    let folder = file.folder
    (files, name) = ([], nil)
    guard let receipt = try? Receipt(contentsOf: folder.appending(Receipt.fileName)) else { return }
    let named = Set(receipt.files.map(\.path.string))
    guard let own = file.lastComponent?.string, named.contains(own) else { return }
    files = LegalFiles.inFolder(folder).compactMap { $0.lastComponent?.string }.filter(named.contains)
    name = Self.name(folder)
  }

  /// The card's word goes before the catalog's: it came with these weights.
  private static func name(_ folder: FilePath) -> String? { ModelCard.licence(in: folder) ?? (try? Catalog.builtIn())?.release(ofCheckpointAt: folder)?.license }
}

extension GGUFMetadata {
  /// What the file says that its licence is called, and where it can be read.
  ///
  /// Source: `docs/gguf.md` of the ggml repository, "General metadata".
  var licence: String? {
    guard let name = self["general.license.name"]?.text ?? self["general.license"]?.text, !name.isEmpty else { return nil }
    return String(name.prefix(200)) + (self["general.license.link"]?.text.map { " (\($0.prefix(300)))" } ?? "")
  }
}
