import CCurl  // for the members of `timespec`, which its headers bring too
import FoundationEssentials
import Glibc
import Integrity
import Platform

/// What is known to be safe of a partial file, kept beside it.
///
/// A journal is small, says nothing of the link, and is replaced atomically after the data it speaks of was synced. A first line holds the
/// format's version and a SHA-256 of what follows, which is JSON.
package struct Journal: Equatable, Sendable {
  /// What stands for the link's `*`, so that a journal that strayed to another file is noticed.
  package var remote: String
  /// The file's whole length.
  package var length: Int
  package var validators: Validators
  /// What the checklist says the whole file hashes to.
  package var expected: Digest?
  /// Ranges that are on disk, ascending, with gaps between them.
  package var safe: RangeSet<Int>
  /// The hash of a prefix that lies in `safe`.
  package var hash: FileHash
  /// What the file's follower needs to go on from where the hash ends.
  package var followerState: [UInt8]?
  /// The partial file as it was when it was synced.
  package var identity: Identity
  /// Whether nothing was written after the journal.
  package var isClosed: Bool

  /// What tells that a file was touched by someone else.
  package struct Identity: Equatable, Sendable, Codable {
    package var inode: UInt64
    package var size: Int
    /// Nanoseconds since 1970.
    package var modified: Int

    package init(inode: UInt64, size: Int, modified: Int) {
      self.inode = inode
      self.size = size
      self.modified = modified
    }

    /// Times far away wrap around; only whether two are the same has to be right.
    static func nanoseconds(_ time: timespec) -> Int { Int(time.tv_sec) &* 1_000_000_000 &+ Int(time.tv_nsec) }
  }

  private struct Document: Codable {
    var remote: String
    var length: Int
    var validators: Validators
    var expected: Digest?
    var safe: [[Int]]
    var algorithm: HashAlgorithm
    var hash: Data
    var states: Data
    var follower: Data?
    var identity: Identity
    var isClosed: Bool
  }

  private static let title = "drover journal 3 sha256="
  static let mostBytes = 16 << 20

  /// The file's content.
  package func encoded() throws -> [UInt8] {
    let document = Document(
      remote: remote, length: length, validators: validators, expected: expected, safe: safe.ranges.map { [$0.lowerBound, $0.upperBound] },
      algorithm: hash.algorithm, hash: Data(hash.state), states: Data(hash.passed.bytes), follower: followerState.map { Data($0) }, identity: identity,
      isClosed: isClosed)
    let body = try JSONText.encode(document, isCompact: true)
    return Array((Self.title + SHA256.hash(body).hex + "\n").utf8) + body
  }

  /// Reads a journal's content.
  /// - Returns: nil when it was damaged, or contradicts itself.
  package init?(decoding bytes: [UInt8]) {
    let title = Array(Self.title.utf8)
    guard bytes.starts(with: title), let newline = bytes.firstIndex(of: 0x0A) else { return nil }
    let body = Array(bytes[(newline + 1)...])
    guard SHA256.hash(body).hex.utf8.elementsEqual(bytes[title.count..<newline]), let document = try? JSONDecoder().decode(Document.self, from: Data(body)) else { return nil }
    self.init(document)
  }

  private init?(_ document: Document) {
    guard document.length >= 0, document.identity.size >= 0 else { return nil }
    var safe = RangeSet<Int>()
    var end = -1
    for range in document.safe {
      guard range.count == 2, range[0] > end, range[1] > range[0], range[1] <= document.length else { return nil }
      safe.insert(contentsOf: range[0]..<range[1])
      end = range[1]
    }
    guard let states = ChainStates(document.algorithm, bytes: [UInt8](document.states)), let hash = FileHash(state: [UInt8](document.hash), passed: states),
      hash.position <= safe.prefixEnd
    else { return nil }
    remote = document.remote
    length = document.length
    validators = document.validators
    expected = document.expected
    self.safe = safe
    self.hash = hash
    followerState = document.follower.map { [UInt8]($0) }
    identity = document.identity
    isClosed = document.isClosed
  }

  package init(
    remote: String, length: Int, validators: Validators, expected: Digest?, safe: RangeSet<Int>, hash: FileHash, followerState: [UInt8]? = nil,
    identity: Identity, isClosed: Bool
  ) {
    self.remote = remote
    self.length = length
    self.validators = validators
    self.expected = expected
    self.safe = safe
    self.hash = hash
    self.followerState = followerState
    self.identity = identity
    self.isClosed = isClosed
  }
}
