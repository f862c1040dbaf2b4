import Platform

/// Text that may be written to a terminal: the one place where what comes from outside is made harmless.
///
/// A program's own literals stand as they are. What is put into them may come out of a manifest, a file or a server's answer: it can neither speak to the
/// terminal nor forge a line, since what would is shown as an escape, such as `\u{1B}` or `\n`.
public struct TerminalText: ExpressibleByStringInterpolation, CustomStringConvertible, Sendable {
  /// What is written; the only escape codes in it are those of `Style`.
  let code: String

  public var description: String { code }

  private init(code: String) { self.code = code }

  public init(stringLiteral literal: String) { code = literal }

  public init(stringInterpolation interpolation: StringInterpolation) { code = interpolation.code }

  /// Text from outside.
  public init(_ text: String) { code = Self.escaped(text) { _ in true } }

  /// Text with lines of its own, in which something from outside may be quoted.
  public init(lines text: String) { code = Self.escaped(text) { $0 != "\n" && $0 != "\t" } }

  /// What a model or a person says, in any language: only control characters other than line breaks and tabs are escaped.
  public init(speech text: String) { code = Self.escaped(text) { $0.properties.generalCategory == .control && $0 != "\n" && $0 != "\t" } }

  /// Text with escape codes of our own.
  static func styled(_ code: String) -> TerminalText { TerminalText(code: code) }

  public struct StringInterpolation: StringInterpolationProtocol {
    fileprivate var code = ""

    public init(literalCapacity: Int, interpolationCount: Int) {}
    public mutating func appendLiteral(_ literal: String) { code += literal }
    public mutating func appendInterpolation(_ text: TerminalText) { code += text.code }
    public mutating func appendInterpolation(_ value: some Any) { code += TerminalText("\(value)" as String).code }
  }

  public static func + (a: TerminalText, b: TerminalText) -> TerminalText { TerminalText(code: a.code + b.code) }

  /// Columns that it takes.
  public var width: Int { TextWidth.of(code) }

  /// With spaces after it, so that it takes `columns`, and one at least.
  public func padded(to columns: Int) -> TerminalText { TerminalText(code: code + String(repeating: " ", count: max(1, columns - width))) }

  private static func escaped(_ text: String, where isEscaped: (Unicode.Scalar) -> Bool) -> String {
    func isActive(_ scalar: Unicode.Scalar) -> Bool { scalar.isActive && isEscaped(scalar) }
    guard text.unicodeScalars.contains(where: isActive) else { return text }
    return text.unicodeScalars.map { isActive($0) ? $0.escaped(asASCII: true) : String($0) }.joined()
  }
}

extension Sequence<TerminalText> {
  public func joined(separator: TerminalText = "") -> TerminalText { .styled(map(\.code).joined(separator: separator.code)) }
}
