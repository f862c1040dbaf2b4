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
    guard stated.tiedEmbeddings == true else {
      guard tensors[TensorName(.output)] != nil else {
        throw CheckpointError(.corrupt, in: folder, "has no lm_head.weight, and config.json doesn't say tie_word_embeddings: true: is a file of weights missing?")
      }
      return
    }
    guard let output = tensors[TensorName(.output)], let embedding = tensors[TensorName(.tokEmbeddings)] else { return }
    // What lies elsewhere isn't fetched to be compared.
    var areAlike = output.dtype == embedding.dtype && output.shape == embedding.shape
    if areAlike, output != embedding, files.allSatisfy(\.isHere) {
      areAlike = try output.part.isEqual(in: files[output.file], to: embedding.part, in: files[embedding.file], output.dtype)
    }
    if areAlike {
      tensors[TensorName(.output)] = nil
    } else {
      stated.unhonoured.append(UnhonouredKey("tie_word_embeddings", .bool(true), in: config, because: "lm_head.weight isn't model.embed_tokens.weight"))
    }
  }
}
