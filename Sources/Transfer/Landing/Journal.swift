import CCurl  // for the members of `timespec`, which its headers bring too
import FoundationEssentials
import Glibc
import Integrity

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
  package var hash: PrefixHash
  /// Of another such prefix.
  package var sha256: SHA256
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
    var hash: String
    var marks: String
    var sha256: String
    var identity: Identity
    var isClosed: Bool
  }

  private static let title = "drover journal 2 sha256="
  static let mostBytes = 16 << 20

  /// The file's content.
  package func encoded() throws -> [UInt8] {
    let document = Document(
      remote: remote, length: length, validators: validators, expected: expected, safe: safe.ranges.map { [$0.lowerBound, $0.upperBound] },
      hash: Hex.encode(hash.state), marks: Hex.encode(hash.marks), sha256: Hex.encode(sha256.state), identity: identity, isClosed: isClosed)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let body = [UInt8](try encoder.encode(document)) + [0x0A]
    return Array((Self.title + SHA256.hash(body).hex + "\n").utf8) + body
  }

  /// Reads a journal's content.
  /// - Returns: nil when it was damaged, or contradicts itself.
  package init?(decoding bytes: [UInt8]) {
    let title = Array(Self.title.utf8)
    guard bytes.starts(with: title), let newline = bytes.firstIndex(of: 0x0A), let sum = Digest(hex: String(decoding: bytes[title.count..<newline], as: UTF8.self))
    else { return nil }
    let body = Array(bytes[(newline + 1)...])
    guard SHA256.hash(body) == sum, let document = try? JSONDecoder().decode(Document.self, from: Data(body)) else { return nil }
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
    guard let state = Hex.decode(document.hash), let marks = Hex.decode(document.marks), let hash = PrefixHash(state: state, marks: marks),
      let sha256 = Hex.decode(document.sha256).flatMap({ SHA256(state: $0) }), hash.position <= safe.prefixEnd, sha256.byteCount <= safe.prefixEnd
    else { return nil }
    remote = document.remote
    length = document.length
    validators = document.validators
    expected = document.expected
    self.safe = safe
    self.hash = hash
    self.sha256 = sha256
    identity = document.identity
    isClosed = document.isClosed
  }

  package init(
    remote: String, length: Int, validators: Validators, expected: Digest?, safe: RangeSet<Int>, hash: PrefixHash, sha256: SHA256, identity: Identity,
    isClosed: Bool
  ) {
    self.remote = remote
    self.length = length
    self.validators = validators
    self.expected = expected
    self.safe = safe
    self.hash = hash
    self.sha256 = sha256
    self.identity = identity
    self.isClosed = isClosed
  }
}

extension RangeSet<Int> {
  /// Where the range that begins at 0 ends.
  package var prefixEnd: Int { ranges.first.map { $0.lowerBound == 0 ? $0.upperBound : 0 } ?? 0 }

  /// Numbers in the set.
  var total: Int { ranges.reduce(0) { $0 + $1.count } }
}

private enum Hex {
  static func encode(_ bytes: [UInt8]) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(unsafeUninitializedCapacity: bytes.count * 2) { text in
      for (index, byte) in bytes.enumerated() {
        text[2 * index] = digits[Int(byte >> 4)]
        text[2 * index + 1] = digits[Int(byte & 15)]
      }
      return bytes.count * 2
    }
  }

  static func decode(_ text: String) -> [UInt8]? {
    let digits = Array(text.utf8)
    guard digits.count % 2 == 0 else { return nil }
    func value(_ digit: UInt8) -> UInt8? {
      switch digit {
      case 0x30...0x39: digit - 0x30
      case 0x61...0x66: digit - 0x61 + 10
      default: nil
      }
    }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(digits.count / 2)
    for index in stride(from: 0, to: digits.count, by: 2) {
      guard let high = value(digits[index]), let low = value(digits[index + 1]) else { return nil }
      bytes.append(high << 4 | low)
    }
    return bytes
  }
}
