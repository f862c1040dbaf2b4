import CCurl

/// Why a request came to nothing, as libcurl's codes and the answer's head tell it. The words stand behind the name of who should have answered, and hold
/// nothing of the request.
enum RequestFailure: Equatable {
  /// No answer, or only a part of one; asking again may help.
  case network(String)
  /// Bytes that aren't HTTP.
  case junk
  /// A compressed answer that can't be undone.
  case encoding
  /// It would fail the same way again, for whatever is asked for at the same place.
  case final(String)
  /// A proxy stands in the way.
  case proxy(String)
  /// The certificates that are to be trusted can't be used.
  case authorities

  /// - Parameter origin: the link's scheme and host.
  init(_ code: CURLcode, _ handle: UnsafeMutableRawPointer, _ head: ResponseHead, origin: String) {
    func number(_ info: CURLINFO) -> Int {
      var value = 0
      ccurl_easy_getinfo_long(handle, info, &value)
      return value
    }
    let proxyStatus = number(CURLINFO_HTTP_CONNECTCODE)
    if 300...499 ~= proxyStatus {
      self = .proxy(Proxy.refusal(proxyStatus, origin: origin))
      return
    }
    switch code {
    case CURLE_PEER_FAILED_VERIFICATION where number(CURLINFO_PROXY_SSL_VERIFYRESULT) != 0:
      let name = Proxy.named(for: origin) ?? "on the way"
      self = .proxy("the certificate of the proxy \(name) can't be trusted (\(EasyHandle.verification(number(CURLINFO_PROXY_SSL_VERIFYRESULT)))); --cacert names other authorities")
    case CURLE_PEER_FAILED_VERIFICATION:
      self = .final("its certificate can't be trusted (\(EasyHandle.verification(number(CURLINFO_SSL_VERIFYRESULT)))); --cacert names other authorities")
    case CURLE_SSL_CACERT_BADFILE: self = .authorities
    case CURLE_TOO_MANY_REDIRECTS: self = .final("it redirects in a circle")
    case CURLE_UNSUPPORTED_PROTOCOL where head.leads(awayFrom: origin):
      self = .final("it redirects to an address that is neither http nor https, or from https down to http, which is refused")
    // libcurl's code for HTTP/0.9, which is what it takes bytes for that don't begin as an answer does.
    case CURLE_UNSUPPORTED_PROTOCOL, CURLE_WEIRD_SERVER_REPLY: self = .junk
    case CURLE_URL_MALFORMAT where head.status == 0: self = .final("the link is malformed")
    case CURLE_URL_MALFORMAT: self = .final("it redirects to an address that is none")
    case CURLE_PARTIAL_FILE, CURLE_GOT_NOTHING: self = .network("the connection ended before the file did")
    case CURLE_BAD_CONTENT_ENCODING: self = .encoding
    case CURLE_COULDNT_CONNECT, CURLE_COULDNT_RESOLVE_PROXY:
      self = .network("couldn't connect to \(Proxy.named(for: origin).map { "the proxy \($0)" } ?? "the server")")
    default: self = .network(EasyHandle.words(for: code))
    }
  }

  /// Whether the request went over a connection that an earlier one had left: what came there may have been left over from that one.
  static func usedAnOldConnection(_ handle: UnsafeMutableRawPointer) -> Bool {
    var made = 0
    ccurl_easy_getinfo_long(handle, CURLINFO_NUM_CONNECTS, &made)
    return made == 0
  }

  static let notHTTP = "the answer isn't HTTP"
  static let badEncoding = "the answer was compressed, and damaged"
}
