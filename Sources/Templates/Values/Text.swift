/// Text as Python's `str` has it, a list of code points, each of which remembers whether somebody typed it.
///
/// Comparing and hashing look at the code points alone.
public struct Text: Sendable, Hashable {
  /// A code point, and where it comes from.
  public struct Character: Sendable, Hashable {
    /// The code point in the low 21 bits; the highest bit says that it was typed.
    private let bits: UInt32

    /// - Parameter value: at most 0x10FFFF; a template may spell half of a surrogate pair, as Python's strings may.
    init(_ value: UInt32, typed: Bool = false) { bits = value | (typed ? 1 << 31 : 0) }

    /// The code point.
    public var value: UInt32 { bits & 0x1F_FFFF }
    /// Whether it came in with a message, rather than being the template's own.
    public var isTyped: Bool { bits >> 31 == 1 }
    /// The code point; nil for half of a surrogate pair.
    public var scalar: Unicode.Scalar? { Unicode.Scalar(value) }

    public static func == (a: Self, b: Self) -> Bool { a.value == b.value }
    public func hash(into hasher: inout Hasher) { hasher.combine(value) }

    static func == (a: Self, b: Unicode.Scalar) -> Bool { a.value == b.value }
    static func != (a: Self, b: Unicode.Scalar) -> Bool { a.value != b.value }
  }

  var characters: [Character]
  /// Marked by `|safe` or `|escape` (markupsafe's `Markup`): what is added to it with `+` is escaped.
  var isSafe = false

  /// - Parameter typed: whether it came in with a message: a content, a name, an argument.
  public init(_ string: String, typed: Bool = false) {
    characters = string.unicodeScalars.map { Character($0.value, typed: typed) }
  }

  init(_ characters: some Sequence<Character>, isSafe: Bool = false) {
    self.characters = Array(characters)
    self.isSafe = isSafe
  }

  public static func == (a: Self, b: Self) -> Bool { a.characters == b.characters }
  public func hash(into hasher: inout Hasher) { hasher.combine(characters) }

  /// How many code points there are.
  public var count: Int { characters.count }
  var isEmpty: Bool { characters.isEmpty }

  /// The text without its origins; half of a surrogate pair shows as U+FFFD.
  public var string: String {
    var scalars = String.UnicodeScalarView()
    scalars.append(contentsOf: characters.lazy.map { $0.scalar ?? "\u{FFFD}" })
    return String(scalars)
  }

  /// Where what was typed lies in the UTF-8 of ``string``: ranges of bytes, in order, none beside another.
  public var typed: [Range<Int>] {
    var ranges: [Range<Int>] = []
    var at = 0
    for character in characters {
      let end = at + (character.scalar ?? "\u{FFFD}").utf8.count
      if character.isTyped {
        if let last = ranges.last, last.upperBound == at { ranges[ranges.count - 1] = last.lowerBound..<end } else { ranges.append(at..<end) }
      }
      at = end
    }
    return ranges
  }

  /// The same with `<`, `>`, `&` and quotes as HTML entities, as markupsafe's `escape`; what is safe stays as it is.
  var escaped: Text {
    if isSafe { return self }
    var out: [Character] = []
    out.reserveCapacity(count)
    for character in characters {
      let entity: String
      switch character.value {
      case 0x26: entity = "&amp;"
      case 0x3C: entity = "&lt;"
      case 0x3E: entity = "&gt;"
      case 0x22: entity = "&#34;"
      case 0x27: entity = "&#39;"
      default:
        out.append(character)
        continue
      }
      out += entity.unicodeScalars.map { Character($0.value, typed: character.isTyped) }
    }
    return Text(out, isSafe: true)
  }

  static func + (a: Text, b: Text) -> Text {
    switch (a.isSafe, b.isSafe) {
    case (false, false): Text(a.characters + b.characters)
    case (true, _): Text(a.characters + b.escaped.characters, isSafe: true)
    case (false, true): Text(a.escaped.characters + b.characters, isSafe: true)
    }
  }

  /// Code point by code point, as Python compares strings.
  static func < (a: Text, b: Text) -> Bool { a.characters.lexicographicallyPrecedes(b.characters) { $0.value < $1.value } }
}

extension Text: ExpressibleByStringLiteral {
  public init(stringLiteral value: String) { self.init(value) }
}
