/// tiktoken's rank file: a line for each token with its bytes in base64, a space, and its rank, which is its id.
///
/// Sources: Meta's `llama3/tokenizer.py` and `llama4/tokenizer.py`, which add the special tokens and the pattern.
extension Vocabulary {
  /// Llama 3's special tokens, in order of id after the ranks; as of Llama 3.1 (Llama 3 had reserved tokens in place of some).
  static let llama3Specials: [String] = {
    let named = [
      "<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>", "<|reserved_special_token_1|>", "<|finetune_right_pad_id|>",
      "<|step_id|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>", "<|python_tag|>", "<|image|>",
    ]
    return named + (0..<256 - named.count).map { "<|reserved_special_token_\($0 + 2)|>" }
  }()

  /// Llama 4's special tokens, in order of id after the ranks.
  static let llama4Specials: [String] = {
    func reserved(_ part: String, _ numbers: ClosedRange<Int>) -> [String] { numbers.map { "<|\(part)reserved_special_token_\($0)|>" } }
    let basic = ["<|begin_of_text|>", "<|end_of_text|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"]
    let text =
      ["<|header_start|>", "<|header_end|>", "<|eom|>", "<|eot|>", "<|step|>"] + reserved("text_post_train_", 0...5)
      + ["<|python_start|>", "<|python_end|>", "<|finetune_right_pad|>"] + reserved("text_post_train_", 8...68)
    let vision =
      ["<|image_start|>", "<|image_end|>"] + reserved("vision_", 0...1) + ["<|tile_x_separator|>", "<|tile_y_separator|>"] + reserved("vision_", 2...5)
      + ["<|image|>"] + reserved("vision_", 6...6) + ["<|patch|>"] + reserved("vision_", 7...1047)
    let reasoning = reserved("reasoning_", 0...7) + ["<|reasoning_thinking_start|>", "<|reasoning_thinking_end|>"]
    let named = basic + text + vision + reasoning
    return named + reserved("", 0...2048 - named.count - 1)
  }()
  /// Tokens with a rank in Llama 4's file; Llama 3's has 128,000.
  private static let llama4Ranks = 200_000

  /// Parses a rank file: Llama 4's, where it has as many tokens as that, else Llama 3's.
  ///
  /// - Parameter file: the name that errors carry.
  public static func tiktoken(_ bytes: [UInt8], file: String) throws(VocabularyError) -> Vocabulary {
    var ranked = RankFile()
    if let (line, reason) = bytes.withUnsafeBufferPointer({ ranked.read($0) }) {
      throw VocabularyError(.corrupt, in: file, "line \(line) \(reason)")
    }
    guard !ranked.ids.isEmpty else { throw VocabularyError(.corrupt, in: file, "holds no tokens") }
    var tokens = PackedStrings()
    tokens.reserveCapacity(ranked.ids.count + llama3Specials.count, bytes: bytes.count)
    if ranked.isInOrder {
      tokens = ranked.tokens
    } else {
      // Ranks must be 0..<count in any order: a gap would be an id without a token.
      var place = [Int](repeating: -1, count: ranked.ids.count)
      for (at, id) in ranked.ids.enumerated() {
        guard place.indices.contains(id) else {
          throw VocabularyError(.corrupt, in: file, "rank \(id) is out of range: there are \(place.count) tokens")
        }
        guard place[id] < 0 else { throw VocabularyError(.corrupt, in: file, "rank \(id) occurs twice") }
        place[id] = at
      }
      for at in place { tokens.append(ranked.tokens[at]) }
    }
    let normal = tokens.count
    var kinds = [TokenKind](repeating: .normal, count: normal)
    let index = TokenIndex(tokens) { _ in true }
    for byte in 0...255 where index.find(CollectionOfOne(UInt8(byte))) == nil {
      throw VocabularyError(.corrupt, in: file, "has no token for byte \(byte)")
    }
    guard index.count == normal else { throw VocabularyError(.corrupt, in: file, "has the same token at two ranks") }
    let isLlama4 = normal == llama4Ranks
    for special in isLlama4 ? llama4Specials : llama3Specials {
      tokens.append(special.utf8)
      kinds.append(.control)
    }
    var vocabulary = Vocabulary(
      model: .tiktoken, tokens: tokens, kinds: kinds, splits: [isLlama4 ? .pattern(try Pattern(GGUFPreTokenizer.gpt4o, file: file)) : .scan(.llama3)], addsBOS: true,
      index: index)
    vocabulary.bos = vocabulary.specials["<|begin_of_text|>"]
    vocabulary.eos = vocabulary.specials["<|end_of_text|>"]
    vocabulary.eot = vocabulary.specials[isLlama4 ? "<|eot|>" : "<|eot_id|>"]
    return vocabulary
  }
}

/// The lines of a rank file.
private struct RankFile {
  var tokens = PackedStrings()
  var ids: [Int] = []
  var isInOrder = true

  /// - Returns: nil, or the line that isn't one and what is wrong with it.
  mutating func read(_ text: UnsafeBufferPointer<UInt8>) -> (line: Int, reason: String)? {
    tokens.reserveCapacity(text.count / 14, bytes: text.count / 2)
    ids.reserveCapacity(text.count / 14)
    var decoded: [UInt8] = []
    var at = 0
    var line = 0
    while at < text.count {
      line += 1
      decoded.removeAll(keepingCapacity: true)
      var bits: UInt32 = 0
      var digits = 0
      while at < text.count {
        let value = Base64.values[Int(text[at])]
        if value == 0xFF { break }
        bits = bits << 6 | UInt32(value)
        digits += 1
        at += 1
        if digits & 3 == 0 {
          decoded.append(UInt8(truncatingIfNeeded: bits >> 16))
          decoded.append(UInt8(truncatingIfNeeded: bits >> 8))
          decoded.append(UInt8(truncatingIfNeeded: bits))
        }
      }
      switch digits & 3 {
      case 0: break
      case 2: decoded.append(UInt8(truncatingIfNeeded: bits >> 4))
      case 3:
        decoded.append(UInt8(truncatingIfNeeded: bits >> 10))
        decoded.append(UInt8(truncatingIfNeeded: bits >> 2))
      default: return (line, "is not base64")
      }
      var padding = 0
      while at < text.count, text[at] == UInt8(ascii: "=") { (at, padding) = (at + 1, padding + 1) }
      if digits == 0 {
        // An empty line, as Meta's reader allows.
        if padding == 0, at == text.count || text[at] == UInt8(ascii: "\n") {
          at += 1
          continue
        }
        return (line, "does not begin with a token in base64")
      }
      guard (digits + padding) & 3 == 0, padding < 3 else { return (line, "has base64 of a wrong length") }
      guard at < text.count, text[at] == UInt8(ascii: " ") else { return (line, "is not a token in base64, a space and a rank") }
      at += 1
      var id = 0
      let start = at
      while at < text.count, case 0...9 = text[at] &- UInt8(ascii: "0") {
        id = id * 10 + Int(text[at] - UInt8(ascii: "0"))
        guard id <= Int(Int32.max) else { return (line, "has a rank that is too large") }
        at += 1
      }
      guard at > start else { return (line, "has no rank after its token") }
      if at < text.count, text[at] == UInt8(ascii: "\r") { at += 1 }
      guard at == text.count || text[at] == UInt8(ascii: "\n") else { return (line, "has more than a token and a rank") }
      at += 1
      guard ids.count < Vocabulary.mostTokens else { return (line, "is one of more tokens than any vocabulary has") }
      guard decoded.count <= Vocabulary.longestToken else { return (line, "has a token of \(decoded.count) bytes, which no vocabulary has") }
      if id != ids.count { isInOrder = false }
      tokens.append(decoded)
      ids.append(id)
    }
    return nil
  }
}

private enum Base64 {
  /// 0xFF for what is no digit.
  static let values: [UInt8] = {
    var values = [UInt8](repeating: 0xFF, count: 256)
    for (value, digit) in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8.enumerated() {
      values[Int(digit)] = UInt8(value)
    }
    return values
  }()
}
