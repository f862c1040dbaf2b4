/// What somebody who publishes a file says of its content, before it arrives; and what stores call their files by.
public enum PublishedDigest: Sendable, Hashable {
  /// MD5 or SHA-256 of the file.
  case hash(Digest)
  /// The name that git gives it.
  case blob(GitBlobID)

  /// The name of a blob in the hub's cache: SHA-256 of what lies in LFS, git's name of the rest.
  /// - Returns: nil for any other name.
  public init?(blobName name: some StringProtocol) {
    guard name.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }) else { return nil }
    if name.utf8.count == 64, let digest = Digest(hex: name) { self = .hash(digest) } else if let id = GitBlobID(hex: name) { self = .blob(id) } else { return nil }
  }

  public var hex: String {
    switch self {
    case .hash(let digest): digest.hex
    case .blob(let id): id.hex
    }
  }
}
