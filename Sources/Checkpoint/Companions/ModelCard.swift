import Platform
import SystemPackage

/// A model's card: a README that begins with what it says in YAML (huggingface.co/docs/hub/model-cards).
enum ModelCard {
  private static let mostBytes = 4 << 20

  /// The licence that the card in a folder names; nil where there is no card, or it names none.
  static func licence(in folder: FilePath) -> String? {
    guard let bytes = try? SmallFile.read(folder.appending("README.md"), atMost: mostBytes) else { return nil }
    let lines = String(decoding: bytes, as: UTF8.self).split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
    guard lines.first == "---", let end = lines.dropFirst().firstIndex(of: "---") else { return nil }
    func value(_ key: String) -> String? {
      let values = lines[1..<end].filter { $0.hasPrefix(key + ":") }.map { $0.dropFirst(key.count + 1).filter { !"\"'".contains($0) }.trimmed }
      // Of two nobody knows which is meant; a list, and a text of several lines, stand on other lines.
      return values.count == 1 && !values[0].isEmpty && !"|>[{&*".contains(values[0].first ?? "|") ? String(values[0].prefix(200)) : nil
    }
    guard let licence = value("license") else { return nil }
    return licence == "other" ? value("license_name") ?? licence : licence
  }
}

extension String {
  fileprivate var trimmed: String {
    let start = drop(while: \.isWhitespace)
    return String(start.prefix(start.count - start.reversed().prefix(while: \.isWhitespace).count))
  }
}
