/// The fingerprint of a tensor: equal for the same weights, however a checkpoint is cut, named or wrapped.
///
/// ## Definition
///
/// The fingerprint of a tensor is the SHA-256 of a line of text and the tensor's bytes.
///
/// - The line is `DTYPE SHAPE` and a newline, in ASCII: `f32`, `f16`, `bf16`, `q8_0`, `q4_0` or `q4_1`; a space; the dimensions of the whole
///   tensor, decimal, joined by `x`. So `bf16 32000x4096\n`, `f32 4096\n`.
/// - The bytes are those of the whole tensor, all ranks' pieces together, row-major, little-endian, without padding, in Meta's order: a head's rows of
///   `wq` and `wk` in pairs for RoPE, as Meta's files and GGUF have them (Hugging Face's row `j * headDim/2 + i` of a head is row `2i + j` here).
///   Quantized rows are ggml's blocks as they lie.
/// - Vectors (the norms) are widened to float32 first and their dtype is then `f32`, because GGUF files hold them so whatever the matrices are. Widening
///   is exact: bfloat16 gets 16 zero bits below, float16 keeps its value.
///
/// The fingerprint of a checkpoint is the SHA-256 of one line for each tensor, `HEX  NAME\n` (the tensor's fingerprint in lower-case hexadecimal, two
/// spaces, Meta's name), sorted by the bytes of the names. That is what `sha256sum` prints of such a list.
///
/// - `rope.freqs` (also within the layers) is left out: it is computed from the hyperparameters, and most formats don't hold it.
/// - `output.weight` is always there: where a format leaves it out because it is the embedding table, it has the fingerprint of `tok_embeddings.weight`.
public struct TensorFingerprint: Sendable {
  /// For hashing side by side with others.
  package var hash = SHA256()

  /// The fingerprint of a tensor whose bytes are still to come.
  /// - Parameters:
  ///   - dtype: as in the definition, `f32` for vectors.
  ///   - shape: of the whole tensor.
  public init(dtype: String, shape: [Int]) {
    hash.update(Array("\(dtype) \(shape.map(String.init).joined(separator: "x"))\n".utf8))
  }

  /// Takes the tensor's next bytes, row-major and in Meta's order.
  public mutating func update(_ bytes: UnsafeRawBufferPointer) { hash.update(bytes) }

  /// The digest of all bytes so far.
  public func finalize() -> Digest { hash.finalize() }
}

/// The fingerprints of a checkpoint's tensors, and the one over all of them; `TensorFingerprint` defines both.
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
