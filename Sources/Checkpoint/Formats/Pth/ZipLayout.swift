import CKernels

/// Lays out a zip of stored entries, each starting on 64 bytes, as torch does: sizes are known beforehand, CRCs follow the data.
///
/// Source: PKWARE's APPNOTE.TXT 6.3.10; `caffe2/serialize/inline_container.cc` for the padding.
struct ZipLayout {
  private(set) var file: OutputFile
  private var entries: [Entry] = []

  private struct Entry {
    let name: [UInt8]
    let header: Int
    let size: Int
    let checksum: Sum
  }

  /// A CRC-32 that is known, or the pieces whose it is.
  private enum Sum {
    case value(UInt32)
    case pieces(Range<Int>)
  }

  private static let alignment = 64
  /// Bit 3: the CRC follows the data. Bit 11: names are UTF-8.
  private static let flags: UInt16 = 1 << 3 | 1 << 11
  private static let limit32 = 0xFFFF_FFFF

  init(name: String) { file = OutputFile(name: name) }

  mutating func add(_ name: String, _ bytes: [UInt8]) {
    let header = begin(name, bytes.count)
    file.append(bytes)
    let checksum = bytes.withUnsafeBytes { drover_crc32(0, $0.baseAddress, $0.count) }
    end(name, header, bytes.count, .value(checksum))
  }

  mutating func add(_ name: String, _ tensor: OutputTensor) {
    let header = begin(name, tensor.byteCount)
    let first = file.pieces.count
    for region in tensor.regions { file.append(region) }
    end(name, header, tensor.byteCount, .pieces(first..<file.pieces.count))
  }

  /// Appends a local header, padded so that the data behind it is aligned.
  private mutating func begin(_ name: String, _ size: Int) -> Int {
    let start = file.byteCount
    let isLarge = Self.isZip64(start, size)
    var extra: [UInt8] = []
    if isLarge { extra = UInt16(1).littleEndianBytes + UInt16(16).littleEndianBytes + UInt64(size).littleEndianBytes + UInt64(size).littleEndianBytes }
    // "FB" is the extra field that torch pads with.
    let unpadded = start + 30 + name.utf8.count + extra.count + 4
    let padding = (Self.alignment - unpadded % Self.alignment) % Self.alignment
    extra += Array("FB".utf8) + UInt16(padding).littleEndianBytes + [UInt8](repeating: UInt8(ascii: "Z"), count: padding)
    // With bit 3, sizes are left out here, but for zip64, where they tell how wide the descriptor's are.
    let shortSize = isLarge ? UInt32(Self.limit32) : 0
    file.append(
      UInt32(0x0403_4B50).littleEndianBytes + UInt16(isLarge ? 45 : 20).littleEndianBytes + Self.flags.littleEndianBytes
        + [UInt8](repeating: 0, count: 2 + 2 + 2 + 4) + shortSize.littleEndianBytes + shortSize.littleEndianBytes
        + UInt16(name.utf8.count).littleEndianBytes + UInt16(extra.count).littleEndianBytes + Array(name.utf8) + extra)
    return start
  }

  /// Whether an entry's descriptor has sizes of 8 bytes: torch's does too where only the offset is large, and readers reckon with it.
  private static func isZip64(_ header: Int, _ size: Int) -> Bool { header >= limit32 || size >= limit32 }

  /// Appends the data descriptor.
  private mutating func end(_ name: String, _ header: Int, _ size: Int, _ checksum: Sum) {
    let sizes = Self.isZip64(header, size) ? UInt64(size).littleEndianBytes : UInt32(size).littleEndianBytes
    var bytes = UInt32(0x0807_4B50).littleEndianBytes
    var holes: [OutputFile.Checksum] = []
    Self.append(checksum, to: &bytes, &holes)
    file.append(bytes + sizes + sizes, checksums: holes)
    entries.append(Entry(name: Array(name.utf8), header: header, size: size, checksum: checksum))
  }

  /// Appends the directory and returns the file.
  consuming func finish() -> OutputFile {
    let start = file.byteCount
    var bytes: [UInt8] = []
    var holes: [OutputFile.Checksum] = []
    for entry in entries {
      var extra: [UInt8] = []
      if entry.size >= Self.limit32 { extra += UInt64(entry.size).littleEndianBytes + UInt64(entry.size).littleEndianBytes }
      if entry.header >= Self.limit32 { extra += UInt64(entry.header).littleEndianBytes }
      if !extra.isEmpty { extra = UInt16(1).littleEndianBytes + UInt16(extra.count).littleEndianBytes + extra }
      let version = UInt16(extra.isEmpty ? 20 : 45)
      bytes += UInt32(0x0201_4B50).littleEndianBytes + version.littleEndianBytes + version.littleEndianBytes + Self.flags.littleEndianBytes
      bytes += [UInt8](repeating: 0, count: 2 + 2 + 2)
      Self.append(entry.checksum, to: &bytes, &holes)
      let size = UInt32(min(entry.size, Self.limit32))
      bytes += size.littleEndianBytes + size.littleEndianBytes + UInt16(entry.name.count).littleEndianBytes + UInt16(extra.count).littleEndianBytes
      bytes += [UInt8](repeating: 0, count: 2 + 2 + 2 + 4) + UInt32(min(entry.header, Self.limit32)).littleEndianBytes + entry.name + extra
    }
    let size = bytes.count
    let count = UInt64(entries.count)
    // The zip64 end record and its locator, always, as torch writes them.
    bytes += UInt32(0x0606_4B50).littleEndianBytes + UInt64(44).littleEndianBytes + UInt16(45).littleEndianBytes + UInt16(45).littleEndianBytes
    bytes += UInt64(0).littleEndianBytes + count.littleEndianBytes + count.littleEndianBytes
    bytes += UInt64(size).littleEndianBytes + UInt64(start).littleEndianBytes
    bytes += UInt32(0x0706_4B50).littleEndianBytes + UInt32(0).littleEndianBytes + UInt64(start + size).littleEndianBytes + UInt32(1).littleEndianBytes
    let shortCount = UInt16(min(entries.count, 0xFFFF))
    bytes += UInt32(0x0605_4B50).littleEndianBytes + UInt32(0).littleEndianBytes + shortCount.littleEndianBytes + shortCount.littleEndianBytes
    bytes += UInt32(min(size, Self.limit32)).littleEndianBytes + UInt32(min(start, Self.limit32)).littleEndianBytes + UInt16(0).littleEndianBytes
    file.append(bytes, checksums: holes)
    return file
  }

  private static func append(_ checksum: Sum, to bytes: inout [UInt8], _ holes: inout [OutputFile.Checksum]) {
    switch checksum {
    case .value(let value): bytes += value.littleEndianBytes
    case .pieces(let pieces):
      holes.append(OutputFile.Checksum(at: bytes.count, pieces: pieces))
      bytes += [0, 0, 0, 0]
    }
  }
}

extension FixedWidthInteger {
  var littleEndianBytes: [UInt8] { withUnsafeBytes(of: littleEndian) { Array($0) } }
}
