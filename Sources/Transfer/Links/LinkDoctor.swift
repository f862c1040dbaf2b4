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
}

/// Recognises what people paste in place of a signed link, and mends what can be mended.
struct LinkDoctor {
  /// What was mended, in sentences.
  private(set) var notes: [String] = []

  /// - Parameter isForOneFile: that a link without `*` will do.
  mutating func mend(_ pasted: String, isForOneFile: Bool = false) throws(LinkError) -> LinkText {
    var text = Self.unwrapQuotes(pasted)
    if text.isEmpty { throw .empty }
    if text.contains(where: \.isWhitespace) {
      // A mail breaks a long line, and the break comes along.
      let parts = text.split(whereSeparator: \.isWhitespace)
      guard parts.first?.contains("://") == true, parts.dropFirst().allSatisfy({ !$0.contains("://") }) else { throw .notALink }
      text = parts.joined()
      notes.append("the link had line breaks or spaces in it, which were taken out")
    }
    if !text.contains("://") {
      guard text.contains("?Policy="), text.prefix(while: { $0 != "/" }).contains(".") else { throw .notALink }
      text = "https://" + text
      notes.append("the link lacked its https://, which was put back")
    }
    if text.contains("\\") {
      text = text.replacing("\\", with: "")
      notes.append("the link had backslashes in it, as a shell wants them where there are no quotes, which were taken out")
    }
    if text.contains("&amp;") {
      text = text.replacing("&amp;", with: "&")
      notes.append("the link had &amp; where & belongs (it was copied from a page's source), which was mended")
    }
    guard var url = LinkText(text) else { throw .notALink }
    if isForOneFile, !Self.isTracker(url) { url = try downloadable(url) } else { url = try unwrapRedirects(url) }
    guard url.scheme == "https" || url.scheme == "http" else { throw .unsupportedScheme }
    if !url.path.contains("*"), let star = url.text.firstRange(of: "%2A") ?? url.text.firstRange(of: "%2a"),
      let mended = LinkText(url.text[..<star.lowerBound] + "*" + url.text[star.upperBound...]), mended.path.contains("*")
    {
      url = mended
    }
    guard isForOneFile || url.path.contains("*") else { throw .missingStar(host: url.shownHost) }
    try checkSignature(url)
    return url
  }

  private static func isHuggingFace(_ url: LinkText) -> Bool { url.host == "huggingface.co" || url.host.hasSuffix(".huggingface.co") || url.host == "hf.co" }

  /// A link to one file; of Hugging Face's pages the one that shows a file has it next to it.
  private mutating func downloadable(_ url: LinkText) throws(LinkError) -> LinkText {
    guard Self.isHuggingFace(url), !url.path.contains("/resolve/"), !url.isSigned else { return url }
    guard let blob = url.text.firstRange(of: "/blob/"), let file = LinkText(url.text[..<blob.lowerBound] + "/resolve/" + url.text[blob.upperBound...]) else {
      throw .huggingFace
    }
    notes.append("the link was to the page about a file, and was made one to the file")
    return file
  }

  /// Trackers carry their target in a parameter, encoded once for each that it went through.
  private mutating func unwrapRedirects(_ start: LinkText) throws(LinkError) -> LinkText {
    var url = start
    for _ in 0..<5 {
      if Self.isHuggingFace(url) { throw .huggingFace }
      let wrapped = Self.proofpointTarget(url)
      if wrapped == nil, url.path.contains("*") { return url }
      guard let target = wrapped ?? url.query.lazy.compactMap({ LinkDoctor.target(in: $0.value) }).first else {
        if Self.isTracker(url) { throw .tracker(host: url.shownHost) }
        return url
      }
      notes.append("the link was wrapped in a redirect of \(url.shownHost) (a mail program's tracker), and was unwrapped")
      url = target
    }
    return url
  }

  private static func target(in value: String) -> LinkText? {
    guard let decoded = percentDecoded(value) else { return nil }
    let lower = decoded.prefix(8).lowercased()
    guard lower.hasPrefix("https://") || lower.hasPrefix("http://") else { return nil }
    return LinkText(decoded.replacing("&amp;", with: "&"))
  }

  /// urldefense.com writes `/v3/__LINK__;`, with each special character replaced by a `*` and kept behind the semicolon; its `*` can't be told
  /// from the link's, so only links without other replacements come through.
  private static func proofpointTarget(_ url: LinkText) -> LinkText? {
    guard url.host.hasPrefix("urldefense."), let start = url.text.firstRange(of: "/v3/__") else { return nil }
    let rest = url.text[start.upperBound...]
    guard let end = rest.firstRange(of: "__;") else { return nil }
    return LinkText(String(rest[..<end.lowerBound]))
  }

  private static func isTracker(_ url: LinkText) -> Bool {
    let hosts = ["l.facebook.com", "lm.facebook.com", "safelinks.protection.outlook.com", "urldefense.com", "urldefense.proofpoint.com", "t.co", "lnkd.in", "bit.ly", "www.google.com"]
    return hosts.contains { url.host == $0 || url.host.hasSuffix("." + $0) } || ["click.", "links.", "link.", "email.", "track."].contains { url.host.hasPrefix($0) }
  }

  /// A signature is several parameters; a shell without quotes and a mail's line break take the last ones away.
  private func checkSignature(_ url: LinkText) throws(LinkError) {
    let sets = [["Policy", "Signature", "Key-Pair-Id"], ["X-Amz-Date", "X-Amz-Expires", "X-Amz-Signature"], ["X-Goog-Date", "X-Goog-Expires", "X-Goog-Signature"], ["se", "sig"]]
    for names in sets {
      let missing = names.filter { url.value($0)?.isEmpty != false }
      // CloudFront's canned policy has Expires in place of Policy.
      if missing.count < names.count, let first = missing.first, !(first == "Policy" && url.value("Expires") != nil) {
        throw .cutOff(missing: first)
      }
    }
    if let policy = url.value("Policy"), LinkExpiry.decodePolicy(policy) == nil { throw .cutOff(missing: "a part of its policy") }
    let isMeta = url.host == "llamameta.net" || url.host.hasSuffix(".llamameta.net")
    if isMeta, !url.isSigned { throw .cutOff(missing: "everything behind the *") }
  }

  private static func unwrapQuotes(_ text: String) -> String {
    var text = text[...]
    while let first = text.first, first.isWhitespace || "\"'`<(“‘".contains(first) { text.removeFirst() }
    while let last = text.last, last.isWhitespace || "\"'`>)”’".contains(last) { text.removeLast() }
    return String(text)
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
