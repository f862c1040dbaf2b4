import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// How progress is shown on standard error.
public enum ProgressMode: String, Sendable, CaseIterable {
  /// Bars on a terminal, else a plain line every few seconds.
  case auto
  case bar, plain, json, none

  var resolved: ProgressMode {
    guard self == .auto else { return self }
    // A dumb terminal can't take a line back.
    return Console.isTerminal(.standardError) && getenv("TERM").map({ String(cString: $0) }) != "dumb" ? .bar : .plain
  }
}
