/// What a Hugging Face `tokenizer.json` does with a text, as a value: added tokens are found, the rest is normalized, cut into pieces, and each piece
/// given to the model.
///
/// Source: the `tokenizers` library, whose steps these are, by their names there.
struct TextPipeline: Sendable {
  var added = AddedTokens([])
  var normalizers: [Normalizer] = []
  var preTokenizers: [PreTokenizer] = []
  var model: PieceModel
  var decoder: TokenDecoder

  /// A run of text on its way to the model.
  struct Piece: Sendable {
    /// Well-formed UTF-8.
    var text: [UInt8]
    /// Whether the whole text begins with it.
    var isFirst: Bool
  }
}
