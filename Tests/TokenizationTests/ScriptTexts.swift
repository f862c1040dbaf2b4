import TestSupport

/// Random texts in many scripts.
enum ScriptTexts {
  /// Where scripts lie, in whole or in part.
  private static let blocks: [ClosedRange<UInt32>] = [
    0x20...0x7E, 0x20...0x7E, 0xA0...0x24F, 0x250...0x2FF, 0x300...0x36F, 0x370...0x3FF, 0x400...0x52F, 0x530...0x58F, 0x591...0x5F4, 0x600...0x6FF, 0x700...0x74F, 0x900...0x97F, 0x980...0x9FF,
    0xA00...0xA7F, 0xB80...0xBFF, 0xC00...0xC7F, 0xD00...0xD7F, 0xE00...0xE7F, 0xE80...0xEFF, 0xF00...0xFFF, 0x1000...0x109F, 0x10A0...0x10FF, 0x1100...0x11FF, 0x1200...0x137F, 0x13A0...0x13FF,
    0x1400...0x167F, 0x1780...0x17FF, 0x1800...0x18AF, 0x1E00...0x1EFF, 0x1F00...0x1FFF, 0x2000...0x206F, 0x2070...0x209F, 0x20A0...0x20CF, 0x2100...0x218F, 0x2190...0x23FF, 0x2460...0x24FF,
    0x2580...0x27BF, 0x3000...0x303F, 0x3040...0x309F, 0x30A0...0x30FF, 0x3130...0x318F, 0x4E00...0x9FA5, 0xAC00...0xD7A3, 0xFB00...0xFB4F, 0xFE50...0xFF5E, 0x10400...0x1044F, 0x1D400...0x1D7FF,
    0x1F300...0x1F64F, 0x1F900...0x1F9FF, 0x20000...0x2A6DF, 0xE000...0xF8FF,
  ]
  private static let words = [
    "the", " The", "don't", "I'LL", "we've", "'s", "’s", "hello", " world", "HTTPServer", "camelCase", "x_1", "123", "4567890", " 42", "3.14", "...", "?!", "->", "==", "//", "\n", "\n\n", "\r\n", "\t",
    "def f(x):\n    return x", "über", "naïve", "İstanbul", "Straße",
  ]

  /// - Parameters:
  ///   - added: tokens whose text is put in.
  ///   - later: whether each has a character that came after Unicode 14; otherwise none has.
  static func random(_ count: Int, seed: UInt64, added: [String], later: Bool = false) -> [String] {
    var random = Splitmix(seed: seed)
    func isLater(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.age.map { $0.major > 14 } ?? false }
    let new = later ? (0x2E0...UInt32(0x323AF)).compactMap { Unicode.Scalar($0) }.filter(isLater) : []
    return (0..<count).map { _ in
      var text = String.UnicodeScalarView()
      for _ in 0..<random.next(upTo: 14) {
        switch random.next(upTo: 10) {
        case 0: text += String(repeating: random.next(upTo: 4) == 0 ? "\n" : " ", count: 1 + random.next(upTo: 20)).unicodeScalars
        case 1: text += (added.randomElement(using: &random) ?? "").unicodeScalars
        case 2: if let scalar = Unicode.Scalar(UInt32(random.next(upTo: 0x110000))), !isLater(scalar) { text.append(scalar) }
        case 3, 4: text += (words.randomElement(using: &random) ?? "").unicodeScalars
        default:
          guard let block = blocks.randomElement(using: &random) else { continue }
          for _ in 0...random.next(upTo: 6) {
            guard let scalar = Unicode.Scalar(UInt32.random(in: block, using: &random)), !isLater(scalar) else { continue }
            text.append(scalar)
          }
        }
      }
      if let scalar = new.randomElement(using: &random) { text.append(scalar) }
      return String(text)
    }
  }
}
