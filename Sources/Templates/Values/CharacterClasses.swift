/// What Python's `str` methods say of a code point.
extension Text.Character {
  private var properties: Unicode.Scalar.Properties? { scalar?.properties }
  private var category: Unicode.GeneralCategory? { properties?.generalCategory }

  /// `str.isspace`.
  var isSpace: Bool {
    switch value {
    case 0x09...0x0D, 0x1C...0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000: true
    default: false
    }
  }

  /// Whether `str.splitlines` ends a line here.
  var endsLine: Bool {
    switch value {
    case 0x0A...0x0D, 0x1C...0x1E, 0x85, 0x2028, 0x2029: true
    default: false
    }
  }

  /// `str.isprintable`: `repr` shows what isn't as an escape.
  var isPrintable: Bool {
    switch category {
    case nil, .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: false
    case .spaceSeparator: value == 0x20
    default: true
    }
  }

  var isAlphabetic: Bool {
    switch category {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
    default: false
    }
  }

  var isDecimal: Bool { category == .decimalNumber }
  var isDigit: Bool {
    switch properties?.numericType {
    case .decimal, .digit: true
    default: false
    }
  }
  var isNumeric: Bool { properties?.numericType != nil }
  var isUpper: Bool { properties?.isUppercase ?? false }
  var isLower: Bool { properties?.isLowercase ?? false }
  var isTitle: Bool { category == .titlecaseLetter }

  /// The digit that a decimal number's character stands for, as `int()` reads it.
  var decimalValue: Int? { isDecimal ? properties?.numericValue.map { Int($0) } : nil }

  private func replaced(by mapping: (Unicode.Scalar.Properties) -> String) -> [Text.Character] {
    guard let properties else { return [self] }
    return mapping(properties).unicodeScalars.map { Text.Character($0.value, typed: isTyped) }
  }

  var uppercased: [Text.Character] { value < 0x80 ? [(0x61...0x7A).contains(value) ? .init(value - 32, typed: isTyped) : self] : replaced(by: \.uppercaseMapping) }
  var lowercased: [Text.Character] { value < 0x80 ? [(0x41...0x5A).contains(value) ? .init(value + 32, typed: isTyped) : self] : replaced(by: \.lowercaseMapping) }
  var titlecased: [Text.Character] { value < 0x80 ? uppercased : replaced(by: \.titlecaseMapping) }

  /// Whether it has upper and lower case, or is left out of account where a word's last sigma is looked for.
  var isCased: Bool { properties?.isCased ?? false }
  var isCaseIgnorable: Bool { properties?.isCaseIgnorable ?? false }
}
