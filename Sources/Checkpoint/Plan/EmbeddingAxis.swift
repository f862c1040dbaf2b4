import SystemPackage
import Tokenization

/// Along which axis the embedding is cut among ranks: the one thing about a split that isn't the same in all Llamas.
///
/// Shapes of several shards tell. Of one shard, or of a format without ranks, the embedding isn't cut, and it must be as the model's reference wants it:
/// by columns (`ParallelEmbedding`) in that of Llama 1, 2 and Code Llama, whose vocabularies have 32,000 or 32,016 tokens; by rows
/// (`VocabParallelEmbedding`) in that of Llama 3 and later, with 128,256. Of other vocabularies it is told by what reads them: the first reads SentencePiece
/// files, the second tiktoken's.
struct EmbeddingAxis {
  /// 0 for rows, 1 for columns.
  let axis: Int
  /// What a person should know; nil where shapes or a release tell.
  let note: String?

  /// - Throws: where it depends on a tokenizer that can't be read.
  init(_ source: Checkpoint) throws(CheckpointError) {
    if case .axis(let axis)? = source[TensorName(.tokEmbeddings)]?.split {
      self.init(axis, nil)
      return
    }
    if source.params.architecture != nil {
      // Llama 4's, whose vocabularies are padded.
      self.init(0, nil)
      return
    }
    switch source.params.vocabularySize {
    case 32_000...32_016: self.init(1, nil)
    case 128_256: self.init(0, nil)
    case let size:
      let vocabulary: Vocabulary?
      do { vocabulary = try source.vocabulary() } catch {
        throw CheckpointError(
          error.reason == .unreadable ? .io : .corrupt, "how the embedding is cut among ranks depends on the tokenizer, as with \(size) tokens it is no release's: \(error)")
      }
      switch vocabulary?.model {
      case .sentencePiece: self.init(1, "the embedding is cut by columns, as by the reference that reads SentencePiece files")
      case .tiktoken: self.init(0, "the embedding is cut by rows, as by the reference that reads tiktoken's files")
      case .byteLevel, .pipeline, nil:
        self.init(0, "the embedding is cut by rows, as Llama 3's: neither the size of the vocabulary nor the tokenizer is that of a release whose reference asks for something else")
      }
    }
  }

  private init(_ axis: Int, _ note: String?) { (self.axis, self.note) = (axis, note) }
}
