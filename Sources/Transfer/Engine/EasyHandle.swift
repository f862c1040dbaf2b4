import CCurl
import Glibc
import SystemPackage

/// libcurl's easy handles, set up as every request of ours has to be: where it may be led to, whom it trusts, when it gives up.
enum EasyHandle {
  /// What went wrong, to stand in the middle of a sentence. libcurl's constants: they hold nothing of the request.
  static func words(for code: CURLcode) -> String {
    let text = String(cString: curl_easy_strerror(code))
    // Not the S of SSL.
    return text.dropFirst().first?.isLowercase == true ? text.prefix(1).lowercased() + text.dropFirst() : text
  }

  /// - Parameters:
  ///   - link: what is asked for with it; says where requests may be led to, and who asks.
  ///   - stallSeconds: bounds the time to connect.
  /// - Returns: nil when there are no more.
  static func make(to link: SignedLink, authorities: Authorities, stallSeconds: Double) -> UnsafeMutableRawPointer? {
    guard isInitialized, let handle = curl_easy_init() else { return nil }
    ccurl_easy_setopt_string(handle, CURLOPT_PROTOCOLS_STR, "http,https")
    // From https never down to http.
    ccurl_easy_setopt_string(handle, CURLOPT_REDIR_PROTOCOLS_STR, link.origin.hasPrefix("https:") ? "https" : "http,https")
    if let token = link.token {
      // libcurl sends it to the host that was asked, and after a redirect to no other (CURLOPT_UNRESTRICTED_AUTH is off).
      ccurl_easy_setopt_long(handle, CURLOPT_HTTPAUTH, ccurl_auth_bearer)
      ccurl_easy_setopt_string(handle, CURLOPT_XOAUTH2_BEARER, token)
    }
    ccurl_easy_setopt_long(handle, CURLOPT_FOLLOWLOCATION, 1)
    ccurl_easy_setopt_long(handle, CURLOPT_MAXREDIRS, 10)
    ccurl_easy_setopt_long(handle, CURLOPT_SSL_VERIFYPEER, 1)
    ccurl_easy_setopt_long(handle, CURLOPT_SSL_VERIFYHOST, 2)
    ccurl_easy_setopt_long(handle, CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2))
    ccurl_easy_setopt_long(handle, CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_2TLS))
    authorities.file?.withPlatformString { path in
      for option in [CURLOPT_CAINFO, CURLOPT_PROXY_CAINFO] { ccurl_easy_setopt_string(handle, option, path) }
    }
    authorities.folder?.withPlatformString { path in
      for option in [CURLOPT_CAPATH, CURLOPT_PROXY_CAPATH] { ccurl_easy_setopt_string(handle, option, path) }
    }
    ccurl_easy_setopt_long(handle, CURLOPT_NOSIGNAL, 1)
    // Ctrl-C doesn't wait for a name server that doesn't answer.
    ccurl_easy_setopt_long(handle, CURLOPT_QUICK_EXIT, 1)
    ccurl_easy_setopt_long(handle, CURLOPT_NOPROGRESS, 1)
    ccurl_easy_setopt_long(handle, CURLOPT_CONNECTTIMEOUT_MS, Int(min(30, stallSeconds) * 1000))
    ccurl_easy_setopt_long(handle, CURLOPT_TCP_KEEPALIVE, 1)
    // Says that nothing compressed is wanted. Where it comes all the same, `decode` has it undone.
    ccurl_easy_setopt_string(handle, CURLOPT_ACCEPT_ENCODING, "identity")
    decode(handle, false)
    ccurl_easy_setopt_string(handle, CURLOPT_USERAGENT, "drover/0.1")
    return handle
  }

  /// Says whether compression of the next answer is undone. libcurl refuses answers whose `Content-Encoding` it doesn't know, harmless ones too, so that is asked of it
  /// only where something compressed has come.
  static func decode(_ handle: UnsafeMutableRawPointer, _ decodes: Bool) { ccurl_easy_setopt_long(handle, CURLOPT_HTTP_CONTENT_DECODING, decodes ? 1 : 0) }

  static let isInitialized = curl_global_init(Int(CURL_GLOBAL_ALL)) == CURLE_OK

  /// Why a certificate was refused, in OpenSSL's numbers (`X509_V_ERR_…`).
  static func verification(_ result: Int) -> String {
    switch result {
    // libcurl compares names before it stores a result; 1 is what it starts with.
    case 0, 1, 62: "it is for another name"
    case 10: "it has expired"
    case 9: "it isn't valid yet"
    case 2, 18, 19, 20, 21: "its authority is unknown"
    default: "OpenSSL's reason \(result)"
    }
  }
}
