import Platform
import SystemPackage
import Tokenization

/// The files of a checkpoint's tokenizer, as they are written beside its weights.
enum TokenizerFiles {
  /// - Returns: names and bytes; nothing for a checkpoint without a tokenizer.
  static func of(_ source: Checkpoint) throws(CheckpointError) -> [OutputFile] {
    switch source.companions.tokenizer {
    case .file(let path): try copies(of: path)
    case .gguf: try written(source)
    case nil: []
    }
  }

  /// A tokenizer is not whole without the files that say which tokens were added, which begin and end a text, and how a chat looks.
  private static func copies(of path: FilePath) throws(CheckpointError) -> [OutputFile] {
    var files = [try CompanionFiles.copy(of: path)]
    for name in ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja"] {
      let beside = path.removingLastComponent().appending(name)
      if Directory.exists(beside) { files.append(try CompanionFiles.copy(of: beside)) }
    }
    return files
  }

  /// The vocabulary of a GGUF as the file its kind usually has.
  private static func written(_ source: Checkpoint) throws(CheckpointError) -> [OutputFile] {
    do {
      guard let vocabulary = try source.vocabulary() else { return [] }
      let file = switch vocabulary.model {
      case .sentencePiece: OutputFile(name: "tokenizer.model", content: try vocabulary.sentencePieceFile())
      default: OutputFile(name: "tokenizer.json", content: try vocabulary.huggingFaceFile())
      }
      return [file, OutputFile(name: "tokenizer_config.json", content: try encodeJSON(TokenizerConfig(vocabulary)))]
    } catch let error as CheckpointError {
      throw error
    } catch {
      throw CheckpointError(.unsupported, "the tokenizer can't come along: \(error)")
    }
  }
}

/// Hugging Face's `tokenizer_config.json`, as far as it is written here.
struct TokenizerConfig: Encodable {
  var addBOSToken: Bool?
  var addEOSToken: Bool?
  var bosToken: String?
  var eosToken: String?
  var unkToken: String?
  /// A Jinja template.
  var chatTemplate: String?

  enum CodingKeys: String, CodingKey {
    case addBOSToken = "add_bos_token"
    case addEOSToken = "add_eos_token"
    case bosToken = "bos_token"
    case eosToken = "eos_token"
    case unkToken = "unk_token"
    case chatTemplate = "chat_template"
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
}
