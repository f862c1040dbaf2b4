/// What a checkpoint's own description says of its hyperparameters. The shapes are the truth; this is what they are held against, and what they
/// can't tell (the number of heads, RoPE).
struct StatedParams {
  var dim: Int?
  var layers: Int?
  var heads: Int
  var kvHeads: Int?
  var headDim: Int?
  var hiddenDim: Int?
  var vocabularySize: Int?
  var normEpsilon: Double
  /// nil when the description doesn't say, whatever its format's default is.
  var ropeTheta: Double?
  var ropeScaling: ModelParams.RoPEScaling?
  /// nil when only the tensors tell.
  var tiedEmbeddings: Bool?
}
