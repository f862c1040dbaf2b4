/// A signed link: a template whose `*` is replaced by the path of one file.
///
/// The link is a secret. Nothing here shows it: descriptions and reflection say only where it leads, and no error carries it.
public struct SignedLink: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  private let beforeStar: String
  private let afterStar: String
  /// Scheme and host, such as `https://download.llamameta.net`. Not secret.
  public let origin: String
  /// When the signature ends, in seconds since 1970; nil when the link doesn't say.
  public let expiry: Int?
  /// Whether a signature was found in the link at all.
  let isSigned: Bool

  /// Examines what someone pasted.
  /// - Returns: the link, and sentences on what had to be mended.
  /// - Throws: `LinkError` for what can't be a link, with what to do.
  public static func examine(_ text: String, now: Int = secondsSinceEpoch()) throws(LinkError) -> (link: SignedLink, notes: [String]) {
    var doctor = LinkDoctor()
    let url = try doctor.mend(text)
    guard let star = url.text.firstIndex(of: "*") else { throw .missingStar(host: url.shownHost) }
    let expiry = LinkExpiry.find(in: url)
    // A clock may be a little off; the server has the last word for the first minutes.
    if let expiry, now - expiry > 300 { throw .expired(at: expiry, now: now) }
    let link = SignedLink(
      beforeStar: String(url.text[..<star]), afterStar: String(url.text[url.text.index(after: star)...]), origin: url.origin, expiry: expiry,
      isSigned: url.isSigned)
    return (link, doctor.notes)
  }

  /// The address of one file. A secret as the link is.
  /// - Parameter remote: a relative path, as a manifest has it.
  package func address(of remote: String) -> String {
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
  /// A part of the signature is missing at the end.
  case cutOff(missing: String)
  /// The redirect of a mail program that hides its target.
  case tracker(host: String)
  case huggingFace
  case expired(at: Int, now: Int)

  public var description: String {
    switch self {
    case .empty: "no link was given; paste the one from the mail, in single quotes if it is on the command line"
    case .notALink: "that is not a link; it begins with https:// and has a * in it: copy the text of the link in the mail, not the button"
    case .unsupportedScheme: "the link is neither http nor https; copy the text of the link in the mail again"
    case .missingStar(let host):
      "the link to \(host) has no *: the place of the file's name is lost; copy its text again, from https:// to the end, and put it in single quotes"
    case .cutOff(let missing):
      "the link is cut off: \(missing) is missing; copy it up to its end, across line breaks, and put it in single quotes so that the shell leaves its & alone"
    case .tracker(let host):
      "the link leads to \(host), which only redirects (a mail program's tracker): don't use \"copy link address\", copy the text of the link"
    case .huggingFace:
      "that is a link to a Hugging Face page, not a signed download link; the link is in the mail that Meta sends after its own form"
    case .expired(let at, let now):
      "the link expired \(Moment.ago(now - at)) ago, at \(Moment.utc(at)); ask for a new one and run the same command: what is here stays"
    }
  }
}
