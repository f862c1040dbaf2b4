import SystemPackage

/// The directory of a zip file whose entries are stored, not compressed, as torch writes them.
///
/// Source: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3.7 (local header), 4.3.12 (central directory), 4.3.14 to 4.3.16 (ends), 4.5.3 (zip64).
struct ZipArchive {
  struct Entry {
    var name: String
    /// Bytes of the file that hold the entry's content.
    var range: Range<Int>
  }

  let file: MappedFile
  /// By name.
  let entries: [String: Entry]

  private static let endSize = 22

  init(_ file: MappedFile) throws(CheckpointError) {
    self.file = file
    let directory = try Self.findDirectory(file)
    // 46 bytes is the least an entry takes, so a count that the directory has no room for is a lie.
    guard directory.count <= directory.range.count / 46 else {
      throw CheckpointError(
        .corrupt, in: file.path, byte: directory.range.lowerBound,
        "the zip directory says it has \(directory.count) entries, but only \(directory.range.count) bytes")
    }
    var reader = ByteReader(file, directory.range)
    var entries: [String: Entry] = [:]
    var spans: [(range: Range<Int>, name: String)] = []
    for _ in 0..<directory.count {
      let at = reader.position
      let (entry, header) = try Self.readEntry(&reader, before: directory.range.lowerBound)
      guard entries.updateValue(entry, forKey: entry.name) == nil else { throw reader.corrupt("the zip has two entries \(entry.name)", at: at) }
      spans.append((header..<entry.range.upperBound, entry.name))
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
    let lowest = max(0, file.count - endSize - 0xFFFF)
    var at = file.count - endSize
    while at >= lowest {
      if file.bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self).littleEndian == 0x0605_4B50 {
        let comment = Int(file.bytes.loadUnaligned(fromByteOffset: at + 20, as: UInt16.self).littleEndian)
        if at + endSize + comment == file.count { return at }
      }
      at -= 1
    }
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
    guard locator >= 0, file.bytes.loadUnaligned(fromByteOffset: locator, as: UInt32.self).littleEndian == 0x0706_4B50 else { return nil }
    var reader = ByteReader(file, locator + 8..<end)
    let at = try reader.size("the zip64 end record's offset")
    guard at <= locator - 56 else { throw reader.corrupt("the zip64 end record at \(at) doesn't fit into the file", at: locator + 8) }
    guard file.bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self).littleEndian == 0x0606_4B50 else {
      throw reader.corrupt("isn't the zip64 end record that the locator points to", at: at)
    }
    return at
  }

  /// Reads one entry of the central directory and checks it against its local header.
  /// - Returns: the entry, and where its local header starts.
  private static func readEntry(_ reader: inout ByteReader, before directory: Int) throws(CheckpointError) -> (Entry, header: Int) {
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

    // The local header repeats the name and has an extra field of its own (torch pads with it to 64 bytes).
    guard let localEnd = sum(header, 30), localEnd <= directory else {
      throw reader.corrupt("the zip entry \(name) is said to start at \(header), outside of the file's data", at: start)
    }
    var local = ByteReader(file, header..<directory)
    guard try local.integer(UInt32.self, "a local header") == 0x0403_4B50 else {
      throw local.corrupt("isn't the start of zip entry \(name)", at: header)
    }
    try local.skip(22, "a local header")
    let localNameSize = Int(try local.integer(UInt16.self, "a local header"))
    let localExtraSize = Int(try local.integer(UInt16.self, "a local header"))
    let localName = try local.text(localNameSize, "the name in a local header")
    guard localName == name else { throw local.corrupt("the zip entry \(name) is called \(localName) here", at: header + 30) }
    try local.skip(localExtraSize, "the extra field of zip entry \(name)")
    guard size <= local.remaining else {
      throw local.corrupt("the zip entry \(name) has \(size) bytes, and only \(local.remaining) are left: the file is cut off or damaged")
    }
    return (Entry(name: name, range: local.position..<local.position + size), header)
  }
}
