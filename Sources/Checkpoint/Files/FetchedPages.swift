import Synchronization
import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// A file that lies elsewhere, such as on a server, and of which ranges can be had. Reading one may take a while, and may fail.
public protocol RangeSource: Sendable {
  /// Bytes of the whole file, as its keeper says.
  var count: Int { get }
  /// Exactly the bytes of `range`, which lies within `0..<count`.
  func bytes(in range: Range<Int>) throws -> [UInt8]
}

/// A file that is on its way to this machine. What hasn't come yet is waited for, and weights can be read too.
public protocol ArrivingSource: RangeSource {
  /// Fills `buffer` with the bytes from `offset` on.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws
}

extension ArrivingSource {
  public func bytes(in range: Range<Int>) throws -> [UInt8] {
    try [UInt8](unsafeUninitializedCapacity: range.count) { buffer, count in
      try read(into: UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: buffer[..<range.count])), at: range.lowerBound)
      count = range.count
    }
  }
}

/// Address space for a file of which only what is asked for is fetched.
///
/// The pages that weren't fetched can't be read at all, so nothing takes zeros for content, and a server that claims any size costs no memory.
final class FetchedPages: @unchecked Sendable {
  // Unchecked: pages are written once, under the lock, before anyone was told that they are there.
  private let source: any RangeSource
  private let path: FilePath
  private let failure: FetchFailure
  private let reserved: Int
  private let fetched = Mutex(RangeSet<Int>())
  let base: UnsafeMutableRawPointer

  private static let page = sysconf(Int32(_SC_PAGESIZE))
  /// A round trip costs as much as this many bytes: the pickle or the header of most models is in the first request.
  private static let least = 128 << 10
  private static let mostAhead = 8 << 20
  /// Of one file, in all: the longest header that a reader accepts has 100 MB.
  private static let budget = 256 << 20

  /// - Parameter failure: told why the source would not give a range.
  init(_ source: any RangeSource, path: FilePath, failure: FetchFailure) throws(CheckpointError) {
    self.source = source
    self.path = path
    self.failure = failure
    let (end, overflow) = source.count.addingReportingOverflow(Self.page)
    reserved = overflow ? .max : end / Self.page * Self.page
    guard source.count >= 0, !overflow, let map = mmap(nil, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | Int32(MAP_NORESERVE), -1, 0), map != MAP_FAILED else {
      throw CheckpointError(.corrupt, in: path, "is said to have \(source.count) bytes, which no file has")
    }
    base = map
  }

  deinit { munmap(base, reserved) }

  /// Makes the bytes of `range` readable, and some around them that will probably be asked for next.
  /// - Throws: `CheckpointError.io`; the cause goes to `failure`.
  func require(_ range: Range<Int>) throws(CheckpointError) {
    try fetched.withLock { fetched throws(CheckpointError) in
      let pages = range.lowerBound / Self.page * Self.page..<min((range.upperBound + Self.page - 1) / Self.page * Self.page, source.count)
      for gap in RangeSet(pages).subtracting(fetched).ranges {
        var wanted = gap
        if gap.lowerBound == 0 {
          wanted = 0..<min(max(gap.upperBound, Self.least), source.count)
        } else if let before = fetched.ranges.first(where: { $0.upperBound == gap.lowerBound }) {
          // Someone reads on: as much again as there is, so that the round trips grow with the logarithm of the size.
          wanted = gap.lowerBound..<min(max(gap.upperBound, gap.lowerBound + min(before.count, Self.mostAhead)), source.count)
        }
        for part in RangeSet(wanted).subtracting(fetched).ranges { try fetch(part, &fetched) }
      }
    }
  }

  private func fetch(_ range: Range<Int>, _ fetched: inout RangeSet<Int>) throws(CheckpointError) {
    let sum = fetched.ranges.reduce(range.count) { $0 + $1.count }
    guard sum <= Self.budget else {
      throw CheckpointError(.corrupt, in: path, byte: range.lowerBound, "has more than \(Self.budget >> 20) MB of headers, which no checkpoint has")
    }
    let bytes: [UInt8]
    do { bytes = try source.bytes(in: range) } catch {
      failure.record(error)
      throw CheckpointError(.io, in: path, byte: range.lowerBound, "can't be fetched: \(error)")
    }
    guard bytes.count == range.count, mprotect(base + range.lowerBound, range.count, PROT_READ | PROT_WRITE) == 0 else {
      throw CheckpointError(.io, in: path, byte: range.lowerBound, "can't be fetched: there is no memory for it")
    }
    bytes.withUnsafeBytes { bytes in if let from = bytes.baseAddress { (base + range.lowerBound).copyMemory(from: from, byteCount: bytes.count) } }
    mprotect(base + range.lowerBound, range.count, PROT_READ)
    fetched.insert(contentsOf: range)
  }
}

/// Keeps the first reason why something could not be fetched, in its own type: readers throw errors of theirs.
final class FetchFailure: Sendable {
  private let kept = Mutex<(any Error)?>(nil)

  var error: (any Error)? { kept.withLock { $0 } }

  func record(_ error: any Error) { kept.withLock { $0 = $0 ?? error } }
}
