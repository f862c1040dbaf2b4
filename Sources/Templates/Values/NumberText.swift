/// How Python writes a float: the shortest digits that give it back, with an exponent below 1e-4 and from 1e16 on.
func pythonText(_ value: Double) -> String {
  guard value.isFinite else { return value.isNaN ? "nan" : value < 0 ? "-inf" : "inf" }
  let sign = value.sign == .minus ? "-" : ""
  guard value != 0 else { return sign + "0.0" }
  // Swift's description has the same digits and puts the point elsewhere.
  let written = value.magnitude.description.split(separator: "e")
  let parts = written[0].split(separator: ".", omittingEmptySubsequences: false)
  let whole = String(parts[0])
  let fraction = parts.count > 1 ? String(parts[1]) : ""
  var digits = whole + fraction
  var point = whole.count + (written.count > 1 ? Int(written[1]) ?? 0 : 0)
  let zeros = digits.prefix { $0 == "0" }.count
  digits.removeFirst(zeros)
  point -= zeros
  while digits.count > 1, digits.last == "0" { digits.removeLast() }
  if point > 16 || point < -3 {
    let exponent = point - 1
    let tail = digits.dropFirst()
    return "\(sign)\(digits.prefix(1))\(tail.isEmpty ? "" : "." + tail)e\(exponent < 0 ? "-" : "+")\(abs(exponent) < 10 ? "0" : "")\(abs(exponent))"
  }
  if point <= 0 { return sign + "0." + String(repeating: "0", count: -point) + digits }
  if digits.count <= point { return sign + digits + String(repeating: "0", count: point - digits.count) + ".0" }
  return sign + digits.prefix(point) + "." + digits.dropFirst(point)
}

/// The number that Python's `int(text, base)` reads; nil where that is an error.
func pythonInteger(_ text: Text, base: Int = 10) -> Int? {
  var digits = text.stripping(nil).characters[...]
  var negative = false
  if let first = digits.first, first == "+" || first == "-" {
    negative = first == "-"
    digits.removeFirst()
  }
  var base = base
  let prefixes: [(Int, Unicode.Scalar)] = [(2, "b"), (8, "o"), (16, "x")]
  for (radix, letter) in prefixes where base == radix || base == 0 {
    if digits.count > 1, digits[digits.startIndex] == "0", digits[digits.startIndex + 1].lowercased == [Text.Character(letter.value)] {
      digits = digits.dropFirst(2)
      if digits.first.map({ $0 == "_" }) == true { digits.removeFirst() }
      base = radix
      break
    }
  }
  if base == 0 { base = 10 }
  var value = 0
  var afterDigit = false
  for character in digits {
    if character == "_", afterDigit {
      afterDigit = false
      continue
    }
    guard let digit = character.decimalValue ?? character.scalar.flatMap({ Int(String($0), radix: 36) }), digit < base else { return nil }
    let (product, a) = value.multipliedReportingOverflow(by: base)
    let (sum, b) = product.addingReportingOverflow(digit)
    guard !a, !b else { return nil }
    value = sum
    afterDigit = true
  }
  return afterDigit ? (negative ? -value : value) : nil
}

/// The number that Python's `float(text)` reads; nil where that is an error.
func pythonFloat(_ text: Text) -> Double? {
  let spelled = String(String.UnicodeScalarView(text.stripping(nil).lowercased.characters.map { $0.decimalValue.map { Unicode.Scalar(UInt8(48 + $0)) } ?? $0.scalar ?? " " }))
  let unsigned = spelled.first.map { "+-".contains($0) } == true ? String(spelled.dropFirst()) : spelled
  let sign: Double = spelled.first == "-" ? -1 : 1
  if ["inf", "infinity"].contains(unsigned) { return sign * .infinity }
  if unsigned == "nan" { return .nan }
  guard let first = unsigned.first, first.isASCII, first.isNumber || first == "." else { return nil }
  // An underscore stands between two digits.
  let characters = Array(unsigned)
  for (at, character) in characters.enumerated() where character == "_" {
    guard at > 0, at + 1 < characters.count, characters[at - 1].isNumber, characters[at + 1].isNumber else { return nil }
  }
  let plain = unsigned.filter { $0 != "_" }
  guard plain.allSatisfy({ "0123456789.e+-".contains($0) }) else { return nil }
  // Python takes "1." and ".5", as C does; Swift wants digits on both sides.
  return Double(plain).map { sign * $0 } ?? Double(plain.replacingPoint()).map { sign * $0 }
}

extension String {
  /// "1." and ".5" with the zero that is left out.
  fileprivate func replacingPoint() -> String {
    guard let point = firstIndex(of: ".") else { return self }
    let before = self[..<point]
    let after = self[index(after: point)...]
    guard !before.isEmpty || after.first?.isNumber == true else { return "" }
    return (before.isEmpty ? "0" : before) + "." + (after.first?.isNumber == true ? "" : "0") + after
  }
}
