/// A link taken apart as far as the doctor needs it.
struct LinkText {
  /// The whole link.
  var text: String
  var scheme: String
  /// In lower case, without user and port.
  var host: String
  var origin: String
  /// From the first slash to before the question mark.
  var path: String
  /// Names and raw values, in order.
  var query: [(name: String, value: String)]
  /// Whether a user, and perhaps a password, stands before the host.
  let hasUser: Bool

  init?(_ text: some StringProtocol) {
    let text = String(text)
    guard let colon = text.firstRange(of: "://"), !text[..<colon.lowerBound].isEmpty else { return nil }
    let scheme = text[..<colon.lowerBound].lowercased()
    guard scheme.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "+-.".contains($0)) }) else { return nil }
    var rest = text[colon.upperBound...]
    if let hash = rest.firstIndex(of: "#") { rest = rest[..<hash] }
    let hostEnd = rest.firstIndex { "/?".contains($0) } ?? rest.endIndex
    let authority = rest[..<hostEnd]
    let withoutUser = authority.lastIndex(of: "@").map { authority[authority.index(after: $0)...] } ?? authority
    // What isn't a host may be anything, such as the rest of a link, and hosts are shown.
    guard !withoutUser.isEmpty, withoutUser.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || ".-_:[]".contains($0)) }) else { return nil }
    rest = rest[hostEnd...]
    let question = rest.firstIndex(of: "?") ?? rest.endIndex
    hasUser = withoutUser.endIndex != authority.endIndex || withoutUser.startIndex != authority.startIndex
    self.text = String(text[..<rest.endIndex])
    self.scheme = scheme
    host = (withoutUser.hasPrefix("[") ? withoutUser.prefix { $0 != "]" } + "]" : withoutUser.prefix { $0 != ":" }).lowercased()
    origin = scheme + "://" + withoutUser.lowercased()
    path = String(rest[..<question])
    query = rest[question...].dropFirst().split(separator: "&").map { field in
      let equals = field.firstIndex(of: "=") ?? field.endIndex
      return (String(field[..<equals]), String(field[equals...].dropFirst()))
    }
  }

  /// The decoded value of a parameter, whatever the case of its name.
  func value(_ name: String) -> String? {
    let lower = name.lowercased()
    guard let raw = query.first(where: { $0.name.lowercased() == lower })?.value else { return nil }
    return percentDecoded(raw) ?? raw
  }

  /// The host as it may stand in a message: what was pasted could be anything.
  var shownHost: String { String(host.prefix(60).filter { $0.isASCII && ($0.isLetter || $0.isNumber || ".-:[]".contains($0)) }) }

  private static let signatures = ["Signature", "X-Amz-Signature", "X-Goog-Signature", "sig", "token"]
  var isSigned: Bool { Self.signatures.contains { value($0) != nil } }

  /// Whether whoever sees the link could use it: a signature has many names, so anything behind a question mark may be one.
  var isSecret: Bool { !query.isEmpty || hasUser }

  /// Whether it leads to this machine, so that nobody on a network sees it (RFC 6761 for names, RFC 5735 and 4291 for addresses).
  var isLoopback: Bool {
    if host == "localhost" || host.hasSuffix(".localhost") || host == "[::1]" { return true }
    let numbers = host.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
    return numbers.count == 4 && numbers[0] == 127 && !numbers.contains(nil)
  }
}

/// `text` with its percent escapes resolved; nil when one is malformed.
func percentDecoded(_ text: String) -> String? {
  var bytes: [UInt8] = []
  var rest = text.utf8[...]
  while let byte = rest.popFirst() {
    guard byte == UInt8(ascii: "%") else {
      bytes.append(byte)
      continue
    }
    guard rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else { return nil }
    bytes.append(value)
    rest = rest.dropFirst(2)
  }
  return String(validating: bytes, as: UTF8.self)
}
