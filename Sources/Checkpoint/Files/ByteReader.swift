import SystemPackage

/// A cursor over a stretch of a mapped file that never leaves it. Integers are little-endian.
struct ByteReader {
  let file: MappedFile
  /// Byte of the file that comes next.
  private(set) var position: Int
  /// Byte of the file behind the last.
  let end: Int
  /// Up to here the file was required: of a partial file whole pages come, and numbers are small.
  private var required = 0

  /// - Parameter range: bytes of the file, clamped to it.
  init(_ file: MappedFile, _ range: Range<Int>? = nil) {
    self.file = file
    let range = (range ?? 0..<file.count).clamped(to: 0..<file.count)
    position = range.lowerBound
    end = range.upperBound
  }

  var remaining: Int { end - position }

  /// The next `count` bytes; valid while the file is mapped.
  mutating func bytes(_ count: Int, _ what: @autoclosure () -> String) throws(CheckpointError) -> UnsafeRawBufferPointer {
    guard count >= 0, count <= remaining else {
      throw corrupt("\(what()) needs \(count) bytes, and \(remaining) are left: the file is cut off or damaged")
    }
    if position + count > required {
      try file.require(position..<position + count)
      required = (position + count + 4095) / 4096 * 4096
    }
    defer { position += count }
    return UnsafeRawBufferPointer(rebasing: file.bytes[position..<position + count])
  }

  mutating func integer<T: FixedWidthInteger>(_ type: T.Type, _ what: @autoclosure () -> String) throws(CheckpointError) -> T {
    T(littleEndian: try bytes(MemoryLayout<T>.size, what()).loadUnaligned(as: T.self))
  }

  mutating func byte(_ what: @autoclosure () -> String) throws(CheckpointError) -> UInt8 { try integer(UInt8.self, what()) }

  /// A length, count or offset of 64 bits that an `Int` can hold.
  mutating func size(_ what: @autoclosure () -> String) throws(CheckpointError) -> Int {
    let start = position
    let value = try integer(UInt64.self, what())
    guard let size = Int(exactly: value) else { throw corrupt("\(what()) is \(value), more than any file has", at: start) }
    return size
  }

  mutating func skip(_ count: Int, _ what: @autoclosure () -> String) throws(CheckpointError) { _ = try bytes(count, what()) }

  /// The next `count` bytes as UTF-8.
  mutating func text(_ count: Int, _ what: @autoclosure () -> String) throws(CheckpointError) -> String {
    let start = position
    guard let text = String(validating: try bytes(count, what()), as: UTF8.self) else { throw corrupt("\(what()) isn't UTF-8", at: start) }
    return text
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
