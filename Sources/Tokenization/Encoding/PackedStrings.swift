/// Many byte strings in one buffer: a vocabulary of a hundred thousand tokens without an allocation for each.
public struct PackedStrings: Sendable, Equatable {
  private var bytes: [UInt8] = []
  private var ends: [Int] = []

  public init() {}

  /// The UTF-8 of `strings`.
  public init(_ strings: some Sequence<String>) {
    for string in strings { append(string.utf8) }
  }

  public var count: Int { ends.count }
  /// Bytes of all strings together.
  public var byteCount: Int { bytes.count }

  public mutating func reserveCapacity(_ count: Int, bytes byteCount: Int = 0) {
    ends.reserveCapacity(count)
    bytes.reserveCapacity(byteCount)
  }

  public mutating func append(_ string: some Sequence<UInt8>) {
    bytes.append(contentsOf: string)
    ends.append(bytes.count)
  }

  /// The bytes of string `index`.
  public subscript(index: Int) -> ArraySlice<UInt8> { bytes[range(index)] }

  /// String `index` as text; bytes that aren't UTF-8 become U+FFFD.
  public func string(_ index: Int) -> String { String(decoding: self[index], as: UTF8.self) }

  /// Calls `body` with the bytes of string `index`.
  func withBytes<R>(_ index: Int, _ body: (UnsafeBufferPointer<UInt8>) throws -> R) rethrows -> R {
    let range = range(index)
    return try bytes.withUnsafeBufferPointer { try body(UnsafeBufferPointer(rebasing: $0[range])) }
  }

  /// Byte `place` of string `index`, which is longer.
  func byte(_ place: Int, of index: Int) -> UInt8 { bytes[range(index).lowerBound + place] }

  private func range(_ index: Int) -> Range<Int> { (index == 0 ? 0 : ends[index - 1])..<ends[index] }
}
