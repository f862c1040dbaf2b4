import Platform
import CCurl
import Glibc

/// The status and the header fields of one answer that a download looks at.
package struct ResponseHead {
  package init() {}

  package var status = 0
  var contentLength: Int?
  /// The body comes in chunks, whose end says where it ends.
  var isChunked = false
  /// The head says two different things about the body's length.
  var isContradictory = false
  /// Whether the end of the body can be told from the end of the connection: HTTP/2 ends each body by a frame of its own.
  var isDelimited: Bool { contentLength != nil || isChunked || isFramed }
  private var isFramed = false
  /// First and last byte of a 206's body.
  package var contentRange: ClosedRange<Int>?
  /// The file's whole length, as `Content-Range` tells it.
  package var totalLength: Int?
  package var validators = Validators()
  var contentType = ""
  var isMultipart: Bool { contentType.hasPrefix("multipart/") }
  /// How the body is compressed, asked for or not; nil when it isn't.
  var encoding: String?
  /// Seconds that the server asks to wait.
  package var retryAfter: Double?
  /// The hub's word for what is wrong, such as `GatedRepo`; nil for anything that isn't a word.
  private(set) var errorCode: String?
  /// Whether the hub says that it doesn't know the token.
  private(set) var deniesCredentials = false
  /// Where a list goes on (RFC 8288). A page's address, for the next request and nothing else.
  private(set) var next: String?
  /// The server's time, in seconds since 1970.
  var date: Int? { dateField.flatMap { Self.seconds($0) } }
  private var dateField: String?
  /// Scheme and host of who answers, where a redirect led to another host than the link's.
  private(set) var origin: String?
  /// Where the answer redirects to: its scheme, and scheme and host where these are http's. Never more: such addresses are signed too.
  private var redirect: (scheme: String, origin: String?)?
  private var retryDate: Int?

  /// Takes one line of the head. A new status line starts over: redirects and interim answers have heads of their own.
  package mutating func take(_ line: String) {
    if line.hasPrefix("HTTP/") {
      let origin = asked
      self = ResponseHead()
      self.origin = origin
      isFramed = ["HTTP/2", "HTTP/3"].contains { line.hasPrefix($0) }
      let fields = line.split(separator: " ", maxSplits: 2)
      status = fields.count > 1 ? Int(fields[1].prefix(3)) ?? 0 : 0
      return
    }
    guard let colon = line.utf8.firstIndex(of: UInt8(ascii: ":")) else { return }
    let value = Self.trimmed(line[line.utf8.index(after: colon)...])
    switch line[..<colon].lowercased() {
    case "content-length":
      let length = Int(value).flatMap { $0 >= 0 ? $0 : nil }
      isContradictory = isContradictory || isChunked || contentLength != nil && contentLength != length
      contentLength = length
    case "transfer-encoding":
      isChunked = true
      isContradictory = isContradictory || contentLength != nil
    case "content-range": takeRange(value)
    case "content-type": contentType = value.lowercased()
    case "content-encoding": encoding = Self.compression(value)
    case "location": redirect = Self.target(value)
    case "etag": validators.tag = Validators.Tag(value)
    case "last-modified": validators.modified = Self.seconds(value)
    case "x-error-code": errorCode = !value.isEmpty && value.utf8.count <= 40 && value.allSatisfy { $0.isASCII && $0.isLetter } ? value : nil
    case "x-error-message": deniesCredentials = value == "Invalid credentials in Authorization header"
    case "link": next = Self.next(value) ?? next
    case "date": dateField = value
    case "retry-after":
      if let seconds = Int(value) { retryAfter = Double(max(0, seconds)) } else { retryDate = Self.seconds(value) }
    default: break
    }
    // The server's own clock is the one its date is meant by.
    if let retryDate { retryAfter = Double(max(0, retryDate - (date ?? secondsSinceEpoch()))) }
  }

  /// Scheme and host of who was asked last, where that isn't the link's host.
  var asked: String? { 300...399 ~= status ? redirect?.origin ?? origin : origin }

  /// Whether it redirects to where no request of ours goes.
  /// - Parameter origin: the link's; from https never down to http.
  func leads(awayFrom origin: String) -> Bool {
    guard 300...399 ~= status, let scheme = redirect?.scheme else { return false }
    return scheme != "https" && (scheme != "http" || origin.hasPrefix("https:"))
  }

  private static func target(_ value: String) -> (String, String?)? {
    let scheme = value.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || "+-.".contains($0)) }.lowercased()
    guard value.dropFirst(scheme.count).hasPrefix(":") else { return nil }
    return (scheme, LinkText(value)?.origin)
  }

  /// What can be undone, as libcurl knows it.
  static let known = ["gzip", "x-gzip", "deflate", "br", "zstd"]
  /// What stores and servers write there of files as they are: S3 keeps how an object was uploaded, chunk by chunk.
  private static let plain = ["", "identity", "none", "binary", "8bit", "7bit", "utf-8", "aws-chunked"]

  private static func compression(_ value: String) -> String? {
    let compressions = value.lowercased().split(separator: ",").map { trimmed($0) }.filter { !plain.contains($0) }
    return compressions.isEmpty ? nil : compressions.joined(separator: ",")
  }

  /// `bytes 0-99/1000`, `bytes 0-99/*`, `bytes */1000`.
  private mutating func takeRange(_ value: String) {
    guard value.lowercased().hasPrefix("bytes ") else { return }
    let parts = value.dropFirst(6).split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2 else { return }
    totalLength = Int(parts[1]).flatMap { $0 >= 0 ? $0 : nil }
    let ends = parts[0].split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
    if ends.count == 2, let first = ends[0], let last = ends[1], first >= 0, last >= first, last < Int.max, last < totalLength ?? .max {
      contentRange = first...last
    }
  }

  /// The target of `<…>; rel="next"` among others.
  private static func next(_ value: String) -> String? {
    for link in value.split(separator: ",") {
      let parts = link.split(separator: ";").map { trimmed($0) }
      guard let target = parts.first, target.hasPrefix("<"), target.hasSuffix(">"), parts.dropFirst().contains(where: { $0 == "rel=\"next\"" || $0 == "rel=next" }) else { continue }
      return String(target.dropFirst().dropLast())
    }
    return nil
  }

  private static func trimmed(_ text: Substring) -> String {
    var bytes = text.utf8
    // Of bytes, since an end of a line, CR and LF, is one character.
    while let first = bytes.first, isSpace(first) { bytes.removeFirst() }
    while let last = bytes.last, isSpace(last) { bytes.removeLast() }
    return String(Substring(bytes))
  }

  private static func isSpace(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || UInt8(ascii: "\t")...UInt8(ascii: "\r") ~= byte }

  /// An HTTP date in seconds since 1970.
  private static func seconds(_ text: String) -> Int? {
    let value = curl_getdate(text, nil)
    return value < 0 ? nil : value
  }
}
