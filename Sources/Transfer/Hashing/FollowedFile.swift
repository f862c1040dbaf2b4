import Platform
import SystemPackage

/// A file whose bytes someone follows, as far as it is on this machine: for directories, which may lie at a file's end, and for the few bytes that
/// have to be read again when a download goes on.
public protocol FollowedFile: Sendable {
  /// Bytes of the whole file; nil as long as that isn't known.
  var length: Int? { get }

  /// The bytes of `range`, without waiting for any.
  /// - Returns: nil when not all of them are here.
  func bytes(in range: Range<Int>) -> [UInt8]?
}

/// A file of a download.
struct PartlyHere: FollowedFile {
  private let part: any LandingPlace
  /// The file under its final name, where that is what is followed.
  private let finished: OpenFile?

  init(_ part: any LandingPlace, finished: OpenFile? = nil) { (self.part, self.finished) = (part, finished) }

  var length: Int? { part.state.peek { $0.length } ?? finished?.size }

  func bytes(in range: Range<Int>) -> [UInt8]? {
    if let finished, range.upperBound <= finished.size {
      return Self.read(range.count) { memory throws(Errno) in try finished.descriptor.readAll(into: memory, at: range.lowerBound) }
    }
    guard part.state.peek({ $0.written.isSuperset(of: RangeSet(range)) }) else { return nil }
    return Self.read(range.count) { memory throws(Errno) in try part.read(into: memory, at: range.lowerBound) }
  }

  private static func read(_ count: Int, _ body: (UnsafeMutableRawBufferPointer) throws(Errno) -> Void) -> [UInt8]? {
    try? [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      try body(UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: buffer[..<count])))
      filled = count
    }
  }
}
