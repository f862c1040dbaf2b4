import Glibc

/// The proxy that libcurl takes out of the environment, as far as messages have to name it.
enum Proxy {
  /// Scheme, host and port of the proxy on the way to `origin`, never its user and password; nil when there is none. The variables are those of
  /// curl(1), section ENVIRONMENT; ranges of addresses in `NO_PROXY` aren't looked at.
  static func named(for origin: String) -> String? {
    guard let target = LinkText(origin + "/") else { return nil }
    let variables = target.scheme == "http" ? ["http_proxy"] : ["https_proxy", "HTTPS_PROXY"]
    guard let text = first(of: variables + ["all_proxy", "ALL_PROXY"]) else { return nil }
    if let exceptions = first(of: ["no_proxy", "NO_PROXY"]) {
      let host = target.host.filter { !"[]".contains($0) }
      for entry in exceptions.lowercased().split(whereSeparator: { $0 == "," || $0 == " " }) {
        let name = entry.drop { $0 == "." }.filter { !"[]".contains($0) }
        if entry == "*" || host == name || host.hasSuffix("." + name) { return nil }
      }
    }
    return LinkText(text.contains("://") ? text : "http://" + text)?.origin ?? "of the environment"
  }

  /// That the proxy doesn't let a request to `origin` through, and what to do.
  static func refusal(_ status: Int, origin: String) -> String {
    let next = status == 407 || status == 401 ? "it wants a user and a password, as in \(origin.hasPrefix("http:") ? "http" : "https")_proxy=http://USER:PASSWORD@HOST:PORT" : "NO_PROXY names hosts to go to without it"
    return "the proxy \(named(for: origin) ?? "on the way") refused to pass the request on (HTTP status \(status)); \(next)"
  }

  private static func first(of variables: [String]) -> String? {
    variables.lazy.compactMap { getenv($0).map { String(cString: $0) } }.first { !$0.isEmpty }
  }
}
