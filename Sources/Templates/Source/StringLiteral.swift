/// Python's escapes in a string, as its codec `unicode-escape` reads them.
enum StringLiteral {
  static func unescape(_ raw: [Text.Character], line: Int) throws(TemplateError) -> [Text.Character] {
    guard raw.contains(where: { $0 == "\\" }) else { return raw }
    var out: [Text.Character] = []
    var at = 0
    /// Up to `most` digits from `at` on, and their value.
    func digits(_ radix: Int, _ most: Int) -> (value: UInt32, count: Int) {
      var value: UInt32 = 0
      var count = 0
      while count < most, let scalar = raw.at(at + count)?.scalar, scalar.isASCII, let digit = UInt32(String(scalar), radix: radix) {
        value = value << (radix == 16 ? 4 : 3) | digit
        count += 1
      }
      return (value, count)
    }
    while at < raw.count {
      let character = raw[at]
      at += 1
      guard character == "\\", let next = raw.at(at) else {
        out.append(character)
        continue
      }
      at += 1
      switch next.scalar ?? " " {
      case "\n": break
      case "\\", "'", "\"": out.append(next)
      case "a": out.append(.init(7))
      case "b": out.append(.init(8))
      case "f": out.append(.init(12))
      case "n": out.append(.init(10))
      case "r": out.append(.init(13))
      case "t": out.append(.init(9))
      case "v": out.append(.init(11))
      case "0"..."7":
        at -= 1
        let (value, count) = digits(8, 3)
        at += count
        out.append(.init(value))
      case "x", "u", "U":
        let length = next == "x" ? 2 : next == "u" ? 4 : 8
        let (value, count) = digits(16, length)
        guard count == length, value <= 0x10FFFF else {
          throw TemplateError(.syntax, line: line, "“\\\(Text([next]).string)” in a string needs \(length) hexadecimal digits of a code point")
        }
        at += length
        out.append(.init(value))
      case "N": throw TemplateError(.unsupported, line: line, "a character by its name (\\N{…})")
      default:
        guard next.value < 0x80 else { throw TemplateError(.unsupported, line: line, "a backslash before “\(Text([next]).string)”") }
        out += [character, next]
      }
    }
    return out
  }
}
