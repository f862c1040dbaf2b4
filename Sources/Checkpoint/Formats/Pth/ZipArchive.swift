import SystemPackage

/// The entries of a zip file that are stored, not compressed, as torch writes them.
///
/// Source: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3.7 (local header), 4.3.9 (data descriptor), 4.3.12 (central directory), 4.5.3 (zip64).
struct ZipArchive {
  struct Entry {
    let name: String
    /// Byte of the local header.
    let header: Int
    /// Bytes of the content.
    let count: Int
    /// Whether a data descriptor follows the content.
    let hasDescriptor: Bool
    /// Byte where the content starts.
    var start: Int
    /// Whether the local header was read, and says the same.
    var isConfirmed = false

    var range: Range<Int> { start..<start + count }

    /// Where the content starts at the earliest: behind the local header's fixed part and the name.
    fileprivate var earliest: Int { header + ZipArchive.localHeaderSize + name.utf8.count }
  }

  let file: any ByteSource
  /// By name.
  let entries: [String: Entry]
  /// Byte of the central directory.
  let directory: Int

  private static let localHeaderSize = 30

  /// Of a file that is here each entry's local header is read, and tells where the content starts. Elsewhere that would be a request for each entry;
  /// there the start follows from the directory. Whoever makes something of it opens the file again once it is here.
  init(_ file: any ByteSource) throws(CheckpointError) {
    self.file = file
    let directory = try ZipDirectory(file)
    let end = directory.range.lowerBound
    var reader = ByteReader(file, directory.range)
    var entries: [Entry] = []
    var names: Set<String> = []
    for _ in 0..<directory.entryCount {
      let at = reader.position
      let entry = try Self.readEntry(&reader, before: end)
      guard names.insert(entry.name).inserted else { throw reader.corrupt("the zip has two entries \(entry.name)", at: at) }
      entries.append(entry)
    }
    guard reader.remaining == 0 else { throw reader.corrupt("\(reader.remaining) bytes follow the last entry of the zip directory") }

    entries.sort { $0.header < $1.header }
    let next = entries.dropFirst().map(\.header) + [end]
    for index in entries.indices {
      let entry = entries[index]
      entries[index].isConfirmed = file.isHere
      entries[index].start = file.isHere ? try Self.readLocalHeader(entry, file, before: end) : try Self.start(of: entry, before: next[index], file)
    }
    for (a, b) in zip(entries, entries.dropFirst()) where a.range.upperBound > b.header {
      throw CheckpointError(.corrupt, in: file.path, byte: b.header, "the zip entries \(a.name) and \(b.name) overlap")
    }
    self.entries = Dictionary(entries.map { ($0.name, $0) }) { first, _ in first }
    self.directory = end
  }

  /// Where the local headers lie that weren't read: what was concluded from their places has to be held against them.
  var unconfirmed: [Range<Int>] { entries.values.filter { !$0.isConfirmed }.map { $0.header..<$0.start }.sorted { $0.lowerBound < $1.lowerBound } }

  /// Holds the local headers against what was concluded.
  /// - Throws: `.corrupt` where content begins elsewhere.
  func confirm() throws(CheckpointError) {
    for entry in entries.values.sorted(by: { $0.header < $1.header }) where !entry.isConfirmed {
      var local = ByteReader(file, entry.header..<entry.start)
      try Self.passLocalHeader(of: entry, &local)
      guard local.remaining == 0 else {
        throw CheckpointError(.corrupt, in: file.path, byte: entry.header, "the content of zip entry \(entry.name) begins at \(local.position), and not at \(entry.start), as its directory has it")
      }
    }
  }

  /// Bytes of the file that hold the content of `entry`, once its local header was looked at.
  func contentRange(of entry: Entry) throws(CheckpointError) -> Range<Int> {
    if entry.isConfirmed { return entry.range }
    let start = try Self.readLocalHeader(entry, file, before: directory)
    return start..<start + entry.count
  }

  /// Reads one entry of the central directory. Where its content starts isn't known by then.
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

    guard let earliest = sum(header, localHeaderSize + nameSize), earliest <= directory else {
      throw reader.corrupt("the zip entry \(name) is said to start at \(header), outside of the file's data", at: start)
    }
    guard size <= directory - earliest else {
      throw reader.corrupt("the zip entry \(name) has \(size) bytes, and only \(directory - earliest) are left: the file is cut off or damaged", at: start)
    }
    return Entry(name: name, header: header, count: size, hasDescriptor: flags & 1 << 3 != 0, start: earliest)
  }

  /// Where the content of an entry starts, as follows from where the next one does.
  ///
  /// torch writes one entry after another. Between the content and the next local header lies only the data descriptor: signature, CRC-32 and two sizes,
  /// which have 8 bytes each where the entry is one of zip64, and 4 elsewhere. Source: `mz_zip_writer_add_mem_ex_v2` in torch's miniz.
  private static func start(of entry: Entry, before next: Int, _ file: any ByteSource) throws(CheckpointError) -> Int {
    let isZip64 = entry.count >= 0xFFFF_FFFF || entry.header >= 0xFFFF_FFFF
    let start = next - (entry.hasDescriptor ? isZip64 ? 24 : 16 : 0) - entry.count
    // The local header's extra field has at most 64 KB.
    guard (0...0xFFFF).contains(start - entry.earliest) else {
      throw CheckpointError(
        .unsupported, in: file.path, byte: entry.header,
        "the zip entry \(entry.name) isn't followed by the next as torch writes them, so its place is known only once the file is on this machine")
    }
    return start
  }

  /// Checks a local header against its entry in the directory: it repeats the name, and has an extra field of its own (torch pads with it to 64
  /// bytes).
  /// - Returns: where the content starts.
  private static func readLocalHeader(_ entry: Entry, _ file: any ByteSource, before directory: Int) throws(CheckpointError) -> Int {
    var local = ByteReader(file, entry.header..<directory)
    try passLocalHeader(of: entry, &local)
    guard entry.count <= local.remaining else {
      throw local.corrupt("the zip entry \(entry.name) has \(entry.count) bytes, and only \(local.remaining) are left: the file is cut off or damaged")
    }
    return local.position
  }

  private static func passLocalHeader(of entry: Entry, _ local: inout ByteReader) throws(CheckpointError) {
    let name = entry.name
    guard try local.integer(UInt32.self, "a local header") == 0x0403_4B50 else {
      throw local.corrupt("isn't the start of zip entry \(name)", at: entry.header)
    }
    try local.skip(22, "a local header")
    let localNameSize = Int(try local.integer(UInt16.self, "a local header"))
    let localExtraSize = Int(try local.integer(UInt16.self, "a local header"))
    let localName = try local.text(localNameSize, "the name in a local header")
    guard localName == name else { throw local.corrupt("the zip entry \(name) is called \(localName) here", at: entry.header + 30) }
    try local.skip(localExtraSize, "the extra field of zip entry \(name)")
  }
}
