/// Recognises what people paste in place of a signed link, and mends what can be mended.
struct LinkDoctor {
  /// What was mended, in sentences.
  private(set) var notes: [String] = []

  /// - Parameter isForOneFile: that a link without `*` will do.
  mutating func mend(_ pasted: String, isForOneFile: Bool = false) throws(LinkError) -> LinkText {
    var paste = PastedText(pasted)
    try paste.clean()
    notes += paste.notes
    if paste.text.isEmpty { throw .empty }
    // A mail program's way to show the beginning of what is too long.
    guard !paste.text.contains("…") else { throw .cutOff(missing: "what the … in it stands for") }
    guard var url = LinkText(paste.text) else { throw .notALink }
    if isForOneFile, !Self.isTracker(url) { url = try downloadable(url) } else { url = try unwrapRedirects(url) }
    guard url.scheme == "https" || url.scheme == "http" else { throw .unsupportedScheme }
    url = separateParameters(url)
    if !url.path.contains("*"), let star = url.text.firstMatch(of: /%(25)?2[Aa]/)?.range,
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
      // A folder of files behind the hub, such as a mirror's, is no page.
      if Self.isHuggingFace(url), !(url.path.contains("/resolve/") && url.path.contains("*")) { throw .huggingFace }
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

  /// The parameters that stores sign with.
  private static let parameters = [
    "Policy", "Signature", "Key-Pair-Id", "Expires", "Download-Request-ID", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders",
    "X-Amz-Signature", "X-Amz-Security-Token", "X-Goog-Algorithm", "X-Goog-Credential", "X-Goog-Date", "X-Goog-Expires", "X-Goog-SignedHeaders", "X-Goog-Signature",
    "sig", "se", "sp", "sv", "sr", "st", "spr",
  ]

  /// Puts back the `&` and `=` of known parameters that were percent-encoded by whoever passed the link on.
  private mutating func separateParameters(_ url: LinkText) -> LinkText {
    guard let question = url.text.firstIndex(of: "?") else { return url }
    var query = String(url.text[question...])
    for name in Self.parameters {
      // At the beginning the question mark is there; `%2526` was encoded twice.
      for separator in ["%26", "%2526", "&", "?"] {
        for equals in ["=", "%3D", "%3d", "%253D"] where separator.hasPrefix("%") || equals.hasPrefix("%") {
          query = query.replacing(separator + name + equals, with: (separator.hasPrefix("%") ? "&" : separator) + name + "=")
        }
      }
    }
    guard query != url.text[question...], let mended = LinkText(url.text[..<question] + query) else { return url }
    notes.append("the link had %26 where & belongs, which was mended")
    return mended
  }
}
