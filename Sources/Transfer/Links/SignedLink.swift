import Platform

/// A signed link: a template whose `*` is replaced by the path of one file.
///
/// The link is a secret. Nothing here shows it: descriptions and reflection say only where it leads, and no error carries it.
public struct SignedLink: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  private let beforeStar: String
  private let afterStar: String
  /// Scheme and host, such as `https://download.llamameta.net`. Not secret.
  public let origin: String
  /// The host whose files the signature opens, in lower case: where the link leads, unless its policy names another one of Meta's. Not secret.
  public let host: String
  /// When the signature ends, in seconds since 1970; nil when the link doesn't say.
  public let expiry: Int?
  /// Whether a signature was found in the link at all.
  let isSigned: Bool
  /// Goes with each request to the link's own host, and to no other; nil where the link itself is all that it takes.
  let token: String?
  /// Whether it is a file's address as it stands, with no place for a name.
  private let isForOneFile: Bool

  private init(beforeStar: String, afterStar: String, isForOneFile: Bool = false, origin: String, host: String, expiry: Int?, isSigned: Bool) {
    (self.beforeStar, self.afterStar, self.origin, self.expiry, self.isSigned, token) = (beforeStar, afterStar, origin, expiry, isSigned, nil)
    (self.host, isOfHub, self.isForOneFile) = (host, false, isForOneFile)
  }

  /// What opens the files of a hub: no signature, but perhaps a token.
  init(hub address: String, origin: String, token: String?) {
    (beforeStar, afterStar, self.origin, expiry, isSigned, self.token) = (address, "", origin, nil, false, token)
    (host, isOfHub, isForOneFile) = (LinkText(address)?.host ?? "", true, false)
  }

  private let isOfHub: Bool

  /// Examines what someone pasted.
  /// - Parameter allowsHTTP: whether a signature may go over a network without TLS.
  /// - Returns: the link, and sentences on what had to be mended and what is odd about it.
  /// - Throws: `LinkError` for what can't be a link, with what to do.
  public static func examine(_ text: String, allowsHTTP: Bool = false, now: Int = secondsSinceEpoch()) throws(LinkError) -> (link: SignedLink, notes: [String]) {
    var doctor = LinkDoctor()
    let url = try doctor.mend(text)
    try checkTransport(url, allowsHTTP)
    guard let star = url.text.firstIndex(of: "*") else { throw .missingStar(host: url.shownHost) }
    let expiry = LinkExpiry.find(in: url)
    let link = SignedLink(
      beforeStar: String(url.text[..<star]), afterStar: String(url.text[url.text.index(after: star)...]), origin: url.origin,
      host: opened(by: url), expiry: expiry, isSigned: url.isSigned)
    return (link, doctor.notes + expiryNotes(expiry, now))
  }

  private static func opened(by url: LinkText) -> String {
    guard isMeta(url.host), let policy = url.value("Policy").flatMap(LinkExpiry.decodePolicy), let named = policy.resource.flatMap({ LinkText($0)?.host }),
      isMeta(named)
    else { return url.host }
    return named
  }

  private static func isMeta(_ host: String) -> Bool { host.hasSuffix(".llamameta.net") }

  private static func checkTransport(_ url: LinkText, _ allowsHTTP: Bool) throws(LinkError) {
    if url.scheme == "http", url.isSecret, !url.isLoopback, !allowsHTTP { throw .withoutTLS(host: url.shownHost) }
  }

  /// The server has the last word on whether a link is over: this machine's clock may be ahead.
  private static func expiryNotes(_ expiry: Int?, _ now: Int) -> [String] {
    guard let expiry, now > expiry else { return [] }
    return ["by this machine's clock (\(Moment.utc(now))) the link expired \(Moment.ago(now - expiry)) ago, at \(Moment.utc(expiry)); unless the clock is ahead, the server will refuse it"]
  }

  /// A link to one file, such as a store signs for it, or a plain one.
  public struct OneFile: Sendable {
    /// Opens the file, whatever is said to stand for the `*` that it doesn't have.
    public let link: SignedLink
    /// The file's name; nil when the link doesn't end in one of a checkpoint's (it may be a part of the secret then).
    public let name: String?
    /// A template for the files beside it; nil when a signature or a query holds for this one only.
    public let siblings: SignedLink?
    /// Sentences on what had to be mended.
    public let notes: [String]
  }

  /// Whether `text` is meant as a link rather than as a path.
  public static func resembles(_ text: String) -> Bool { text.contains("://") || text.contains("?Policy=") }

  /// Examines a link that somebody gave where either kind will do.
  /// - Returns: nil when it is a template, which `examine` takes.
  public static func examineFile(_ text: String, allowsHTTP: Bool = false, now: Int = secondsSinceEpoch()) throws(LinkError) -> OneFile? {
    var doctor = LinkDoctor()
    let url = try doctor.mend(text, isForOneFile: true)
    return url.path.contains("*") ? nil : try oneFile(url, doctor.notes, allowsHTTP, now)
  }

  /// Examines a link to one file that is to be fetched.
  /// - Returns: the file, and the name that its path ends in.
  /// - Throws: for a template, and for a link without a name that a file may have here.
  public static func examineDownload(_ text: String, allowsHTTP: Bool = false, now: Int = secondsSinceEpoch()) throws(LinkError) -> (file: OneFile, name: String) {
    var doctor = LinkDoctor()
    let url = try doctor.mend(text, isForOneFile: true)
    if url.path.contains("*") { throw .template(host: url.shownHost) }
    return (try oneFile(url, doctor.notes + hubNotes(url), allowsHTTP, now), try fileName(url))
  }

  /// That the hub itself vouches for a file of its own, and has its card and licence.
  private static func hubNotes(_ url: LinkText) -> [String] {
    let parts = url.path.split(separator: "/").map { percentDecoded(String($0)) ?? "" }
    guard url.host == "huggingface.co", parts.count >= 5, parts[2] == "resolve", let name = try? HubName("\(HubName.prefix)\(parts[0])/\(parts[1])@\(parts[3])") else { return [] }
    return ["the hub vouches for its files, and has their cards and licences: drover download \(name) --include '\(parts[4...].joined(separator: "/"))'"]
  }

  /// The decoded end of a link's path, if a file may be called so.
  private static func fileName(_ url: LinkText) throws(LinkError) -> String {
    guard let last = url.path.split(separator: "/", omittingEmptySubsequences: false).last, !last.isEmpty else { throw .noName(host: url.shownHost, why: "its path is empty, or ends in a slash") }
    guard let name = percentDecoded(String(last)) else { throw .noName(host: url.shownHost, why: "the end of its path isn't text") }
    if name.contains("/") || name.contains("\\") || name.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F || $0.properties.generalCategory == .format }) {
      throw .noName(host: url.shownHost, why: "the end of its path has a slash, a backslash or invisible characters in it")
    }
    if name.hasPrefix(".") || name.hasPrefix("-") { throw .noName(host: url.shownHost, why: "the end of its path begins with a dot or a dash") }
    guard name.utf8.count <= 200 else { throw .noName(host: url.shownHost, why: "the end of its path is longer than 200 bytes") }
    return name
  }

  private static func oneFile(_ url: LinkText, _ notes: [String], _ allowsHTTP: Bool, _ now: Int) throws(LinkError) -> OneFile {
    try checkTransport(url, allowsHTTP)
    let expiry = LinkExpiry.find(in: url)
    func link(_ before: String, isForOneFile: Bool) -> SignedLink {
      SignedLink(beforeStar: before, afterStar: "", isForOneFile: isForOneFile, origin: url.origin, host: url.host, expiry: expiry, isSigned: url.isSigned)
    }
    let last = url.path.split(separator: "/", omittingEmptySubsequences: false).last.flatMap { percentDecoded(String($0)) } ?? ""
    let isName = last.utf8.count <= 200 && [".pth", ".safetensors", ".gguf"].contains(where: last.hasSuffix) && !last.contains("/")
      && last.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F }
    var siblings: SignedLink?
    if url.query.isEmpty, !url.text.contains("?"), let slash = url.text.lastIndex(of: "/") { siblings = link(String(url.text[...slash]), isForOneFile: false) }
    return OneFile(link: link(url.text, isForOneFile: true), name: isName ? last : nil, siblings: siblings, notes: notes + expiryNotes(expiry, now))
  }

  /// Why a server says 401 or 403 to this link, as far as the link tells.
  /// - Parameter next: what to do about it.
  func refusalReason(next: String, now: Int = secondsSinceEpoch()) -> String {
    if isOfHub { return "\(token == nil ? "no token was sent" : "the token that was sent may have ended, or not reach so far"); HF_TOKEN names one" }
    // Links of Llama 3.1 and later, whose hosts are called after their families, open each model up to five times.
    let often = Self.isMeta(host) && host.hasPrefix("llama") ? "has opened this model five times, as often as it may" : "was used too often"
    if !isSigned { return "there is no signature in it: it was cut off, or the server wants to know who asks; copy it again up to its end, and put it in single quotes" }
    guard let expiry else { return "it has expired, \(often), or was copied incompletely; \(next)" }
    let left = expiry - now
    if left <= 0 { return "it expired \(Moment.ago(-left)) ago, at \(Moment.utc(expiry)); \(next)" }
    return "it is valid until \(Moment.utc(expiry)), but \(often), is for other models, or was copied incompletely; \(next)"
  }

  /// The address of one file. A secret as the link is.
  /// - Parameter remote: a relative path, as a manifest has it; of a link to one file a name that only journals have.
  package func address(of remote: String) -> String {
    if isForOneFile { return beforeStar }
    var path = ""
    for byte in remote.utf8 {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"), 0x2D, 0x2E, 0x2F, 0x5F, 0x7E:
        path.unicodeScalars.append(Unicode.Scalar(byte))
      default: path += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
      }
    }
    return beforeStar + path + afterStar
  }

  public var description: String { origin + "/… (signed link)" }
  public var debugDescription: String { description }
  public var customMirror: Mirror { Mirror(self, children: []) }
}

/// Why what was pasted is not a link to download from. The sentences never quote it.
public enum LinkError: Error, Sendable, CustomStringConvertible {
  case empty
  case notALink
  case unsupportedScheme
  case missingStar(host: String)
  /// A link to a release where one to a file belongs.
  case template(host: String)
  /// A link to one file that doesn't say how the file is called.
  case noName(host: String, why: String)
  /// A part of the signature is missing at the end.
  case cutOff(missing: String)
  /// The redirect of a mail program that hides its target.
  case tracker(host: String)
  case huggingFace
  /// A signature over plain http, which everyone on the way can read and use.
  case withoutTLS(host: String)

  public var description: String {
    switch self {
    case .empty: "no link was given; paste the one from the mail, in single quotes if it is on the command line"
    case .notALink: "that is not a link; it begins with https:// and has a * in it: copy the text of the link in the mail, not the button"
    case .unsupportedScheme: "the link is neither http nor https; copy the text of the link in the mail again"
    case .missingStar(let host):
      "the link to \(host) has no *: the place of the file's name is lost; copy its text again, from https:// to the end, and put it in single quotes; "
        + "a link to one file goes where a release's name does: drover download 'LINK' --sha256 HEX"
    case .template(let host):
      "the link to \(host) has a *, as Meta's signed links have, which open releases: give it with the release's name, drover download 7B --url 'LINK'; "
        + "a link to one file has the file's name where the * is"
    case .noName(let host, let why):
      "the link to \(host) names no file (\(why)): a link to one file ends in its name; Meta's signed link has a *, and goes with a release's name: drover download 7B --url 'LINK'"
    case .cutOff(let missing):
      "the link is cut off: \(missing) is missing; copy it up to its end, across line breaks, and put it in single quotes so that the shell leaves its & alone"
    case .tracker(let host):
      "the link leads to \(host), which only redirects (a mail program's tracker): don't use \"copy link address\", copy the text of the link"
    case .huggingFace:
      "that is a link to a Hugging Face page, not one to download from; Meta's link is in the mail that it sends after its own form"
    case .withoutTLS(let host):
      "the link to \(host) begins with http://, so that everyone on the way could read it and use it; ask for one with https://, or allow it with --allow-http"
    }
  }
}
