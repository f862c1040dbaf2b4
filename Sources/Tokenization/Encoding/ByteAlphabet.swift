/// The 256 characters that GPT-2's files write bytes as, so that every token is printable: printable Latin-1 stands for itself, the rest follows
/// from U+0100 on in order.
///
/// Source: `bytes_to_unicode` in GPT-2's encoder.py.
enum ByteAlphabet {
  /// The scalar for each byte.
  static let scalars: [UInt32] = {
    var next: UInt32 = 0x100
    return (0..<256).map { byte in
      switch byte {
      case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF: return UInt32(byte)
      default:
        defer { next += 1 }
        return next
      }
    }
  }()

  /// The byte for each scalar up to U+0143; -1 for scalars that stand for none.
  private static let bytes: [Int16] = {
    var bytes = [Int16](repeating: -1, count: 0x144)
    for (byte, scalar) in scalars.enumerated() { bytes[Int(scalar)] = Int16(byte) }
    return bytes
  }()

  /// Appends the bytes that `text` (UTF-8) stands for.
  ///
  /// - Returns: false, and nothing appended, when a character stands for no byte.
  static func decode(_ text: UnsafeBufferPointer<UInt8>, into result: inout [UInt8]) -> Bool {
    let before = result.count
    var at = 0
    while at < text.count {
      guard let (value, length) = UTF8Scan.scalar(text, at: at, end: text.count), value < 0x144, bytes[Int(value)] >= 0 else {
        result.removeLast(result.count - before)
        return false
      }
      result.append(UInt8(bytes[Int(value)]))
      at += length
    }
    return true
  }

  /// The characters for `bytes`.
  static func encode(_ bytes: some Sequence<UInt8>) -> String {
    var text = ""
    for byte in bytes { if let scalar = Unicode.Scalar(scalars[Int(byte)]) { text.unicodeScalars.append(scalar) } }
    return text
  }
}
