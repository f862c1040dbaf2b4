import Integrity
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
  /// The folder in which the hub's own tools keep what they fetch; nil where nobody has a home.
  public let cache: FilePath?

  /// - Parameters:
  ///   - variables: the environment's.
  ///   - allowsHTTP: whether a token may go over a network without TLS.
  public init(_ variables: [String: String], allowsHTTP: Bool = false) throws(HubError) {
    func variable(_ name: String) -> String? { variables[name].flatMap { $0.isEmpty ? nil : $0 } }
    var endpoint = variable("HF_ENDPOINT") ?? "https://huggingface.co"
    while endpoint.hasSuffix("/") { endpoint.removeLast() }
    guard let address = LinkText(endpoint), ["http", "https"].contains(address.scheme), address.query.isEmpty, !address.hasUser, !endpoint.contains("*") else { throw .endpoint }
    let folders = HubFolders(variables)
    // What `hf auth login` has left.
    let saved = folders.token.flatMap { try? SmallFile.read($0, atMost: 4096) }.map { String(decoding: $0, as: UTF8.self) }
    token = (variable("HF_TOKEN") ?? variable("HUGGING_FACE_HUB_TOKEN") ?? saved).flatMap(Self.cleaned)
    cache = folders.cache
    if token != nil, address.scheme == "http", !address.isLoopback, !allowsHTTP { throw .withoutTLS(host: address.shownHost) }
    (self.endpoint, origin) = (endpoint, address.origin)
    isOffline = (variable("HF_HUB_OFFLINE") ?? variable("TRANSFORMERS_OFFLINE")).map { ["1", "on", "yes", "true"].contains($0.lowercased()) } ?? false
  }

  /// Without the line break that files have at their end. What couldn't stand in a header is no token.
  private static func cleaned(_ text: String) -> String? {
    let token = text.filter { !$0.isWhitespace }
    return token.isEmpty || !token.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) ? nil : token
  }

  public var hasToken: Bool { token != nil }

  /// The page on which people read of a repository and accept its licence.
  public func page(of name: HubName) -> String { endpoint + "/" + name.repository }

  /// What opens every file of the hub.
  public var link: SignedLink { SignedLink(hub: endpoint + "/", origin: origin, token: token) }

  public var description: String { endpoint + (hasToken ? " (with a token)" : "") }
  public var customMirror: Mirror { Mirror(self, children: []) }
}
