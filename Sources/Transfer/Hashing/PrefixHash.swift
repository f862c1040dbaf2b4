import Integrity

/// A hash that follows the prefix of a file as it grows.
protocol FollowingHash: Sendable {
  init()
  /// Bytes hashed.
  var position: Int { get }
  /// Most bytes that may be taken at once.
  var room: Int { get }
  /// Streams that are hashed side by side.
  static var lanes: Int { get }
  /// Hashes for each file the bytes that follow; at most `room` of each.
  static func take(_ hashes: inout [Self], _ chunks: [UnsafeRawBufferPointer])
}

extension SHA256: FollowingHash {
  var position: Int { Int(byteCount) }
  var room: Int { .max }
  static func take(_ hashes: inout [SHA256], _ chunks: [UnsafeRawBufferPointer]) { update(&hashes, with: chunks) }
}

/// The MD5 of a file's beginning, which grows with it, and marks on the way.
///
/// A mark is the chaining value at a multiple of `markInterval`. With two neighbouring marks the bytes between them can be checked alone: when a
/// file is in doubt, what still fits is kept, and only the rest is fetched again.
package struct PrefixHash: FollowingHash, Equatable, Sendable {
  /// Bytes between two marks; a multiple of MD5's block.
  package static let markInterval = 64 << 20
  /// Bytes of a chaining value.
  package static let markBytes = 16

  private var md5 = MD5()
  /// Chaining values at 1, 2, … times the interval, one after another.
  package private(set) var marks: [UInt8] = []

  package init() {}

  static var lanes: Int { MD5.lanes }

  /// - Returns: nil when the two don't fit together.
  init?(state: [UInt8], marks: [UInt8]) {
    guard let md5 = MD5(state: state), md5.byteCount < UInt64(Int.max), marks.count == Int(md5.byteCount) / Self.markInterval * Self.markBytes else { return nil }
    self.md5 = md5
    self.marks = marks
  }

  /// The hash as it was at the `count`th mark.
  package init?(marks: ArraySlice<UInt8>) {
    self.marks = Array(marks)
    guard let last = marks.suffix(Self.markBytes).count == Self.markBytes ? marks.suffix(Self.markBytes) : nil else {
      if marks.isEmpty { return }
      return nil
    }
    let count = UInt64(marks.count / Self.markBytes) * UInt64(Self.markInterval)
    let littleEndian = (0..<8).map { UInt8(truncatingIfNeeded: count >> (8 * $0)) }
    guard let md5 = MD5(state: Array(last) + littleEndian + [UInt8](repeating: 0, count: 64)) else { return nil }
    self.md5 = md5
  }

  /// Bytes hashed.
  package var position: Int { Int(md5.byteCount) }
  /// What `init(state:marks:)` takes.
  var state: [UInt8] { md5.state }
  var digest: Digest { md5.finalize() }

  /// Bytes until the next mark; more than that may not be taken at once.
  var room: Int { Self.markInterval - position % Self.markInterval }

  /// Hashes the bytes that follow; at most `room` of them.
  package mutating func take(_ bytes: UnsafeRawBufferPointer) {
    precondition(bytes.count <= room)
    md5.update(bytes)
    mark()
  }

  /// Several at once take little longer than one.
  static func take(_ hashes: inout [PrefixHash], _ chunks: [UnsafeRawBufferPointer]) {
    precondition(zip(hashes, chunks).allSatisfy { $0.room >= $1.count })
    var md5s = hashes.map(\.md5)
    MD5.update(&md5s, with: chunks)
    for (index, md5) in md5s.enumerated() {
      hashes[index].md5 = md5
      hashes[index].mark()
    }
  }

  private mutating func mark() { if position % Self.markInterval == 0, position > 0 { marks += md5.state.prefix(Self.markBytes) } }

  package static func == (a: PrefixHash, b: PrefixHash) -> Bool { a.state == b.state && a.marks == b.marks }
}
