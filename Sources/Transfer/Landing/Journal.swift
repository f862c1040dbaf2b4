import FoundationEssentials
import Integrity
import Platform

/// What is known to be safe of a partial file, kept beside it.
///
/// A journal is small, says nothing of the link, and is replaced atomically after the data it speaks of was synced. It is a `SealedDocument`.
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

  package typealias Identity = FileStamp

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

  private static let title = "drover journal 3"
  static let mostBytes = 16 << 20

  /// The file's content.
  package func encoded() throws -> [UInt8] {
    let document = Document(
      remote: remote, length: length, validators: validators, expected: expected, safe: safe.ranges.map { [$0.lowerBound, $0.upperBound] },
      algorithm: hash.algorithm, hash: Data(hash.state), states: Data(hash.passed.bytes), follower: followerState.map { Data($0) }, identity: identity,
      isClosed: isClosed)
    return try SealedDocument.encoded(document, title: Self.title)
  }

  /// Reads a journal's content.
  /// - Returns: nil when it was damaged, or contradicts itself.
  package init?(decoding bytes: [UInt8]) {
    guard let document = SealedDocument.decoded(bytes, as: Document.self, title: Self.title) else { return nil }
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
