import Platform
import SystemPackage

/// Where the hub is and who asks, from the variables that huggingface_hub reads too.
public struct HubSettings: Sendable, CustomStringConvertible, CustomReflectable {
  /// Scheme and host, and perhaps a path: mirrors have one. Without a slash at its end.
  public let endpoint: String
  /// Scheme and host of `endpoint`.
  public let origin: String
  /// A secret.
  let token: String?
  public let isOffline: Bool

  /// - Parameters:
  ///   - variables: the environment's.
  ///   - allowsHTTP: whether a token may go over a network without TLS.
  public init(_ variables: [String: String], allowsHTTP: Bool = false) throws(HubError) {
    func variable(_ name: String) -> String? { variables[name].flatMap { $0.isEmpty ? nil : $0 } }
    var endpoint = variable("HF_ENDPOINT") ?? "https://huggingface.co"
    while endpoint.hasSuffix("/") { endpoint.removeLast() }
    guard let address = LinkText(endpoint), ["http", "https"].contains(address.scheme), address.query.isEmpty, !address.hasUser, !endpoint.contains("*") else { throw .endpoint }
    token = (variable("HF_TOKEN") ?? variable("HUGGING_FACE_HUB_TOKEN") ?? Self.savedToken(variable)).flatMap(Self.cleaned)
    if token != nil, address.scheme == "http", !address.isLoopback, !allowsHTTP { throw .withoutTLS(host: address.shownHost) }
    (self.endpoint, origin) = (endpoint, address.origin)
    isOffline = variable("HF_HUB_OFFLINE").map { ["1", "on", "yes", "true"].contains($0.lowercased()) } ?? false
  }

  /// What `hf auth login` has left: HF_TOKEN_PATH, else `token` in HF_HOME, which is `huggingface` in XDG_CACHE_HOME or `~/.cache`.
  private static func savedToken(_ variable: (String) -> String?) -> String? {
    let home = variable("HOME").map { FilePath($0) }
    let caches = variable("XDG_CACHE_HOME").map { FilePath($0) } ?? home?.appending(".cache")
    let folder = variable("HF_HOME").map { FilePath($0) } ?? caches?.appending("huggingface")
    guard let path = variable("HF_TOKEN_PATH").map({ FilePath($0) }) ?? folder?.appending("token"), let bytes = try? SmallFile.read(path, atMost: 4096) else { return nil }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Without the line break that files have at their end. What couldn't stand in a header is no token.
  private static func cleaned(_ text: String) -> String? {
    let token = text.filter { !$0.isWhitespace }
    return token.isEmpty || !token.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) ? nil : token
  }

  public var hasToken: Bool { token != nil }

  /// The page on which people read of a repository and accept its licence.
  func page(of name: HubName) -> String { endpoint + "/" + name.repository }

  /// What opens every file of the hub.
  public var link: SignedLink { SignedLink(hub: endpoint + "/", origin: origin, token: token) }

  public var description: String { endpoint + (hasToken ? " (with a token)" : "") }
  public var customMirror: Mirror { Mirror(self, children: []) }
}
