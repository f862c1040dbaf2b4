import Integrity

/// Lays out safetensors files.
enum SafetensorsLayout {
  /// The header is padded with spaces, as the format allows, so that the data starts on a page.
  private static let alignment = 4096

  static func file(_ name: String, _ regions: [OutputRegion]) -> OutputFile {
    // Wider dtypes first, as the reference writer has it: then each tensor starts at a multiple of its element's size, whatever lies before it.
    let widths = Set(regions.map(\.dtype.blockBytes)).sorted(by: >)
    let regions = widths.flatMap { width in regions.filter { $0.dtype.blockBytes == width } }
    // Names are Meta's, and need no escapes.
    var entries = ["\"__metadata__\":{\"format\":\"pt\"}"]
    var offset = 0
    for region in regions {
      let shape = region.shape.map(String.init).joined(separator: ",")
      entries.append("\"\(region.name)\":{\"dtype\":\"\(SafetensorsDType.name(region.dtype))\",\"shape\":[\(shape)],\"data_offsets\":[\(offset),\(offset + region.byteCount)]}")
      offset += region.byteCount
    }
    var header = Array("{\(entries.joined(separator: ","))}".utf8)
    header += [UInt8](repeating: UInt8(ascii: " "), count: (alignment - (8 + header.count) % alignment) % alignment)
    var file = OutputFile(name: name)
    file.append(UInt64(header.count).littleEndianBytes + header)
    for region in regions { file.append(region) }
    return file
  }
}
