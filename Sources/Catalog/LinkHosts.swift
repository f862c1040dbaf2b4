/// Which links open which releases: Meta signs the links of each family for a host of its own.
extension Catalog {
  /// Holds a link's host against what the catalog says of the releases that it should open.
  /// - Throws: when the host is that of other families. Of hosts that the catalog doesn't have (a mirror, a server of one's own) nothing is said.
  public func checkLink(to host: String, opens releases: [Release]) throws(WrongLinkError) {
    let host = Self.family(ofHost: host)
    let others = self.releases.filter { $0.hosts.contains { Self.family(ofHost: $0) == host } }
    guard !others.isEmpty else { return }
    for release in releases where !release.hosts.isEmpty && !release.hosts.contains(where: { Self.family(ofHost: $0) == host }) {
      var families: [String] = []
      for other in others where !families.contains(other.family) { families.append(other.family) }
      throw WrongLinkError(host: host, families: families, release: release.id, expected: release.hosts[0])
    }
  }

  /// Meta numbered the hosts of Llama 2, Code Llama and Llama 3: `download2`, `download6`. They count as one.
  private static func family(ofHost host: String) -> String {
    guard host.hasPrefix("download"), let dot = host.firstIndex(of: "."), host[..<dot].dropFirst("download".count).allSatisfy(\.isNumber) else { return host }
    return "download" + host[dot...]
  }
}

/// A link that opens other families than the release that it was offered for.
public struct WrongLinkError: Error, Sendable, Equatable, CustomStringConvertible {
  public let host: String
  /// What its links open.
  public let families: [String]
  public let release: String
  /// The host of the links that open the release.
  public let expected: String

  public var description: String {
    let lifetime = expected.hasPrefix("download") ? "lives 24 hours" : "lives 48 hours and opens each model up to five times"
    return "the link is for \(families.joined(separator: ", ")) (\(host)), and doesn't open \(release), whose links lead to \(expected); "
      + "ask for that one on https://www.llama.com/llama-downloads/: it \(lifetime)"
  }
}
