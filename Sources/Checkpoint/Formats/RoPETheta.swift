import Catalog
import SystemPackage

/// The base of RoPE's frequencies: what the description says, held against the `rope.freqs` that the files carry; where it says nothing, what these say,
/// else what the release has.
struct RoPETheta {
  let value: Double
  /// What a person should know, in sentences.
  let notes: [String]

  /// What Meta's reference, transformers and llama.cpp take where nothing is said.
  static let defaultValue = 10_000.0
  /// Of Llama 3 and its descendants, whose theta is never the default.
  private static let llama3Vocabulary = 128_000..<130_000

  /// - Parameters:
  ///   - stated: by the description; nil when it says nothing.
  ///   - path: of the checkpoint's folder or file.
  init(
    stated: Double?, _ params: ModelParams, _ tensors: [LogicalTensor], _ files: [any ByteSource], path: FilePath, _ format: Checkpoint.Format
  ) throws(CheckpointError) {
    let carried = try Self.carried(stated, params, tensors, files, path, format)
    if let stated {
      (value, notes) = (stated, [])
      return
    }
    let description = format.describedBy
    if let carried {
      value = carried
      notes = carried == Self.defaultValue ? [] : ["\(description) doesn't say rope_theta; the rope.freqs beside the weights are those of \(carried)"]
    } else if let known = try Self.ofRelease(params, path, format) {
      value = known
      notes = known == Self.defaultValue ? [] : ["\(description) doesn't say rope_theta; \(known) is that of the releases of these shapes"]
    } else {
      guard !Self.llama3Vocabulary.contains(params.vocabularySize) else {
        throw CheckpointError(
          .corrupt, in: path, "\(description) doesn't say rope_theta, and with a vocabulary of \(params.vocabularySize), which is Llama 3's, "
            + "it can't be the \(Self.defaultValue) of older models: add it (the releases of Llama 3 have 500000)")
      }
      (value, notes) = (Self.defaultValue, [])
    }
  }

  /// What the `rope.freqs` in the files say.
  /// - Returns: nil where there are none, or the description's theta is theirs.
  private static func carried(
    _ stated: Double?, _ params: ModelParams, _ tensors: [LogicalTensor], _ files: [any ByteSource], _ path: FilePath, _ format: Checkpoint.Format
  ) throws(CheckpointError) -> Double? {
    // Where a look costs a round trip, only headers are looked at, but for what nothing else says.
    guard files.allSatisfy({ $0.isHere || $0.isArriving && stated == nil }) else { return nil }
    var carried: (theta: Double, name: TensorName)?
    for tensor in tensors where tensor.name.role.isBuffer {
      // Of heads of two columns there is one frequency, 1, whatever theta.
      guard tensor.columns > 1, let frequencies = try RoPEFrequencies(tensor, in: files) else { continue }
      let file = tensor.parts.first.map { files[$0.file].path } ?? path
      if let stated {
        if frequencies.agree(with: stated, params.ropeScaling) { continue }
        throw CheckpointError(
          .corrupt, in: file, byte: tensor.parts.first?.offset,
          "\(tensor.name) has the frequencies of rope_theta \(frequencies.theta.map { "\($0)" } ?? "(none)"), and \(format.describedBy) says rope_theta \(stated): one of them is of another model")
      }
      guard let theta = frequencies.theta else {
        throw CheckpointError(
          .corrupt, in: file, byte: tensor.parts.first?.offset, "\(tensor.name) isn't a row of RoPE's frequencies, and \(format.describedBy) doesn't say rope_theta")
      }
      if let carried, carried.theta != theta {
        throw CheckpointError(.corrupt, in: file, byte: tensor.parts.first?.offset, "\(tensor.name) is of rope_theta \(theta), and \(carried.name) of \(carried.theta)")
      }
      carried = (theta, tensor.name)
      if !files.allSatisfy(\.isHere) { break }
    }
    return carried?.theta
  }

  /// What the releases of these shapes have, the one that the folder is named after before others. Only of Meta's own layout: others have defaults of their own.
  private static func ofRelease(_ params: ModelParams, _ path: FilePath, _ format: Checkpoint.Format) throws(CheckpointError) -> Double? {
    guard format == .pth || format == .safetensors else { return nil }
    let known = try KnownReleases(params)
    return known.named(after: path).common { $0.ropeTheta } ?? known.common { $0.ropeTheta }
  }
}
