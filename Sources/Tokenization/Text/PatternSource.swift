/// Rewrites a pattern for Oniguruma so that it means the same to PCRE2.
///
/// Sources: Oniguruma's doc/RE, pcre2pattern(3). Where the two differ and nothing rewrites it, the pattern is refused.
enum PatternSource {
  /// Unicode's White_Space, which is `\s` to Oniguruma; PCRE2's has U+180E too.
  private static let space = #"\x{09}-\x{0D}\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}"#
  /// Alphabetic, marks, decimal digits and connectors, which with the joiners is `\w` of UTS #18.
  private static let alphabetic =
    #"\p{L}\p{Nl}\p{M}\p{Nd}\p{Pc}\x{24B6}-\x{24E9}\x{1F130}-\x{1F149}\x{1F150}-\x{1F169}\x{1F170}-\x{1F189}"#
  /// Oniguruma's `\w` has Latin-1's superscripts and fractions besides; PCRE2's (before 10.43) letters, numbers and the underscore.
  private static let word = alphabetic + #"\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE}"#
  static let wordOfUTS18 = alphabetic + #"\x{200C}\x{200D}"#

  static func rewrite(_ source: String, _ unsupported: (String) -> VocabularyError) throws(VocabularyError) -> String {
    var result = ""
    var rest = Substring(source)
    var isInClass = false
    while let character = rest.popFirst() {
      switch character {
      case "\\":
        guard let escaped = rest.popFirst() else { throw unsupported("it ends with a backslash") }
        result += try escape(escaped, &rest, isInClass, unsupported)
      case "[" where isInClass: throw unsupported("it has a set within a set")
      case "[":
        isInClass = true
        result.append(character)
        if rest.first == "^" { result.append(rest.removeFirst()) }
        // A bracket that comes first is one of the set.
        if rest.first == "]" { throw unsupported("it has a set that begins with a bracket") }
      case "]" where isInClass:
        isInClass = false
        result.append(character)
      case "&" where isInClass && rest.first == "&": throw unsupported("it has an intersection of sets")
      default: result.append(character)
      }
    }
    return result
  }

  private static func escape(
    _ escaped: Character, _ rest: inout Substring, _ isInClass: Bool, _ unsupported: (String) -> VocabularyError
  ) throws(VocabularyError) -> String {
    switch escaped {
    case "s": return isInClass ? space : "[\(space)]"
    case "w": return isInClass ? word : "[\(word)]"
    case "S" where !isInClass: return "[^\(space)]"
    case "W" where !isInClass: return "[^\(word)]"
    case "u":
      let digits = rest.prefix(4)
      guard digits.count == 4, let value = UInt32(digits, radix: 16), Unicode.Scalar(value) != nil else { throw unsupported("\\u without four digits") }
      rest = rest.dropFirst(4)
      return #"\x{\#(digits)}"#
    case "x", "p", "P", "n", "r", "t", "f", "v", "d", "D", "A", "z": return "\\\(escaped)"
    case "b" where !isInClass, "B" where !isInClass: throw unsupported("word boundaries aren't supported")
    default:
      guard !escaped.isLetter, !escaped.isNumber else { throw unsupported("\\\(escaped) isn't supported") }
      return "\\\(escaped)"
    }
  }
}
