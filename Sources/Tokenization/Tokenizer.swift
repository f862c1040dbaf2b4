/// Turns text into token ids and back.
///
/// Text never becomes a control token unless the caller says so: a user's `<|eot_id|>` is eight characters, not the end of a turn.
public protocol Tokenizer: Sendable {
  var vocabulary: Vocabulary { get }

  /// Appends the tokens of UTF-8 text to `ids`.
  ///
  /// - Parameters:
  ///   - utf8: may be malformed; what becomes of malformed bytes is the vocabulary's affair (SentencePiece: U+FFFD; byte-level: those bytes).
  ///   - parsingSpecials: whether the text of a control token becomes that token.
  ///   - typed: what somebody typed, where control tokens stay text even so; takes note of those.
  /// - Throws: when a pattern of the vocabulary's file takes too many steps on this text.
  func encode(utf8: UnsafeBufferPointer<UInt8>, parsingSpecials: Bool, typed: inout TypedBytes, into ids: inout [Int]) throws(VocabularyError)

  /// The bytes that `id` shows as, where it isn't the first of a text: empty for what shows as nothing and for ids that don't exist.
  func bytes(of id: Int) -> [UInt8]
}

extension Tokenizer {
  /// The same where nobody typed anything that could be mistaken for a control token.
  public func encode(utf8: UnsafeBufferPointer<UInt8>, parsingSpecials: Bool, into ids: inout [Int]) throws(VocabularyError) {
    var typed = TypedBytes()
    try encode(utf8: utf8, parsingSpecials: parsingSpecials, typed: &typed, into: &ids)
  }

  /// The tokens of a text that holds control tokens, of which those that touch what is `typed` stay text.
  public func encode(_ text: String, typed: inout TypedBytes) throws(VocabularyError) -> [Int] {
    var ids: [Int] = []
    try encode(text, parsingSpecials: true, typed: &typed, into: &ids)
    return ids
  }

  private func encode(_ text: String, parsingSpecials: Bool, typed: inout TypedBytes, into ids: inout [Int]) throws(VocabularyError) {
    // A closure that throws a typed error can't be passed through withUnsafeBufferPointer without losing its type.
    let encoded = Array(text.utf8).withUnsafeBufferPointer { utf8 in
      Result { () throws(VocabularyError) in try encode(utf8: utf8, parsingSpecials: parsingSpecials, typed: &typed, into: &ids) }
    }
    try encoded.get()
  }

  /// The tokens of `text`.
  ///
  /// - Parameters:
  ///   - bos: put BOS in front; pass `vocabulary.addsBOS` for a prompt.
  ///   - eos: put EOS at the end.
  ///   - parsingSpecials: whether the text of a control token becomes that token. Leave it off for text from users.
  public func encode(_ text: String, bos: Bool = false, eos: Bool = false, parsingSpecials: Bool = false) throws(VocabularyError) -> [Int] {
    var ids: [Int] = []
    if bos, let id = vocabulary.bos { ids.append(id) }
    var typed = TypedBytes()
    try encode(text, parsingSpecials: parsingSpecials, typed: &typed, into: &ids)
    if eos, let id = vocabulary.eos { ids.append(id) }
    return ids
  }

  /// The text of `ids`, as the vocabulary's own library gives it: malformed UTF-8 becomes U+FFFD, SentencePiece's dummy prefix goes.
  ///
  /// - Parameter keepingSpecials: whether control tokens show as their text. SentencePiece never shows them.
  public func decode(_ ids: some Sequence<Int>, keepingSpecials: Bool = false) -> String {
    var decoder = StreamingDecoder(self, keepingSpecials: keepingSpecials)
    var text = ""
    for id in ids { text += decoder.append(id) }
    return text + decoder.finish()
  }

  /// The id of the control token spelled `special`.
  public func id(of special: String) -> Int? { vocabulary.specials[special] }
}
