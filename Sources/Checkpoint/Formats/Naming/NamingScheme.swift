/// How a family of programs calls the tensors of a Llama, and what of them it lays out in its own way. Each format has its own.
struct NamingScheme: Sendable {
  /// What a tensor is.
  enum Meaning: Equatable, Sendable {
    case weight(TensorName)
    /// Several matrices of a layer in one.
    case fused(layer: Int, FusedRows)
    /// A buffer that is computed, and that the family's own programs leave out without a word.
    case computed
  }

  /// Meta's are as they are called here; the others' names come without the prefixes of wrappers.
  let meaning: @Sendable (_ name: String) -> Meaning?
  /// Whether RoPE turns the halves of a head rather than neighbouring rows.
  let rotatesHalves: Bool
  /// What says the rest of a model whose tensors are called so, the likeliest first.
  let descriptions: [DescriptionFile]

  static let all: [NamingScheme] = [.meta, .huggingFace, .litGPT]

  /// The scheme that most of `names` are of.
  /// - Returns: nil where none of them is a weight's in any.
  static func of(_ names: some Sequence<String>) -> NamingScheme? {
    var counts = [Int](repeating: 0, count: all.count)
    for name in names {
      for (index, scheme) in all.enumerated() where scheme.meaning(ofWrapped: name) != nil { counts[index] += 1 }
    }
    // Of as many the first: `norm.weight` is in two of them.
    guard let most = counts.max(), most > 0, let index = counts.firstIndex(of: most) else { return nil }
    return all[index]
  }

  /// What a name means, whatever wrappers put before it and into it.
  func meaning(ofWrapped name: String) -> Meaning? {
    if let meaning = meaning(name) { return meaning }
    guard let bare = Self.unwrapped(name) else { return nil }
    var rest = bare[...]
    for _ in 0...Self.mostPrefixes {
      if let meaning = meaning(String(rest)) { return meaning }
      guard let prefix = Self.prefixes.first(where: rest.hasPrefix) else { return nil }
      rest = rest.dropFirst(prefix.count)
    }
    return nil
  }

  /// What programs that hold a model as a part of something put before the names of its tensors.
  private static let prefixes = ["model.", "base_model."]
  private static let mostPrefixes = 4

  /// Classes that wrap a module, or a part of one, are a word in the names of what is in it: `DistributedDataParallel` and DeepSpeed, `torch.compile`, FSDP,
  /// activation checkpointing, and PEFT's adapters around a layer.
  private static let wrappers: Set<Substring> = ["module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module", "base_layer"]

  /// - Returns: nil for a name that is too long for a tensor's.
  private static func unwrapped(_ name: String) -> String? {
    guard name.utf8.count <= StoredTensors.longestName else { return nil }
    return name.split(separator: ".", omittingEmptySubsequences: false).filter { !wrappers.contains($0) }.joined(separator: ".")
  }
}

/// A file beside weights that says of the model what shapes don't.
enum DescriptionFile: String, Sendable {
  /// Meta's.
  case params = "params.json"
  /// Hugging Face's.
  case config = "config.json"
  case litGPT = "model_config.yaml"

  func stated(in file: any ByteSource) throws(CheckpointError) -> StatedParams {
    switch self {
    case .params: try MetaParams.stated(in: file)
    case .config: try HuggingFaceConfig.stated(in: file)
    case .litGPT: try LitGPTConfig.stated(in: file)
    }
  }
}
