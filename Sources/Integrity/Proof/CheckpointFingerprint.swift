/// The fingerprints of a checkpoint's tensors, and the one over all of them.
///
/// `TensorGrid` defines the fingerprint of a tensor. That of a checkpoint is the SHA-256 of one line for each tensor, `HEX  NAME\n` (the tensor's
/// fingerprint in lower-case hexadecimal, two spaces, Meta's name), sorted by the bytes of the names. That is what `sha256sum` prints of such a list.
///
/// - `rope.freqs` (also within the layers) is left out: it is computed from the hyperparameters, and most formats don't hold it.
/// - `output.weight` is always there: where a format leaves it out because it is the embedding table, it has the fingerprint of `tok_embeddings.weight`.
public struct CheckpointFingerprint: Sendable, Equatable {
  /// By Meta's names.
  public let tensors: [String: Digest]

  public init(tensors: [String: Digest]) { self.tensors = tensors }

  /// The fingerprint over all tensors by name.
  public var whole: Digest { SHA256.hash(Array(lines.utf8)) }

  /// Names of tensors that are not alike in both, or are only in one, sorted.
  public func differences(from other: CheckpointFingerprint) -> [String] {
    Set(tensors.keys).union(other.tensors.keys).filter { tensors[$0] != other.tensors[$0] }.sorted()
  }

  private var lines: String {
    let sorted = tensors.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    return sorted.map { "\($0.value)  \($0.key)\n" }.joined()
  }
}
