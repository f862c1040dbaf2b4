extension Unicode.Scalar {
  /// Whether it does something else than stand there: control characters, what turns the direction of text or is invisible, and line breaks. The joiners
  /// of emoji and of Indic scripts only change how their neighbours look.
  package var isActive: Bool {
    switch properties.generalCategory {
    case .control, .lineSeparator, .paragraphSeparator: true
    case .format: value != 0x200C && value != 0x200D
    default: false
    }
  }
}
