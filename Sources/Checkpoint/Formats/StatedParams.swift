import SystemPackage

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
  /// An output projection that is taken for the embedding table, and that nobody has compared with it yet.
  var copyOfEmbedding: StoredTensor?
  /// Whether projections have biases; nil when only the tensors tell.
  var hasAttentionBias: Bool?
  var hasFeedForwardBias: Bool?
  /// That it is the body of a language model without what chooses the next token, so that a missing output projection isn't a mistake.
  var isHeadless = false
  /// Of layers with experts: how many there are, how wide and every how many layers, as far as it says.
  var experts: (count: Int?, hiddenDim: Int?, interval: Int)?
  /// Of what turns images into embeddings: the heads, which shapes don't tell.
  var visionHeads: Int?
  /// What it says of weights that are codes; nil where it says nothing.
  var scaled: (stated: ScaledWeights.Stated, keys: [UnhonouredKey])?
  /// What it says besides and drover doesn't honour.
  var unhonoured: [UnhonouredKey] = []

  /// Refuses what another description of the same weights says otherwise.
  /// - Parameters:
  ///   - path: of the file that says this.
  ///   - otherPath: of the one that says `other`.
  func requireSame(_ other: Self, _ path: FilePath, _ otherPath: FilePath) throws(CheckpointError) {
    func text<T>(_ value: T?) -> String { value.map { "\($0)" } ?? "nothing" }
    let values: [(what: String, own: String, other: String)] = [
      ("the number of heads", text(heads), text(other.heads)), ("key and value heads", text(kvHeads ?? heads), text(other.kvHeads ?? other.heads)),
      ("RoPE's theta", text(ropeTheta ?? RoPETheta.defaultValue), text(other.ropeTheta ?? RoPETheta.defaultValue)), ("RoPE's scaling", text(ropeScaling), text(other.ropeScaling)),
      ("the norm's epsilon", text(Float(normEpsilon)), text(Float(other.normEpsilon))),
    ]
    for (what, own, other) in values where own != other {
      throw CheckpointError(.corrupt, in: path, "says \(what) is \(own), and \(otherPath.lastComponent?.string ?? "") beside it says \(other): remove the one that isn't this model's")
    }
  }

  /// Refuses numbers that no model can have: NaN and infinity, which a GGUF can hold, and what would divide by zero.
  /// - Parameter path: the checkpoint's folder or file, for errors.
  func check(_ path: FilePath) throws(CheckpointError) {
    var numbers: [(String, Double)] = []
    if let ropeTheta { numbers.append(("RoPE's theta", ropeTheta)) }
    if let scaling = ropeScaling {
      // The kinds that have no low and high frequencies have the defaults for them.
      numbers += [
        ("RoPE's scaling factor", scaling.factor), ("RoPE's low frequency factor", scaling.lowFrequencyFactor),
        ("RoPE's high frequency factor", scaling.highFrequencyFactor), ("RoPE's original context", Double(scaling.originalContext)),
      ]
    }
    for (what, value) in numbers where !(value.isFinite && value > 0) {
      throw CheckpointError(.corrupt, in: path, "says that \(what) is \(value), where a number above 0 is due: its description is damaged")
    }
    guard normEpsilon >= 0, Float(normEpsilon).isFinite else {
      throw CheckpointError(.corrupt, in: path, "says that the norm's epsilon is \(normEpsilon), where a number of 0 or more is due: its description is damaged")
    }
  }
}
