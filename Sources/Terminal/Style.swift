import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// Colour and weight, where the terminal wants them (https://no-color.org).
public struct Style: Sendable {
  public enum Ink: String, Sendable {
    case bold = "1"
    case dim = "2"
    case red = "31"
    case green = "32"
    case yellow = "33"
    case blue = "34"
    case magenta = "35"
    case cyan = "36"
  }

  /// Whether escape codes are written at all.
  public let isEnabled: Bool

  public init(isEnabled: Bool) { self.isEnabled = isEnabled }

  public static let standardError = Style(isEnabled: wantsColor(.standardError))
  public static let standardOutput = Style(isEnabled: wantsColor(.standardOutput))

  /// `text` in the given inks.
  public func callAsFunction(_ text: TerminalText, _ inks: Ink...) -> TerminalText { .styled(ink(text.code, inks)) }

  /// The same for text whose characters are harmless already.
  func ink(_ text: String, _ inks: [Ink]) -> String {
    guard isEnabled, !inks.isEmpty else { return text }
    return "\u{1B}[\(inks.map(\.rawValue).joined(separator: ";"))m\(text)\u{1B}[0m"
  }

  private static func wantsColor(_ descriptor: FileDescriptor) -> Bool {
    guard Console.isTerminal(descriptor) else { return false }
    if let value = getenv("NO_COLOR"), value.pointee != 0 { return false }
    if let value = getenv("TERM"), String(cString: value) == "dumb" { return false }
    return true
  }
}
