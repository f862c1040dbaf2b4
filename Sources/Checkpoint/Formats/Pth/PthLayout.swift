import Integrity

/// Lays out shards as `torch.save` writes a state dict: one storage a tensor.
enum PthLayout {
  /// - Parameters:
  ///   - name: of the file, without its suffix; the zip's folder is called so too, as torch does.
  ///   - aliases: names that share another tensor's storage.
  static func file(_ name: String, _ regions: [OutputRegion], aliases: [String: String] = [:]) -> OutputFile {
    var zip = ZipLayout(name: name + ".pth")
    zip.add("\(name)/data.pkl", pickle(regions, aliases))
    zip.add("\(name)/byteorder", Array("little".utf8))
    for (key, region) in regions.enumerated() { zip.add("\(name)/data/\(key)", region) }
    zip.add("\(name)/version", Array("3\n".utf8))
    return zip.finish()
  }

  /// The pickle of a dict from names to tensors, protocol 2 as torch writes it.
  private static func pickle(_ regions: [OutputRegion], _ aliases: [String: String]) -> [UInt8] {
    var pickler = Pickler()
    pickler.begin()
    for (key, region) in regions.enumerated() { pickler.tensor(region.name, region, key: key) }
    for (alias, name) in aliases.sorted(by: { $0.key < $1.key }) {
      if let key = regions.firstIndex(where: { $0.name == name }) { pickler.tensor(alias, regions[key], key: key) }
    }
    return pickler.end()
  }

  private struct Pickler {
    private var bytes: [UInt8] = []

    mutating func begin() { bytes += [0x80, 2] + "}(".utf8 }

    mutating func end() -> [UInt8] {
      bytes += "u.".utf8
      return bytes
    }

    /// `name`, and `_rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict())`.
    mutating func tensor(_ name: String, _ region: OutputRegion, key: Int) {
      text(name)
      global("torch._utils", "_rebuild_tensor_v2")
      bytes += "((".utf8
      text("storage")
      global("torch", PthStorage.name(region.dtype))
      text("\(key)")
      text("cpu")
      integer(region.rows.count * region.columns.count)
      bytes += "tQ".utf8
      integer(0)
      tuple(region.shape)
      tuple(region.isVector ? [1] : [region.columns.count, 1])
      bytes.append(0x89)
      global("collections", "OrderedDict")
      bytes += ")RtR".utf8
    }

    private mutating func tuple(_ values: [Int]) {
      for value in values { integer(value) }
      bytes.append(values.count == 1 ? 0x85 : 0x86)
    }

    private mutating func integer(_ value: Int) {
      if value < 1 << 8 {
        bytes += [UInt8(ascii: "K"), UInt8(value)]
      } else if value < 1 << 16 {
        bytes += [UInt8(ascii: "M")] + UInt16(value).littleEndianBytes
      } else if let short = Int32(exactly: value) {
        bytes += [UInt8(ascii: "J")] + short.littleEndianBytes
      } else {
        // As few bytes as leave the sign bit clear.
        let count = (Int.bitWidth - value.leadingZeroBitCount) / 8 + 1
        bytes += [0x8A, UInt8(count)] + value.littleEndianBytes.prefix(count)
      }
    }

    private mutating func text(_ text: String) { bytes += [UInt8(ascii: "X")] + UInt32(text.utf8.count).littleEndianBytes + text.utf8 }

    private mutating func global(_ module: String, _ name: String) { bytes += "c\(module)\n\(name)\n".utf8 }
  }
}
