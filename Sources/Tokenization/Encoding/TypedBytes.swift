/// Which bytes of a text somebody typed, and which tokens those never become.
///
/// A chat template's text holds control tokens of its own among the messages: the text is encoded as a whole, and only a token that touches a typed byte
/// is taken for text.
public struct TypedBytes: Sendable {
  /// By byte of the text; empty where nothing was typed.
  let isTyped: [Bool]
  /// The ids of the control tokens.
  let controls: Set<Int>
  /// The control tokens that a typed byte was part of, in the order in which they were met.
  public private(set) var spelled: [Int] = []

  /// - Parameters:
  ///   - typed: ranges of bytes of the text.
  ///   - count: the text's length in bytes.
  ///   - controls: the ids of the tokens that what is typed never becomes.
  public init(_ typed: [Range<Int>], of count: Int, controls: Set<Int>) {
    var isTyped = [Bool](repeating: false, count: count)
    for range in typed { for at in range { isTyped[at] = true } }
    self.isTyped = isTyped
    self.controls = controls
  }

  /// Nothing was typed.
  public init() { (isTyped, controls) = ([], []) }

  /// Whether the token `id` mustn't be taken at `range`; notes it if so.
  mutating func forbids(_ id: Int, at range: Range<Int>, _ isTyped: [Bool]? = nil) -> Bool {
    let isTyped = isTyped ?? self.isTyped
    guard controls.contains(id), range.upperBound <= isTyped.count, isTyped[range].contains(true) else { return false }
    if !spelled.contains(id) { spelled.append(id) }
    return true
  }
}
