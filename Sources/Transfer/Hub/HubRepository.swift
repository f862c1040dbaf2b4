import Integrity

/// What a repository of the hub holds at one commit.
public struct HubRepository: Sendable {
  public struct File: Sendable, Hashable {
    /// Relative to the repository's root.
    public let path: String
    public let bytes: Int
    public let digest: PublishedDigest

    public init(path: String, bytes: Int, digest: PublishedDigest) { (self.path, self.bytes, self.digest) = (path, bytes, digest) }
  }

  public let name: HubName
  /// Of the revision that was asked for: 40 hexadecimal digits.
  public let commit: String
  /// Whether its licence has to be accepted.
  let isGated: Bool
  /// In the order of their paths.
  public let files: [File]

  public init(name: HubName, commit: String, isGated: Bool = false, files: [File]) {
    (self.name, self.commit, self.isGated) = (name, commit, isGated)
    self.files = files.sorted { $0.path < $1.path }
  }

  /// What stands for the `*` of `HubSettings.link`.
  public func remote(_ path: String) -> String { "\(name.repository)/resolve/\(commit)/\(path)" }
}
