import Platform
import SystemPackage

/// What comes with the weights: the tokenizer, licences, and what a reader noticed.
public struct Companions: Sendable {
  /// Where a checkpoint's tokenizer is.
  public enum TokenizerSource: Sendable {
    /// A file of its own: `tokenizer.model` (SentencePiece or tiktoken) or `tokenizer.json`.
    case file(FilePath)
    /// The `tokenizer.ggml.*` keys of the checkpoint's own GGUF metadata.
    case gguf(GGUFMetadata)
  }

  public var tokenizer: TokenizerSource?
  /// The folder that the weights lie in, where other files may lie beside them.
  public var folder: FilePath?
  /// Meta's `params.json`, where the checkpoint has one.
  public var params: FilePath?
  /// Licences and policies, which must go where the weights go.
  public var legal: [FilePath]
  /// What a person should know about the checkpoint, in sentences: where description and shapes differ, what was left out.
  public var notes: [String]

  public init(
    tokenizer: TokenizerSource? = nil, folder: FilePath? = nil, params: FilePath? = nil, legal: [FilePath] = [], notes: [String] = []
  ) {
    self.tokenizer = tokenizer
    self.folder = folder
    self.params = params
    self.legal = legal
    self.notes = notes
  }

  /// Looks for a tokenizer in the checkpoint's folder, then beside it, where Meta puts the one that Llama 1 and 2 share.
  init(besides folder: FilePath) throws(CheckpointError) {
    let parent = folder.lexicallyNormalized().components.isEmpty ? folder.appending("..") : folder.appending("..").lexicallyNormalized()
    let places = [folder, parent].flatMap { place in ["tokenizer.model", "tokenizer.json"].map { place.appending($0) } }
    let legal = ["LICENSE", "LICENSE.txt", "USE_POLICY.md", "Notice"].map { folder.appending($0) }.filter(Directory.exists)
    self.init(tokenizer: places.first(where: Directory.exists).map { .file($0) }, folder: folder, legal: legal)
  }
}
