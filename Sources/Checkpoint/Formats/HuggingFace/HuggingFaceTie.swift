import Platform
import SystemPackage

/// Whether the output projection is the embedding table itself, as `config.json` says it and as the tensors have it.
enum HuggingFaceTie {
  /// Where config.json ties the output projection to the embeddings, an `lm_head.weight` is a copy of them, which isn't needed. One that is something else
  /// contradicts it: transformers 4 takes the embeddings, and transformers 5 takes it.
  ///
  /// - Parameters:
  ///   - folder: of the checkpoint, for errors.
  ///   - config: the `config.json`.
  static func settle(
    _ tensors: inout [TensorName: StoredTensor], _ stated: inout StatedParams, _ files: [any ByteSource], in folder: FilePath, _ config: FilePath
  ) throws(CheckpointError) {
    // A body with its head, or with the embeddings for one, is a language model whatever class it was saved from.
    let hasOutput = tensors[TensorName(.output)] != nil
    if stated.isHeadless, hasOutput || stated.tiedEmbeddings == true, !stated.unhonoured.contains(where: { $0.name == "architectures" && $0.value.contains("For") }) {
      stated.unhonoured.removeAll { $0.name == "architectures" }
    }
    stated.isHeadless = stated.isHeadless && !hasOutput && stated.tiedEmbeddings != true
    for (key, says, roles) in [("attention_bias", stated.hasAttentionBias, TensorName.Role.attentionBiases), ("mlp_bias", stated.hasFeedForwardBias, TensorName.Role.feedForwardBiases)] {
      if says == false, let role = roles.first(where: { role in tensors.keys.contains { $0.role == role } }) {
        stated.unhonoured.append(UnhonouredKey(key, .bool(false), in: config, because: "there is \(role.rawValue), which transformers then leaves out"))
      }
    }
    guard stated.tiedEmbeddings == true else {
      guard hasOutput || stated.isHeadless else {
        throw CheckpointError(.corrupt, in: folder, "has no lm_head.weight, and config.json doesn't say tie_word_embeddings: true: is a file of weights missing?")
      }
      return
    }
    guard let output = tensors[TensorName(.output)], let embedding = tensors[TensorName(.tokEmbeddings)] else { return }
    // What lies elsewhere isn't fetched to be compared, and what arrives is compared as it passes; but for a row, which tells of most that are something else.
    var areAlike = output.dtype == embedding.dtype && output.shape == embedding.shape && ([output, embedding].allSatisfy { $0.coding == nil && $0.pieces == nil } || output == embedding)
    if areAlike, output != embedding, files.allSatisfy(\.isHere) {
      areAlike = try output.part.isEqual(in: files[output.file], to: embedding.part, in: files[embedding.file], output.dtype)
    } else if areAlike, output != embedding, files.contains(where: \.isArriving) {
      areAlike = try output.part.row(output.rows / 2, in: files[output.file], output.dtype) == embedding.part.row(output.rows / 2, in: files[embedding.file], output.dtype)
      if areAlike { stated.copyOfEmbedding = output }
    }
    if areAlike {
      tensors[TensorName(.output)] = nil
    } else {
      stated.unhonoured.append(UnhonouredKey("tie_word_embeddings", .bool(true), in: config, because: "lm_head.weight isn't model.embed_tokens.weight"))
    }
  }
}
