#if canImport(Glibc)
  import Glibc
#endif

/// How one field of a format shows: `[[fill]align][sign][#][0][width][,][.precision][type]`, Python's format specification.
struct FieldFormat {
  var fill = Text.Character(0x20)
  /// `<`, `>`, `^` or `=`; nil for the type's own.
  var align: Unicode.Scalar?
  var sign: Unicode.Scalar = "-"
  var width = 0
  var groups = false
  var precision: Int?
  var type: Unicode.Scalar?
  /// Nothing was asked for.
  private var isPlain = false

  init() {}

  /// Reads what stands behind a field's colon.
  init(_ spec: Text) throws(Failure) {
    isPlain = spec.isEmpty
    var rest = spec.characters[...]
    func isAlign(_ character: Text.Character?) -> Bool { character?.scalar.map { "<>^=".unicodeScalars.contains($0) } ?? false }
    if isAlign(rest.dropFirst().first), let first = rest.first {
      fill = first
      align = rest[rest.startIndex + 1].scalar
      rest = rest.dropFirst(2)
    } else if isAlign(rest.first) {
      align = rest.removeFirst().scalar
    }
    if let scalar = rest.first?.scalar, "+- ".unicodeScalars.contains(scalar) {
      sign = scalar
      rest.removeFirst()
    }
    if rest.first.map({ $0 == "#" }) == true { throw .unsupported("“#” in a format") }
    if rest.first.map({ $0 == "0" }) == true {
      if align == nil {
        fill = rest[rest.startIndex]
        align = "="
      }
      rest.removeFirst()
    }
    width = try Self.number(&rest) ?? 0
    if rest.first.map({ $0 == "," }) == true {
      groups = true
      rest.removeFirst()
    }
    if rest.first.map({ $0 == "." }) == true {
      rest.removeFirst()
      guard let digits = try Self.number(&rest) else { throw .runtime("Format specifier missing precision") }
      precision = digits
    }
    type = rest.first?.scalar
    guard rest.count <= 1, type.map({ "sdxXobcfFeEgG%".unicodeScalars.contains($0) }) ?? true else { throw .unsupported("the format “\(spec.string)”") }
  }

  /// Digits at the front, which go.
  static func number(_ rest: inout ArraySlice<Text.Character>) throws(Failure) -> Int? {
    var value: Int?
    while let character = rest.first, (0x30...0x39).contains(character.value) {
      value = (value ?? 0) * 10 + Int(character.value - 0x30)
      // Far beyond what any template may print.
      guard let value, value < 1_000_000_000 else { throw Failure(kind: .limit, message: "a field of a format is wider than a billion characters") }
      rest.removeFirst()
    }
    return value
  }

  /// The value's text in this format, before it is filled up.
  func body(_ value: Value) throws(Failure) -> Text {
    switch value {
    case .text(let text):
      guard type == nil || type == "s", !groups, sign == "-" else { throw .runtime("Unknown format code for object of type 'str'") }
      return precision.map { text[0..<min($0, text.count)] } ?? text
    case .integer, .boolean:
      if case .boolean = value, isPlain { return try value.printed() }
      let number = value.integral ?? 0
      if let type, "fFeEgG%".unicodeScalars.contains(type) { return Text(try float(Double(number))) }
      guard type != "s" else { throw .runtime("Unknown format code 's' for object of type 'int'") }
      guard precision == nil else { throw .runtime("Precision not allowed in integer format specifier") }
      return Text(try integer(number))
    case .number(let number): return Text(try float(number))
    default:
      guard width == 0, type == nil, precision == nil else { throw .runtime("unsupported format string passed to \(value.typeName).__format__") }
      return try value.printed()
    }
  }

  private func signed(_ isNegative: Bool, _ digits: String) -> String { (isNegative ? "-" : sign == "-" ? "" : String(sign)) + digits }

  private func integer(_ value: Int) throws(Failure) -> String {
    let radixes: [Unicode.Scalar: Int] = ["x": 16, "X": 16, "o": 8, "b": 2]
    if type == "c" {
      guard let scalar = UInt32(exactly: value).flatMap(Unicode.Scalar.init) else { throw .runtime("%c arg not in range(0x110000)") }
      return String(scalar)
    }
    let digits = String(value.magnitude, radix: type.flatMap { radixes[$0] } ?? 10, uppercase: type == "X")
    return signed(value < 0, groups ? Self.grouped(digits) : digits)
  }

  private static func grouped(_ digits: String) -> String {
    var out = ""
    for (at, digit) in digits.enumerated() {
      if at > 0, (digits.count - at) % 3 == 0 { out += "," }
      out.append(digit)
    }
    return out
  }

  private func float(_ value: Double) throws(Failure) -> String {
    let plain = type == nil || type == "s" || type == "d"
    guard type != "d", type != "x", type != "X", type != "o", type != "b", type != "c" else { throw .runtime("Unknown format code for object of type 'float'") }
    guard (precision ?? 0) <= 1000 else { throw .unsupported("more than 1000 digits behind the point") }
    if plain, precision == nil, !groups { return signed(value.sign == .minus, pythonText(value.magnitude)) }
    guard !plain, type != "g", type != "G" else { throw .unsupported("a float in the general format with a precision") }
    let isPercent = type == "%"
    let shown = isPercent ? value.magnitude * 100 : value.magnitude
    var buffer = [CChar](repeating: 0, count: 1500)
    let written = withVaList([Int32(precision ?? 6), shown]) { vsnprintf(&buffer, 1500, type == "e" ? "%.*e" : type == "E" ? "%.*E" : "%.*f", $0) }
    guard written > 0, written < 1500 else { throw .unsupported("a float of more than 1500 characters") }
    var digits = String(decoding: buffer[0..<Int(written)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    if groups, let point = digits.firstIndex(of: ".") ?? Optional(digits.endIndex) { digits = Self.grouped(String(digits[..<point])) + digits[point...] }
    return signed(value.sign == .minus, digits + (isPercent ? "%" : ""))
  }
}

extension Interpreter {
  /// A field's value in its format, filled up to its width.
  mutating func formatted(_ value: Value, _ format: FieldFormat) throws(Failure) -> Text {
    try charge(value.weight)
    let body = try format.body(value)
    var isText = true
    switch value {
    case .integer, .boolean, .number: isText = false
    default: break
    }
    let align = format.align ?? (isText ? "<" : ">")
    let missing = max(0, format.width - body.count)
    try charge(missing)
    func filling(_ count: Int) -> [Text.Character] { Array(repeating: format.fill, count: count) }
    switch align {
    case "<": return Text(body.characters + filling(missing))
    case "^": return Text(filling(missing / 2) + body.characters + filling(missing - missing / 2))
    case "=":
      guard !isText else {
        // A zero before the width of a text fills on the right, as Python does since 3.10.
        guard format.fill == "0" else { throw .runtime("'=' alignment not allowed in string format specifier") }
        return Text(body.characters + filling(missing))
      }
      guard !format.groups || missing == 0 else { throw .unsupported("a format with zeros and thousands apart") }
      let sign = body.characters.first.map { $0 == "-" || $0 == "+" || $0 == " " } == true ? 1 : 0
      return Text(Array(body.characters.prefix(sign)) + filling(missing) + body.characters.dropFirst(sign))
    default: return Text(filling(missing) + body.characters)
    }
  }
}
