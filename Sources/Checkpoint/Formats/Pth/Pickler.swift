/// Writes pickles of protocol 2, as torch does.
struct Pickler {
  private var bytes: [UInt8] = []

  mutating func begin() { bytes += [0x80, 2] }

  mutating func end() -> [UInt8] {
    opcodes(".")
    return bytes
  }

  mutating func opcode(_ byte: UInt8) { bytes.append(byte) }

  /// Those that are letters.
  mutating func opcodes(_ letters: String) { bytes += letters.utf8 }

  /// `_rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict())`.
  mutating func tensor(_ storage: String, _ key: Int, _ shape: [Int]) {
    global("torch._utils", "_rebuild_tensor_v2")
    bytes += "((".utf8
    text("storage")
    global("torch", storage)
    text("\(key)")
    text("cpu")
    integer(shape.reduce(1, *))
    bytes += "tQ".utf8
    integer(0)
    tuple(shape)
    // As of a tensor without gaps: each stride is the product of what comes behind it.
    tuple(shape.indices.map { shape[($0 + 1)...].reduce(1) { $0 * max(1, $1) } })
    bytes.append(0x89)
    global("collections", "OrderedDict")
    bytes += ")RtR".utf8
  }

  mutating func tuple(_ values: [Int]) {
    if values.isEmpty || values.count > 3 { bytes += values.isEmpty ? ")".utf8 : "(".utf8 }
    for value in values { integer(value) }
    switch values.count {
    case 0: break
    case 1...3: bytes.append(0x84 + UInt8(values.count))
    default: bytes += "t".utf8
    }
  }

  mutating func integer(_ value: Int) {
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

  mutating func text(_ text: String) { bytes += [UInt8(ascii: "X")] + UInt32(text.utf8.count).littleEndianBytes + text.utf8 }

  mutating func global(_ module: String, _ name: String) { bytes += "c\(module)\n\(name)\n".utf8 }
}
