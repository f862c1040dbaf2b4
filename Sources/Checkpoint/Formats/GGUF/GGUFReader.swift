import Integrity
import Platform
import SystemPackage

/// Reads a GGUF of the llama architecture.
///
/// Source: `docs/gguf.md` of the ggml repository, and which keys and tensors llama.cpp's llama architecture reads.
enum GGUFReader {
  /// Opens a GGUF, whole if it is split into several files.
  ///
  /// - Parameters:
  ///   - file: it, or any of its parts.
  ///   - sibling: opens a file beside it by name; nil where it isn't there.
  static func open(
    _ file: any ByteSource, _ options: Checkpoint.OpenOptions, sibling: (String) throws(CheckpointError) -> (any ByteSource)?
  ) throws(CheckpointError) -> Checkpoint {
    let parts = try GGUFSplit.parts(of: GGUFHeader(file), sibling: sibling)
    // The first has all that isn't about one part.
    let (path, metadata) = (parts[0].file.path, parts[0].metadata)
    var params = try stated(metadata, path)
    var tensors: [TensorName: StoredTensor] = [:]
    for (index, part) in parts.enumerated() {
      for (info, tensor) in try part.tensors(index: index) {
        if info.name == GGUFNames.ropeFactors {
          let divisors = try ropeScaling(tensor, part.file, metadata)
          if divisors != nil, params.ropeScaling != nil {
            throw CheckpointError(.unsupported, in: part.file.path, byte: info.at, "scales RoPE twice: by rope_freqs.weight and by llama.rope.scaling.factor")
          }
          params.ropeScaling = divisors ?? params.ropeScaling
          continue
        }
        guard let name = GGUFNames.metaName(info.name) else {
          throw CheckpointError(.unsupported, in: part.file.path, byte: info.at, "has the tensor \(info.name), which isn't one of a Llama text model")
        }
        if name.role.isBias, tensor.dtype.isQuantized || tensor.shape.count != 1 {
          throw CheckpointError(.corrupt, in: part.file.path, byte: info.at, "has the bias \(info.name) of the shape \(tensor.shape) as \(tensor.dtype), where a plain vector is due")
        }
        guard let other = tensors.updateValue(name.role.isBias ? tensor.asColumn : tensor, forKey: name) else { continue }
        let place = other.file == index ? "twice" : "as \(parts[other.file].file.path) does"
        throw CheckpointError(.corrupt, in: part.file.path, byte: info.at, "has the tensor \(info.name) \(place)")
      }
    }
    var companions = Companions(tokenizer: .gguf(metadata))
    companions.licence = metadata.licence
    // llama.cpp's names for a model without a tokenizer.
    if ["none", "no_vocab"].contains(metadata["tokenizer.ggml.model"]?.text ?? "none") { companions.tokenizer = nil }
    return try Assembly(
      format: .gguf, path: path, shards: [tensors], files: parts.map(\.file), stated: params, options: options, companions: companions
    ).checkpoint()
  }

  private static func stated(_ metadata: GGUFMetadata, _ path: FilePath) throws(CheckpointError) -> StatedParams {
    let architecture = try metadata.text("general.architecture", path)
    guard architecture == "llama" else {
      throw CheckpointError(.unsupported, in: path, "is a model of the architecture \(architecture ?? "(none given)"); only llama is supported")
    }
    guard let heads = try metadata.integer("llama.attention.head_count", path) else {
      throw CheckpointError(.corrupt, in: path, "doesn't say llama.attention.head_count")
    }
    guard let epsilon = try metadata.number("llama.attention.layer_norm_rms_epsilon", path) else {
      throw CheckpointError(.corrupt, in: path, "doesn't say llama.attention.layer_norm_rms_epsilon, without which no norm can be computed")
    }
    guard epsilon.isFinite, epsilon >= 0 else { throw CheckpointError(.corrupt, in: path, "says llama.attention.layer_norm_rms_epsilon is \(epsilon)") }
    var stated = StatedParams(
      dim: try metadata.integer("llama.embedding_length", path), layers: try metadata.integer("llama.block_count", path), heads: heads,
      kvHeads: try metadata.integer("llama.attention.head_count_kv", path) ?? heads, headDim: try metadata.integer("llama.attention.key_length", path),
      hiddenDim: try metadata.integer("llama.feed_forward_length", path), vocabularySize: try metadata.integer("llama.vocab_size", path),
      // A float32 such as 1e-5 is shown as the decimal number that was meant.
      normEpsilon: Float(epsilon).shortest, ropeTheta: try metadata.number("llama.rope.freq_base", path))
    stated.unhonoured = KeyTable.gguf.unhonoured(metadata.json, in: path)
    stated.ropeScaling = try linearScaling(metadata, path)
    // The width of a head can be said three times; what the tensors have is held against the first.
    if let dim = stated.dim, heads > 0 {
      let width = stated.headDim ?? dim / heads
      for key in ["llama.attention.value_length", "llama.rope.dimension_count"] {
        guard let said = try metadata.integer(key, path), said != width else { continue }
        stated.unhonoured.append(UnhonouredKey(key, .integer(said), in: path, because: "heads are \(width) wide, and only whole heads are supported"))
      }
    }
    return stated
  }

  /// Position interpolation, which is also what a factor without a type means. A factor of 0 says nothing.
  ///
  /// Source: `load_hparams` in llama.cpp's `llama-model.cpp`.
  private static func linearScaling(_ metadata: GGUFMetadata, _ path: FilePath) throws(CheckpointError) -> ModelParams.RoPEScaling? {
    guard try metadata.text("llama.rope.scaling.type", path) ?? "linear" == "linear" else { return nil }
    // The second is the old name of the first.
    for key in ["llama.rope.scaling.factor", "llama.rope.scale_linear"] {
      guard let factor = try metadata.number(key, path) else { continue }
      if factor == 0 || factor == 1 { return nil }
      guard factor > 0, factor.isFinite else { throw CheckpointError(.corrupt, in: path, "says \(key) is \(factor), where a number above 0 is due") }
      return ModelParams.RoPEScaling(kind: .linear, factor: factor)
    }
    return nil
  }

  /// GGUF keeps Llama 3.1's scaling as the divisors of the frequencies that come of it; the parameters are the set that gives them.
  private static func ropeScaling(
    _ tensor: StoredTensor, _ file: any ByteSource, _ metadata: GGUFMetadata
  ) throws(CheckpointError) -> ModelParams.RoPEScaling? {
    guard tensor.dtype == .f32, tensor.shape.count == 1, tensor.columns <= 1 << 16 else { throw CheckpointError(.unsupported, in: file.path, "rope_freqs.weight isn't a float32 vector") }
    var reader = ByteReader(file, tensor.offset..<tensor.offset + 4 * tensor.columns)
    var divisors: [Double] = []
    for _ in 0..<tensor.columns { divisors.append(Double(Float(bitPattern: try reader.integer(UInt32.self, "rope_freqs.weight")))) }
    if divisors.allSatisfy({ $0 == 1 }) { return nil }
    let theta = metadata["llama.rope.freq_base"]?.number ?? 10000
    let scaling = ModelParams.RoPEScaling(factor: divisors.max() ?? 8)
    let expected = scaling.divisors(headDim: 2 * divisors.count, theta: theta)
    guard zip(divisors, expected).allSatisfy({ abs($0 - $1) <= 1e-4 * $1 }) else {
      throw CheckpointError(.unsupported, in: file.path, byte: tensor.offset, "rope_freqs.weight isn't the scaling of Llama 3.1")
    }
    return scaling
  }
}
