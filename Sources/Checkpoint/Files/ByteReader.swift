import SystemPackage

/// A cursor over a stretch of a file that never leaves it, for headers. Integers are little-endian.
///
/// It reads ahead into a window of its own: little at first, more as the reader goes on.
struct ByteReader {
  let file: any ByteSource
  /// Byte of the file that comes next.
  private(set) var position: Int
  /// Byte of the file behind the last.
  let end: Int
  /// Bytes of the file from `windowStart` on.
  private var window: [UInt8] = []
  private var windowStart: Int

  private static let leastWindow = 4096
  private static let largestWindow = 256 << 10

  /// - Parameter range: bytes of the file, clamped to it.
  init(_ file: any ByteSource, _ range: Range<Int>? = nil) {
    self.file = file
    let range = (range ?? 0..<file.count).clamped(to: 0..<file.count)
    position = range.lowerBound
    end = range.upperBound
    windowStart = range.lowerBound
  }

  var remaining: Int { end - position }

  /// Passes over the next `count` bytes, which aren't read.
  mutating func skip(_ count: Int, _ what: @autoclosure () -> String) throws(CheckpointError) {
    guard count >= 0, count <= remaining else {
      throw corrupt("\(what()) needs \(count) bytes, and \(remaining) are left: the file is cut off or damaged")
    }
    position += count
  }

  /// The next `count` bytes.
  mutating func bytes(_ count: Int, _ what: @autoclosure () -> String) throws(CheckpointError) -> [UInt8] {
    let start = position
    try skip(count, what())
    guard count <= Self.largestWindow else { return try file.bytes(start..<start + count) }
    return Array(window[try windowed(start, count)])
  }

  mutating func integer<T: FixedWidthInteger>(_ type: T.Type, _ what: @autoclosure () -> String) throws(CheckpointError) -> T {
    let start = position
    try skip(MemoryLayout<T>.size, what())
    let range = try windowed(start, MemoryLayout<T>.size)
    return window.withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: range.lowerBound, as: T.self)) }
  }

  mutating func byte(_ what: @autoclosure () -> String) throws(CheckpointError) -> UInt8 { try integer(UInt8.self, what()) }

  /// A length, count or offset of 64 bits that an `Int` can hold.
  mutating func size(_ what: @autoclosure () -> String) throws(CheckpointError) -> Int {
    let start = position
    let value = try integer(UInt64.self, what())
    guard let size = Int(exactly: value) else { throw corrupt("\(what()) is \(value), more than any file has", at: start) }
    return size
  }

  /// The next `count` bytes as UTF-8.
  mutating func text(_ count: Int, _ what: @autoclosure () -> String) throws(CheckpointError) -> String {
    let start = position
    guard let text = String(validating: try bytes(count, what()), as: UTF8.self) else { throw corrupt("\(what()) isn't UTF-8", at: start) }
    return text
  }

  /// Sees to it that the window holds `count` bytes of the file from `start` on.
  /// - Returns: where in the window they are.
  private mutating func windowed(_ start: Int, _ count: Int) throws(CheckpointError) -> Range<Int> {
    if start < windowStart || start + count > windowStart + window.count {
      let ahead = min(max(Self.leastWindow, 2 * window.count), Self.largestWindow)
      window = try file.bytes(start..<min(start + max(count, ahead), end))
      windowStart = start
    }
    return start - windowStart..<start - windowStart + count
  }

  func corrupt(_ message: String, at byte: Int? = nil) -> CheckpointError {
    CheckpointError(.corrupt, in: file.path, byte: byte ?? position, message)
  }
}

/// `a * b`, or nil when it overflows or either is negative.
func product(_ a: Int, _ b: Int) -> Int? {
  let (value, overflow) = a.multipliedReportingOverflow(by: b)
  return overflow || a < 0 || b < 0 ? nil : value
}

/// `a + b`, or nil when it overflows or either is negative.
func sum(_ a: Int, _ b: Int) -> Int? {
  let (value, overflow) = a.addingReportingOverflow(b)
  return overflow || a < 0 || b < 0 ? nil : value
}
