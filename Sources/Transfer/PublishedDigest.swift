import Integrity

/// What somebody who publishes a file says of its content, before it arrives.
public enum PublishedDigest: Sendable, Hashable {
  /// MD5 or SHA-256 of the file.
  case hash(Digest)
  /// The name that git gives it.
  case blob(GitBlobID)
}
