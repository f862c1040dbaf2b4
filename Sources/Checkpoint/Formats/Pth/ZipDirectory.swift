import SystemPackage

/// Where a zip's central directory lies, and how many entries it has: what the records at the end of the file say.
///
/// Source: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3.14 to 4.3.16.
struct ZipDirectory {
  let range: Range<Int>
  let entryCount: Int

  private static let endSize = 22
  private static let end64Size = 56
  private static let locatorSize = 20
  /// A first look takes in a comment as long as may be, and the directory of most checkpoints (that of 70B's has 80 kB).
  private static let tailSize = 128 << 10

  init(_ file: any ByteSource) throws(CheckpointError) {
    let end = try Self.findEnd(file)
    var reader = ByteReader(file, end + 4..<file.count)
    let disk = try reader.integer(UInt16.self, "the zip's disk number")
    let directoryDisk = try reader.integer(UInt16.self, "the zip's disk number")
    var here = Int(try reader.integer(UInt16.self, "the zip's entry count"))
    var count = Int(try reader.integer(UInt16.self, "the zip's entry count"))
    var size = Int(try reader.integer(UInt32.self, "the zip directory's size"))
    var offset = Int(try reader.integer(UInt32.self, "the zip directory's offset"))
    var limit = end
    if let end64 = try Self.findEnd64(file, before: end) {
      // The 64-bit record holds for whatever didn't fit into the old one.
      var reader = ByteReader(file, end64 + 24..<end)
      let here64 = try reader.size("the zip64 entry count")
      let count64 = try reader.size("the zip64 entry count")
      let size64 = try reader.size("the zip64 directory's size")
      let offset64 = try reader.size("the zip64 directory's offset")
      if here == 0xFFFF { here = here64 }
      if count == 0xFFFF { count = count64 }
      if size == 0xFFFF_FFFF { size = size64 }
      if offset == 0xFFFF_FFFF { offset = offset64 }
      limit = end64
    }
    guard disk == 0 || disk == 0xFFFF, directoryDisk == 0 || directoryDisk == 0xFFFF, here == count else {
      throw CheckpointError(.unsupported, in: file.path, byte: end, "is a zip in several volumes")
    }
    guard let upper = sum(offset, size), upper <= limit else {
      throw CheckpointError(.corrupt, in: file.path, byte: end, "the zip directory (\(size) bytes at \(offset)) doesn't fit into the file")
    }
    // 46 bytes is the least an entry takes, so a count that the directory has no room for is a lie.
    guard count <= size / 46 else {
      throw CheckpointError(.corrupt, in: file.path, byte: offset, "the zip directory says it has \(count) entries, but only \(size) bytes")
    }
    range = offset..<upper
    entryCount = count
  }

  /// The end record: the last thing in the file, but for a comment of up to 65,535 bytes.
  private static func findEnd(_ file: any ByteSource) throws(CheckpointError) -> Int {
    let tailStart = max(0, file.count - tailSize)
    let tail = try file.bytes(tailStart..<file.count)
    let end = tail.withUnsafeBytes { tail -> Int? in
      let lowest = max(0, tail.count - endSize - 0xFFFF)
      guard tail.count - endSize >= lowest else { return nil }
      return (lowest...tail.count - endSize).last { at in
        tail.loadUnaligned(fromByteOffset: at, as: UInt32.self).littleEndian == 0x0605_4B50
          && at + endSize + Int(tail.loadUnaligned(fromByteOffset: at + 20, as: UInt16.self).littleEndian) == tail.count
      }
    }
    if let end { return tailStart + end }
    try file.refuseStandIn()
    let head = try file.bytes(0..<min(512, file.count))
    throw CheckpointError(.corrupt, in: file.path, byte: file.count, "has no zip directory at its end: \(describe(head))")
  }

  /// What a file that isn't a zip probably is.
  private static func describe(_ head: [UInt8]) -> String {
    if head.starts(with: "PK\u{3}\u{4}".utf8) { return "the download or copy was cut off" }
    return "it isn't a checkpoint, or was cut off"
  }

  /// The zip64 end record, by way of its locator, which lies before the end record; nil when there is none.
  private static func findEnd64(_ file: any ByteSource, before end: Int) throws(CheckpointError) -> Int? {
    let locator = end - locatorSize
    guard locator >= 0 else { return nil }
    var reader = ByteReader(file, locator..<end)
    guard try reader.integer(UInt32.self, "the zip64 locator") == 0x0706_4B50 else { return nil }
    try reader.skip(4, "the zip64 locator")
    let at = try reader.size("the zip64 end record's offset")
    guard at <= locator - end64Size else { throw reader.corrupt("the zip64 end record at \(at) doesn't fit into the file", at: locator + 8) }
    var record = ByteReader(file, at..<locator)
    guard try record.integer(UInt32.self, "the zip64 end record") == 0x0606_4B50 else {
      throw record.corrupt("isn't the zip64 end record that the locator points to", at: at)
    }
    return at
  }
}
