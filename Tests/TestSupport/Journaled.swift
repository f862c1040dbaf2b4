import Foundation

/// What a partial file's journal says is safe on disk.
public struct Journaled {
  public var ranges: [[Int]]
  public var bytes: Int { ranges.reduce(0) { $0 + $1[1] - $1[0] } }

  /// Nil where there is no journal.
  public init?(_ path: String) {
    guard let text = try? String(contentsOfFile: path, encoding: .utf8), let newline = text.firstIndex(of: "\n"),
      let object = try? JSONSerialization.jsonObject(with: Data(text[newline...].utf8)) as? [String: Any], let safe = object["safe"] as? [[Int]]
    else { return nil }
    ranges = safe
  }
}
