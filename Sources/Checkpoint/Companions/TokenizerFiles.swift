import Catalog
import Platform
import SystemPackage
import Tokenization

/// The files of a checkpoint's tokenizer, as they are written beside its weights.
struct TokenizerFiles {
  /// Nothing for a checkpoint without a tokenizer.
  private(set) var files: [OutputFile] = []
  /// What a person should know, in sentences.
  private(set) var notes: [String] = []

  /// Hugging Face's program reads this one.
  private static let json = "tokenizer.json"
  /// Meta's programs read this one.
  private static let model = "tokenizer.model"

  init(_ source: Checkpoint, for format: Checkpoint.Format) throws(CheckpointError) {
    switch source.companions.tokenizer {
    case .file(let path):
      try copy(path)
      if format == .hf, source.companions.huggingFace == nil, !has(Self.json), try isWhole(path) { try translate(source) }
    case .gguf: try write(source, for: format)
    case nil: break
    }
  }

  private func has(_ name: String) -> Bool { files.contains { $0.name == name } }

  private mutating func add(_ name: String, _ content: [UInt8]) { if !has(name) { files.append(OutputFile(name: name, content: content)) } }

  /// A tokenizer is not whole without the files that say which tokens were added, which begin and end a text, and how a chat looks. Of a folder that has
  /// both kinds of tokenizer both go along.
  private mutating func copy(_ path: FilePath) throws(CheckpointError) {
    files = [try CompanionFiles.copy(of: path)]
    let folder = path.removingLastComponent()
    for name in [Self.json, Self.model, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja"] {
      let beside = folder.appending(name)
      if !has(name), Directory.exists(beside) { files.append(try CompanionFiles.copy(of: beside)) }
    }
  }

  /// Whether a `tokenizer.model` says all that there is to say: what lies beside it adds no tokens, and doesn't cut text otherwise.
  private func isWhole(_ path: FilePath) throws(CheckpointError) -> Bool {
    let config = path.removingLastComponent().appending("tokenizer_config.json")
    guard !has("added_tokens.json") else { return false }
    guard has("tokenizer_config.json") else { return true }
    let keys = try decodeJSONObject(LocalFile.contents(of: config), in: config).keys
    return !keys.contains { ["added_tokens_decoder", "legacy", "add_prefix_space"].contains($0) }
  }

  /// Adds to a `tokenizer.model` what transformers reads in its place. One that can't be said so goes along alone.
  private mutating func translate(_ source: Checkpoint) throws(CheckpointError) {
    let (vocabulary, json): (Vocabulary, [UInt8])
    do throws(VocabularyError) {
      guard let own = try source.vocabulary() else { return }
      (vocabulary, json) = (own, try own.huggingFaceFile())
    } catch {
      guard error.reason == .unsupported else { throw CheckpointError(.corrupt, "the tokenizer can't come along: \(error)") }
      notes.append("no \(Self.json) is written, so transformers makes what it can of \(Self.model): \(error)")
      return
    }
    add(Self.json, json)
    try addSettings(of: vocabulary, from: source)
  }

  /// What transformers wants to know beside a `tokenizer.json`.
  private mutating func addSettings(of vocabulary: Vocabulary, from source: Checkpoint) throws(CheckpointError) {
    let release = source.release
    if release == nil, vocabulary.chatTemplate == nil {
      notes.append("nothing tells which release this is (its folder is called otherwise, and no receipt says): tokenizer_config.json is without a chat template")
    }
    var config = TokenizerConfig(vocabulary, forTransformers: HuggingFaceConfig.contextLength(source))
    if config.chatTemplate == nil, let template = release.flatMap(ReleaseTemplate.text(of:)) {
      config.chatTemplate = template
      // In a dialog a turn ends the text.
      if let eot = vocabulary.eot { config.eosToken = vocabulary.tokens.string(eot) }
    }
    add("tokenizer_config.json", try encodeJSON(config))
    add("special_tokens_map.json", try encodeJSON(config.specialTokens))
  }

  /// - Returns: nil, or why the vocabulary can't be said in SentencePiece's file.
  private mutating func addModel(_ vocabulary: Vocabulary) throws(VocabularyError) -> VocabularyError? {
    do throws(VocabularyError) {
      add(Self.model, try vocabulary.sentencePieceFile())
      return nil
    } catch {
      guard error.reason == .unsupported else { throw error }
      return error
    }
  }

  /// The vocabulary of a GGUF as the file its kind usually has.
  private mutating func write(_ source: Checkpoint, for format: Checkpoint.Format) throws(CheckpointError) {
    let vocabulary: Vocabulary
    do throws(VocabularyError) {
      guard let own = try source.vocabulary() else { return }
      vocabulary = own
      if own.model == .sentencePiece, let reason = try addModel(own) {
        add(Self.json, try own.huggingFaceFile())
        notes.append("no \(Self.model) is written, and programs that read only that won't find the tokenizer, which is in \(Self.json): \(reason)")
      } else if own.model != .sentencePiece {
        add(Self.json, try own.huggingFaceFile())
      }
    } catch {
      throw CheckpointError(.unsupported, "the tokenizer can't come along: \(error); --format gguf keeps it as it is")
    }
    if format == .hf { if has(Self.json) { try addSettings(of: vocabulary, from: source) } else { try translate(source) } }
    add("tokenizer_config.json", try encodeJSON(TokenizerConfig(vocabulary)))
  }
}

/// Hugging Face's `tokenizer_config.json`, as far as it is written here.
///
/// Source: `transformers/tokenization_utils_base.py`.
struct TokenizerConfig: Encodable {
  var addBOSToken: Bool?
  var addEOSToken: Bool?
  var bosToken: String?
  var eosToken: String?
  var unkToken: String?
  /// A Jinja template.
  var chatTemplate: String?
  var tokenizerClass: String?
  var modelMaxLength: Int?
  var modelInputNames: [String]?
  var cleanUpTokenizationSpaces: Bool?

  enum CodingKeys: String, CodingKey {
    case addBOSToken = "add_bos_token"
    case addEOSToken = "add_eos_token"
    case bosToken = "bos_token"
    case eosToken = "eos_token"
    case unkToken = "unk_token"
    case chatTemplate = "chat_template"
    case tokenizerClass = "tokenizer_class"
    case modelMaxLength = "model_max_length"
    case modelInputNames = "model_input_names"
    case cleanUpTokenizationSpaces = "clean_up_tokenization_spaces"
  }

  init(_ vocabulary: Vocabulary) {
    func text(_ id: Int?) -> String? { id.map { vocabulary.tokens.string($0) } }
    addBOSToken = vocabulary.addsBOS
    addEOSToken = vocabulary.addsEOS
    bosToken = text(vocabulary.bos)
    eosToken = text(vocabulary.eos)
    unkToken = text(vocabulary.unknown)
    chatTemplate = vocabulary.chatTemplate
  }

  /// What transformers needs to know besides, where it goes with a `tokenizer.json`.
  /// - Parameter modelMaxLength: positions that the model was trained for; nil where nothing tells.
  init(_ vocabulary: Vocabulary, forTransformers modelMaxLength: Int?) {
    self.init(vocabulary)
    // The class that takes a tokenizer.json as it stands. LlamaTokenizer of transformers 5 makes its own of it, which drops a space at the beginning of a text.
    tokenizerClass = "PreTrainedTokenizerFast"
    modelInputNames = ["input_ids", "attention_mask"]
    // Text comes back as it went in.
    cleanUpTokenizationSpaces = false
    self.modelMaxLength = modelMaxLength
  }

  /// What goes into `special_tokens_map.json`.
  var specialTokens: [String: String] {
    ["bos_token": bosToken, "eos_token": eosToken, "unk_token": unkToken].compactMapValues(\.self)
  }
}
