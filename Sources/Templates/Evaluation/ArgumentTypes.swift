/// Arguments of the type that a function wants.
extension Interpreter {
  func text(_ value: Value?, _ function: String) throws(Failure) -> Text {
    guard case .text(let text)? = value else { throw .runtime("\(function) takes text, not \(value?.typeName ?? "nothing")") }
    return text
  }

  /// nil for `none` and for what isn't given.
  func optionalText(_ value: Value?, _ function: String) throws(Failure) -> Text? {
    switch value {
    case nil, Value.none?: nil
    default: try text(value, function)
    }
  }

  /// nil for what isn't given.
  func optionalInteger(_ value: Value?, _ function: String) throws(Failure) -> Int? {
    guard let value else { return nil }
    if case .undefined(let missing) = value { throw .runtime(missing.message) }
    guard let number = value.integral else { throw .runtime("\(function) takes a whole number, not \(value.typeName)") }
    return number
  }

  /// Text filled up to `width`, as `str.center`, `ljust`, `rjust` and `zfill` do.
  mutating func pad(_ text: Text, to width: Int, _ fill: Text.Character, _ how: String) throws(Failure) -> Text {
    let missing = max(0, width.addingUpTo(.max, -text.count))
    try charge(missing)
    func filling(_ count: Int) -> [Text.Character] { Array(repeating: fill, count: count) }
    switch how {
    case "ljust": return Text(text.characters + filling(missing), isSafe: text.isSafe)
    case "rjust": return Text(filling(missing) + text.characters, isSafe: text.isSafe)
    case "zfill":
      let sign = text.characters.first.map { $0 == "+" || $0 == "-" } == true ? 1 : 0
      return Text(Array(text.characters.prefix(sign)) + filling(missing) + text.characters.dropFirst(sign), isSafe: text.isSafe)
    default:
      // CPython gives the odd character to the left where the width is odd.
      let left = missing / 2 + (missing & width & 1)
      return Text(filling(left) + text.characters + filling(missing - left), isSafe: text.isSafe)
    }
  }
}
