import SystemPackage

/// The directory of a zip file whose entries are stored, not compressed, as torch writes them.
///
/// Source: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3.7 (local header), 4.3.12 (central directory), 4.3.14 to 4.3.16 (ends), 4.5.3 (zip64).
struct ZipArchive {
  struct Entry {
    var name: String
    /// Byte of the local header.
    var header: Int
    /// Bytes of the content.
    var count: Int
    /// Byte where the content starts. In a partial file the local header isn't read, and this is where it starts at the earliest.
    var start: Int

    var range: Range<Int> { start..<start + count }
  }

  let file: MappedFile
  /// Byte of the central directory.
  private let directory: Int
  /// By name.
  let entries: [String: Entry]

  private static let endSize = 22
  /// What a first look at the end takes in: a comment as long as may be, and the directory of most checkpoints (that of 70B's has 80 kB).
  private static let tailSize = 128 << 10

  init(_ file: MappedFile) throws(CheckpointError) {
    self.file = file
    let directory = try Self.findDirectory(file)
    // 46 bytes is the least an entry takes, so a count that the directory has no room for is a lie.
    guard directory.count <= directory.range.count / 46 else {
      throw CheckpointError(
        .corrupt, in: file.path, byte: directory.range.lowerBound,
        "the zip directory says it has \(directory.count) entries, but only \(directory.range.count) bytes")
    }
    try file.require(directory.range)
    self.directory = directory.range.lowerBound
    var reader = ByteReader(file, directory.range)
    var entries: [String: Entry] = [:]
    var spans: [(range: Range<Int>, name: String)] = []
    for _ in 0..<directory.count {
      let at = reader.position
      var entry = try Self.readEntry(&reader, before: directory.range.lowerBound)
      // A request for each local header would take minutes; `contentRange(of:)` reads those that matter.
      if !file.isPartial { entry.start = try Self.readLocalHeader(entry, file, before: directory.range.lowerBound) }
      guard entries.updateValue(entry, forKey: entry.name) == nil else { throw reader.corrupt("the zip has two entries \(entry.name)", at: at) }
      spans.append((entry.header..<entry.range.upperBound, entry.name))
      // The kernel maps much around each local header that is touched, and counts it as resident.
      if spans.count % 64 == 0 { file.releasePages() }
    }
    file.releasePages()
    guard reader.remaining == 0 else { throw reader.corrupt("\(reader.remaining) bytes follow the last entry of the zip directory") }
    spans.sort { $0.range.lowerBound < $1.range.lowerBound }
    for (a, b) in zip(spans, spans.dropFirst()) where a.range.upperBound > b.range.lowerBound {
      throw CheckpointError(.corrupt, in: file.path, byte: b.range.lowerBound, "the zip entries \(a.name) and \(b.name) overlap")
    }
    self.entries = entries
  }

  /// Bytes of the file that hold the content of `entry`, whether or not its local header was read before.
  func contentRange(of entry: Entry) throws(CheckpointError) -> Range<Int> {
    guard file.isPartial else { return entry.range }
    let start = try Self.readLocalHeader(entry, file, before: directory)
    return start..<start + entry.count
  }

  /// Where the central directory lies and how many entries it has.
  private static func findDirectory(_ file: MappedFile) throws(CheckpointError) -> (range: Range<Int>, count: Int) {
    let end = try findEnd(file)
    var reader = ByteReader(file, end + 4..<file.count)
    let disk = try reader.integer(UInt16.self, "the zip's disk number")
    let directoryDisk = try reader.integer(UInt16.self, "the zip's disk number")
    var here = Int(try reader.integer(UInt16.self, "the zip's entry count"))
    var count = Int(try reader.integer(UInt16.self, "the zip's entry count"))
    var size = Int(try reader.integer(UInt32.self, "the zip directory's size"))
    var offset = Int(try reader.integer(UInt32.self, "the zip directory's offset"))
    var limit = end
    if let end64 = try findEnd64(file, before: end) {
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
    return (offset..<upper, count)
  }

  /// The end record: the last thing in the file, but for a comment of up to 65,535 bytes.
  private static func findEnd(_ file: MappedFile) throws(CheckpointError) -> Int {
    try file.require(max(0, file.count - tailSize)..<file.count)
    let lowest = max(0, file.count - endSize - 0xFFFF)
    var at = file.count - endSize
    while at >= lowest {
      if file.bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self).littleEndian == 0x0605_4B50 {
        let comment = Int(file.bytes.loadUnaligned(fromByteOffset: at + 20, as: UInt16.self).littleEndian)
        if at + endSize + comment == file.count { return at }
      }
      at -= 1
    }
    try file.require(0..<min(512, file.count))
    throw CheckpointError(.corrupt, in: file.path, byte: file.count, "has no zip directory at its end: \(describeContent(file))")
  }

  /// What a file that isn't a zip probably is.
  private static func describeContent(_ file: MappedFile) -> String {
    let head = file.bytes.prefix(512)
    if head.starts(with: "PK\u{3}\u{4}".utf8) { return "the download or copy was cut off" }
    if let first = head.first(where: { $0 > 0x20 }), first == UInt8(ascii: "<") { return "it is a page of HTML; the link was wrong or has expired" }
    if head.starts(with: [0x80, 0x02, 0x8A, 0x0A]) { return "it is torch's format from before version 1.6; load it there and save it again" }
    return "it isn't a checkpoint, or was cut off"
  }

  private static func findEnd64(_ file: MappedFile, before end: Int) throws(CheckpointError) -> Int? {
    let locator = end - 20
    guard locator >= 0 else { return nil }
    try file.require(locator..<end)
    guard file.bytes.loadUnaligned(fromByteOffset: locator, as: UInt32.self).littleEndian == 0x0706_4B50 else { return nil }
    var reader = ByteReader(file, locator + 8..<end)
    let at = try reader.size("the zip64 end record's offset")
    guard at <= locator - 56 else { throw reader.corrupt("the zip64 end record at \(at) doesn't fit into the file", at: locator + 8) }
    try file.require(at..<locator)
    guard file.bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self).littleEndian == 0x0606_4B50 else {
      throw reader.corrupt("isn't the zip64 end record that the locator points to", at: at)
    }
    return at
  }

  /// Reads one entry of the central directory.
  private static func readEntry(_ reader: inout ByteReader, before directory: Int) throws(CheckpointError) -> Entry {
    let start = reader.position
    let file = reader.file
    guard try reader.integer(UInt32.self, "a zip directory entry") == 0x0201_4B50 else {
      throw reader.corrupt("isn't an entry of the zip directory", at: start)
    }
    try reader.skip(4, "a zip directory entry")
    let flags = try reader.integer(UInt16.self, "a zip directory entry")
    let method = try reader.integer(UInt16.self, "a zip directory entry")
    try reader.skip(8, "a zip directory entry")
    var packed = Int(try reader.integer(UInt32.self, "a zip directory entry"))
    var size = Int(try reader.integer(UInt32.self, "a zip directory entry"))
    let nameSize = Int(try reader.integer(UInt16.self, "a zip directory entry"))
    let extraSize = Int(try reader.integer(UInt16.self, "a zip directory entry"))
    let commentSize = Int(try reader.integer(UInt16.self, "a zip directory entry"))
    try reader.skip(8, "a zip directory entry")
    var header = Int(try reader.integer(UInt32.self, "a zip directory entry"))
    let name = try reader.text(nameSize, "a zip entry's name")
    let extraStart = reader.position
    try reader.skip(extraSize, "a zip entry's extra field")
    try reader.skip(commentSize, "a zip entry's comment")

    var extra = ByteReader(file, extraStart..<extraStart + extraSize)
    while extra.remaining >= 4 {
      let id = try extra.integer(UInt16.self, "an extra field")
      let length = Int(try extra.integer(UInt16.self, "an extra field"))
      let body = extra.position
      try extra.skip(length, "the extra field of zip entry \(name)")
      guard id == 1 else { continue }
      var field = ByteReader(file, body..<body + length)
      if size == 0xFFFF_FFFF { size = try field.size("the zip64 size of \(name)") }
      if packed == 0xFFFF_FFFF { packed = try field.size("the zip64 size of \(name)") }
      if header == 0xFFFF_FFFF { header = try field.size("the zip64 offset of \(name)") }
    }
    guard flags & 1 == 0 else { throw CheckpointError(.unsupported, in: file.path, byte: start, "the zip entry \(name) is encrypted") }
    guard method == 0 else {
      throw CheckpointError(.unsupported, in: file.path, byte: start, "the zip entry \(name) is compressed (method \(method)); torch only stores")
    }
    guard packed == size else { throw reader.corrupt("the zip entry \(name) is stored, but its two sizes differ: \(packed) and \(size)", at: start) }

    guard let earliest = sum(header, 30 + nameSize), earliest <= directory else {
      throw reader.corrupt("the zip entry \(name) is said to start at \(header), outside of the file's data", at: start)
    }
    guard size <= directory - earliest else {
      throw reader.corrupt("the zip entry \(name) has \(size) bytes, and only \(directory - earliest) are left: the file is cut off or damaged", at: start)
    }
    return Entry(name: name, header: header, count: size, start: earliest)
  }

  /// Checks a local header against its entry in the directory: it repeats the name, and has an extra field of its own (torch pads with it to 64
  /// bytes).
  /// - Returns: where the content starts.
  private static func readLocalHeader(_ entry: Entry, _ file: MappedFile, before directory: Int) throws(CheckpointError) -> Int {
    let name = entry.name
    var local = ByteReader(file, entry.header..<directory)
    try file.require(entry.header..<entry.start)
    guard try local.integer(UInt32.self, "a local header") == 0x0403_4B50 else {
      throw local.corrupt("isn't the start of zip entry \(name)", at: entry.header)
    }
    try local.skip(22, "a local header")
    let localNameSize = Int(try local.integer(UInt16.self, "a local header"))
    let localExtraSize = Int(try local.integer(UInt16.self, "a local header"))
    let localName = try local.text(localNameSize, "the name in a local header")
    guard localName == name else { throw local.corrupt("the zip entry \(name) is called \(localName) here", at: entry.header + 30) }
    try local.skip(localExtraSize, "the extra field of zip entry \(name)")
    guard entry.count <= local.remaining else {
      throw local.corrupt("the zip entry \(name) has \(entry.count) bytes, and only \(local.remaining) are left: the file is cut off or damaged")
    }
    return local.position
  }
}
