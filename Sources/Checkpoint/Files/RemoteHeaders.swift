import Synchronization
import SystemPackage

/// A file that lies elsewhere, such as on a server, and of which ranges can be had. Reading one may take a while, and may fail.
public protocol RangeSource: Sendable {
  /// Bytes of the whole file, as its keeper says.
  var count: Int { get }
  /// Exactly the bytes of `range`, which lies within `0..<count`.
  func bytes(in range: Range<Int>) throws -> [UInt8]
}

/// The headers of a file that lies elsewhere. Nothing is fetched twice, and a reader that goes on through the file asks for more each time, so that the
/// requests grow in number with the logarithm of what is read.
package final class RemoteHeaders: ByteSource {
  package let path: FilePath
  package let count: Int
  private let source: any RangeSource
  private let pieces = Mutex(Pieces())

  /// What was fetched.
  private struct Pieces {
    var here = RangeSet<Int>()
    var bytes: [(start: Int, bytes: [UInt8])] = []
  }

  /// Ranges are rounded out to pages of so many bytes.
  private static let page = 4096
  /// A round trip costs as much as this many bytes: the pickle or the header of most models is in the first request.
  private static let least = 128 << 10
  private static let mostAhead = 8 << 20
  /// Of one file, in all: the longest header that a reader accepts has 100 MB.
  private static let budget = 256 << 20
  private static let longest = 1 << 50

  package var isHere: Bool { false }

  /// - Parameter path: what messages call it.
  package init(_ source: any RangeSource, path: FilePath) throws(CheckpointError) {
    self.source = source
    self.path = path
    count = source.count
    guard (0...Self.longest).contains(count) else { throw CheckpointError(.corrupt, in: path, "is said to have \(count) bytes, which no file has") }
  }

  /// What was fetched so far, by where it begins.
  package var fetched: [(start: Int, bytes: [UInt8])] { pieces.withLock { $0.bytes } }

  package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(CheckpointError) {
    let range = offset..<offset + buffer.count
    guard range.upperBound <= count else { throw CheckpointError(.corrupt, in: path, byte: offset, "ends at byte \(count): it is cut off or damaged") }
    try pieces.withLock { pieces throws(CheckpointError) in
      try fetch(range, &pieces)
      for (start, bytes) in pieces.bytes {
        let common = range.clamped(to: start..<start + bytes.count)
        guard !common.isEmpty else { continue }
        let target = UnsafeMutableRawBufferPointer(rebasing: buffer[common.lowerBound - offset..<common.upperBound - offset])
        target.copyBytes(from: bytes[common.lowerBound - start..<common.upperBound - start])
      }
    }
  }

  /// Fetches what of `range` isn't here, and some around it that will probably be asked for next.
  private func fetch(_ range: Range<Int>, _ pieces: inout Pieces) throws(CheckpointError) {
    let pages = range.lowerBound / Self.page * Self.page..<min((range.upperBound + Self.page - 1) / Self.page * Self.page, count)
    for gap in RangeSet(pages).subtracting(pieces.here).ranges {
      var wanted = gap
      if gap.lowerBound == 0 {
        wanted = 0..<min(max(gap.upperBound, Self.least), count)
      } else if let before = pieces.here.ranges.first(where: { $0.upperBound == gap.lowerBound }) {
        // Someone reads on: as much again as there is.
        wanted = gap.lowerBound..<min(max(gap.upperBound, gap.lowerBound + min(before.count, Self.mostAhead)), count)
      }
      for part in RangeSet(wanted).subtracting(pieces.here).ranges { try fetchAll(part, &pieces) }
    }
  }

  private func fetchAll(_ range: Range<Int>, _ pieces: inout Pieces) throws(CheckpointError) {
    let sum = pieces.here.ranges.reduce(range.count) { $0 + $1.count }
    guard sum <= Self.budget else {
      throw CheckpointError(.corrupt, in: path, byte: range.lowerBound, "has more than \(Self.budget >> 20) MB of headers, which no checkpoint has")
    }
    let bytes: [UInt8]
    do { bytes = try source.bytes(in: range) } catch {
      throw CheckpointError(.io, in: path, byte: range.lowerBound, "can't be fetched: \(error)", cause: error)
    }
    guard bytes.count == range.count else {
      throw CheckpointError(.io, in: path, byte: range.lowerBound, "can't be fetched: \(bytes.count) bytes came of \(range.count)")
    }
    pieces.bytes.append((range.lowerBound, bytes))
    pieces.here.insert(contentsOf: range)
  }
}
