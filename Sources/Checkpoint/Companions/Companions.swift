import Catalog
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
  /// What a Hugging Face folder has beside its weights; nil of other formats.
  public var huggingFace: HuggingFaceCompanions?
  /// Licences, policies and cards, which must go where the weights go.
  public var legal: [FilePath]
  /// What a file of weights says that its licence is called.
  var licence: String?
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

  /// What lies in the checkpoint's folder.
  /// - Parameter isHuggingFace: whether its `tokenizer.json` comes before its `tokenizer.model`, as for `AutoTokenizer`; Meta's programs read the latter.
  init(besides folder: FilePath, isHuggingFace: Bool) throws(CheckpointError) {
    let names = ["tokenizer.model", "tokenizer.json"]
    let tokenizers = (isHuggingFace ? names.reversed() : names).map { folder.appending($0) }
    self.init(tokenizer: tokenizers.first(where: Directory.exists).map { .file($0) }, folder: folder, legal: LegalFiles.inFolder(folder))
  }

  /// Takes the tokenizer above a folder without one, where the catalog says that the release of this folder shares it with others, as those of Llama 1 and
  /// 2 do, and that it has as many tokens as these weights. No other is taken: it would be another model's.
  mutating func takeSharedTokenizer(above folder: FilePath, vocabularySize: Int) throws(CheckpointError) {
    let name = "tokenizer.model"
    let parent = folder.lexicallyNormalized().components.isEmpty ? folder.appending("..") : folder.appending("..").lexicallyNormalized()
    let shared = parent.appending(name)
    guard tokenizer == nil, Directory.exists(shared) else { return }
    let known = try KnownReleases.inFolder(folder).releases
    if let release = known.first(where: { $0.tokenizer == name && $0.shape?.vocabularySize == vocabularySize }) {
      tokenizer = .file(shared)
      notes.append("the tokenizer is \(shared), which \(release.id) shares with the other models of \(release.family)")
    } else {
      notes.append("\(shared) isn't taken for this model's tokenizer: the catalog has no model in a folder called so, with a vocabulary of \(vocabularySize), that shares it")
    }
  }
}
