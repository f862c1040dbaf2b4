import Platform
import SystemPackage

/// The part of YAML that PyYAML writes of a dataclass of plain values: keys with a scalar each, and keys with such keys below them. Anything else is refused,
/// by its line: what YAML means by it isn't guessed.
///
/// Source: YAML 1.1, and the resolver of PyYAML, which takes `1e-5` for a string and `on` for true: neither is taken here.
enum FlatYAML {
  /// A description has some sixty.
  private static let mostLines = 4096

  static func read(_ bytes: [UInt8], in path: FilePath) throws(CheckpointError) -> [String: JSONValue] {
    guard let text = String(validating: bytes, as: UTF8.self) else { throw CheckpointError(.corrupt, in: path, "isn't UTF-8") }
    var values: [String: JSONValue] = [:]
    // The key that the lines further in belong to, and what they say.
    var inner: (key: String, values: [String: JSONValue])?
    var number = 0
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      number += 1
      guard number <= mostLines else { throw CheckpointError(.unsupported, in: path, "has more than \(mostLines) lines, which no description of a model has") }
      func refused(_ why: String) -> CheckpointError {
        let start = String(line).debugDescription.prefix(100)
        return CheckpointError(.unsupported, in: path, "line \(number), \(start): \(why); drover reads keys with one plain value each, as litgpt writes them")
      }
      if line.isEmpty || line.hasPrefix("#") { continue }
      let isInner = line.hasPrefix("  ")
      let content = isInner ? line.dropFirst(2) : line[...]
      guard let colon = content.firstIndex(of: ":"), isKey(content[..<colon]) else { throw refused("isn't a key and a value") }
      let key = String(content[..<colon])
      let rest = content[content.index(after: colon)...]
      guard rest.isEmpty || rest.first == " " else { throw refused("has no space behind the colon") }
      if isInner {
        guard let (outer, before) = inner else { throw refused("is further in than the line before it") }
        var members = before
        guard let value = scalar(rest.dropFirst()) else { throw refused("has a value that isn't plain") }
        guard members.updateValue(value, forKey: key) == nil else { throw refused("says \(outer).\(key) a second time") }
        inner = (outer, members)
        values[outer] = .object(members)
        continue
      }
      // A key without a value says null, if nothing follows below it.
      guard let value = rest.isEmpty ? .null : scalar(rest.dropFirst()) else { throw refused("has a value that isn't plain") }
      guard values.updateValue(value, forKey: key) == nil else { throw refused("says \(key) a second time") }
      inner = rest.isEmpty ? (key, [:]) : nil
    }
    return values
  }

  private static func isKey(_ text: Substring) -> Bool {
    let isPlain = text.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"): true
      default: false
      }
    }
    return isPlain && !text.isEmpty && text.utf8.count <= 64 && text.first?.isNumber == false
  }

  /// - Returns: nil for what isn't one, or could be read in two ways.
  private static func scalar(_ text: Substring) -> JSONValue? {
    switch text {
    case "null": return .null
    case "true": return .bool(true)
    case "false": return .bool(false)
    case "{}": return .object([:])
    default: break
    }
    if text.wholeMatch(of: /-?(0|[1-9][0-9]{0,17})/) != nil { return Int(text).map(JSONValue.integer) }
    if text.wholeMatch(of: /-?(0|[1-9][0-9]{0,17})\.[0-9]{1,20}(e[+-][0-9]{1,3})?/) != nil {
      return Double(text).flatMap { $0.isFinite ? .number($0) : nil }
    }
    // Between quotes nothing is special but the quote.
    if text.wholeMatch(of: /'[^'\p{Cc}]*'/) != nil { return .text(String(text.dropFirst().dropLast())) }
    guard text.wholeMatch(of: /[A-Za-z]([A-Za-z0-9_.\/+() -]*[A-Za-z0-9_.\/+()-])?/) != nil, !words.contains(text.lowercased()) else { return nil }
    return .text(String(text))
  }

  /// Plain words that YAML 1.1 has other meanings for.
  private static let words: Set<String> = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"]
}
