import Platform
import SystemPackage

/// Licences, policies and cards: what people must be able to read wherever the weights are.
public enum LegalFiles {
  /// Names under which publishers put them beside the weights, in the order in which they are shown.
  public static let names = [
    "LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "LICENCE.txt", "LICENCE.md", "USE_POLICY.md", "USE_POLICY", "USE_POLICY.txt", "Notice", "NOTICE", "NOTICE.txt", "NOTICE.md",
    "MODEL_CARD.md", "README.md",
  ]

  /// Those in `folder`.
  public static func inFolder(_ folder: FilePath) -> [FilePath] { names.map { folder.appending($0) }.filter(Directory.exists) }
}

extension Release {
  /// Paths of the licence, policy and card among its files.
  public var legalFiles: [String] { files.map(\.path).filter { path in LegalFiles.names.contains { path == $0 || path.hasSuffix("/" + $0) } } }

  /// The licence, policy and card that came with a download.
  /// - Parameter folder: what it was downloaded into.
  /// - Returns: those beside the weights; where there are none, those that lie above them, as Llama 2's do.
  public func legalFiles(in folder: FilePath) -> [FilePath] {
    let own = self.folder.isEmpty ? [] : LegalFiles.inFolder(folder.appending(self.folder))
    if !own.isEmpty { return own }
    return files.filter { file in file.isOptional && LegalFiles.names.contains(file.path) }.map { folder.appending($0.path) }.filter(Directory.exists)
  }
}
