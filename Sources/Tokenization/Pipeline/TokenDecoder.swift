/// How tokens become text again.
///
/// Source: `decoders/` of the `tokenizers` library.
struct TokenDecoder: Sendable, Equatable {
  /// What a token's own spelling becomes, in this order.
  enum Step: Sendable, Equatable {
    /// GPT-2's alphabet back to bytes; a token that isn't in it stays as it is.
    case byteLevel
    case replace([UInt8], with: [UInt8])
  }

  var steps: [Step] = []
  /// Whether `<0x0A>` stands for a byte.
  var hasByteTokens = false
  /// What goes at the start of the whole text.
  var lead = Lead.nothing

  enum Lead: Sendable, Equatable {
    case nothing
    /// As many spaces, where it begins with them.
    case spaces(Int)
    /// One space of each token, until anything else was shown.
    case spaceOfEachToken
    /// This, wherever the first token has it.
    case firstTokens([UInt8])
  }

  /// What is between tokens where a file has no decoder.
  var separator: [UInt8] = []

  /// The bytes that the first token of a text shows as.
  func bytes(ofFirst token: ArraySlice<UInt8>) -> [UInt8] {
    guard case .firstTokens(let dropped) = lead else { return bytes(of: token) }
    return bytes(of: Self.replacing(dropped, with: [], in: token)[...])
  }

  private static func replacing(_ from: [UInt8], with to: [UInt8], in bytes: ArraySlice<UInt8>) -> [UInt8] {
    var result: [UInt8] = []
    var rest = bytes
    while let byte = rest.first {
      if rest.starts(with: from) {
        result += to
        rest = rest.dropFirst(from.count)
      } else {
        result.append(byte)
        rest = rest.dropFirst()
      }
    }
    return result
  }

  /// The bytes that a token shows as, where it isn't the first.
  func bytes(of token: ArraySlice<UInt8>) -> [UInt8] {
    if hasByteTokens, let byte = Vocabulary.byteValue(token) { return [byte] }
    var bytes = Array(token)
    for step in steps {
      switch step {
      case .byteLevel:
        var decoded: [UInt8] = []
        if bytes.withUnsafeBufferPointer({ ByteAlphabet.decode($0, into: &decoded) }) { bytes = decoded }
      case .replace(let from, let to): bytes = Self.replacing(from, with: to, in: bytes[...])
      }
    }
    return separator + bytes
  }
}
