/// The slices that Meta's Llama 3 tokenizer cuts long text into before tiktoken sees it: 400,000 characters, and in them no more than 25,000
/// in a row that are all whitespace or all not. Where a slice ends no token crosses, so the cuts are part of what text means to the model.
///
/// Source: `llama3/tokenizer.py`, `encode` and `_split_whitespaces_or_nonwhitespaces`.
enum ReferenceSlices {
  static let maxCharacters = 400_000
  static let maxRun = 25_000

  static func split(_ text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) -> [Range<Int>] {
    guard range.count > maxRun else { return [range] }
    var slices: [Range<Int>] = []
    var start = range.lowerBound
    var at = start
    var characters = 0
    var run = 0
    var inSpace = false
    while at < range.upperBound {
      let scalar = UTF8Scan.scalar(text, at: at, end: range.upperBound)
      let isSpace = scalar.flatMap { Unicode.Scalar($0.value) }?.isPythonSpace ?? false
      if characters == maxCharacters {
        slices.append(start..<at)
        (start, characters, run, inSpace) = (at, 0, 0, isSpace)
      }
      if characters == 0 { inSpace = isSpace }
      run = isSpace == inSpace ? run + 1 : 1
      inSpace = isSpace
      if run > maxRun {
        slices.append(start..<at)
        (start, run) = (at, 1)
      }
      characters += 1
      at += scalar?.length ?? 1
    }
    slices.append(start..<range.upperBound)
    return slices
  }
}

extension Unicode.Scalar {
  /// Python's `str.isspace`: Unicode's White_Space and the four information separators.
  package var isPythonSpace: Bool {
    if value < 0x80 { return value == 0x20 || 0x09...0x0D ~= value || 0x1C...0x1F ~= value }
    return properties.isWhitespace
  }
}
