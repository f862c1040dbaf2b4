import Integrity

/// What a server says about the identity of a file's content, as far as it may be written down: servers are known to echo the whole address in a tag,
/// so of a tag only its hash is kept, and of a date the moment.
package struct Validators: Equatable, Sendable, Codable {
  /// An `ETag`.
  package struct Tag: Equatable, Sendable, Codable {
    /// Whether the content is the same to the byte where the tag is: one that is marked as weak, or that isn't quoted, doesn't say so (RFC 9110, section 8.8.1).
    package let isStrong: Bool
    /// SHA-256 of what stands behind the mark.
    private let digest: Digest

    package init(_ text: String) {
      isStrong = text.hasPrefix("\"")
      digest = SHA256.hash(Array(text.utf8.dropFirst(text.hasPrefix("W/") ? 2 : 0)))
    }

    /// Whether it is the same but perhaps for the mark: nginx adds it to a file's tag when it compresses, and CDNs take it away.
    func agrees(with other: Tag) -> Bool { digest == other.digest }
  }

  package var tag: Tag?
  /// `Last-Modified`, in seconds since 1970; nil for a date that makes no sense.
  package var modified: Int?

  package init(tag: Tag? = nil, modified: Int? = nil) {
    self.tag = tag
    self.modified = modified
  }

  /// Whether parts that come with this may be joined with others: a weak tag, and a date, may stay when bytes change.
  package var isStrong: Bool { tag?.isStrong ?? false }

  /// Whether both say, beyond doubt, that their contents are the same.
  func vouch(for other: Validators) -> Bool { isStrong && tag == other.tag }

  /// Whether `later`, from the same server in the same run, is another content.
  package func contradict(_ later: Validators) -> Bool {
    if let tag, let other = later.tag { return !tag.agrees(with: other) }
    if let modified, let other = later.modified { return modified != other }
    return false
  }

  /// Whether `later`, perhaps from another server with the same files, is another content. Servers, and mirrors behind one name, make up tags of their own, so one that differs
  /// says nothing while the date agrees.
  func contradictAcrossRuns(_ later: Validators) -> Bool {
    if let tag, let other = later.tag, tag.agrees(with: other) { return false }
    if let modified, let other = later.modified { return modified != other }
    return contradict(later)
  }
}
