import Platform
import SystemPackage

/// The chat template that came with the weights, and the special tokens that it is given.
public struct ChatTemplateFile: Sendable {
  /// A program in Jinja.
  public let text: String
  /// Where it stands, for messages: a file, or a key of one.
  public let place: String
  /// The special tokens' texts by their names in Hugging Face's `tokenizer_config.json`, such as `bos_token`; nil where the file says that there is none.
  public let specialTokens: [String: String?]

  /// Bytes. Real ones have up to some 20 kB; to run one takes a hundred times its length in memory.
  static let longest = 256 << 10

  public init(text: String, place: String, specialTokens: [String: String?] = [:]) {
    self.text = text
    self.place = place
    self.specialTokens = specialTokens
  }
}

extension Checkpoint {
  /// The template that transformers would take: a folder's `chat_template.jinja`, else what its `tokenizer_config.json` says; of a GGUF
  /// `tokenizer.chat_template`. Of several by name the one called default.
  ///
  /// - Returns: nil when none came.
  /// - Throws: for files that can't be read, for several templates without a default, and for one that is longer than any is.
  public func chatTemplate() throws(CheckpointError) -> ChatTemplateFile? {
    guard let template = try foundTemplate() else { return nil }
    guard template.text.utf8.count <= ChatTemplateFile.longest else {
      throw CheckpointError(.unsupported, "\(template.place): has \(template.text.utf8.count) bytes; \(ChatTemplateFile.longest) are the most that make sense for a chat template")
    }
    return template
  }

  private func foundTemplate() throws(CheckpointError) -> ChatTemplateFile? {
    if case .gguf(let metadata)? = companions.tokenizer { return try Self.chatTemplate(metadata, in: files.first?.path) }
    guard let folder = companions.folder else { return nil }
    let config = try TemplateSettings(folder.appending("tokenizer_config.json"))
    let tokens = try TemplateSettings(folder.appending("special_tokens_map.json")).specialTokens.merging(config.specialTokens) { $1 }
    let file = folder.appending("chat_template.jinja")
    if Directory.exists(file) {
      guard let text = String(validating: try LocalFile.contents(of: file, limit: ChatTemplateFile.longest), as: UTF8.self) else { throw CheckpointError(.corrupt, in: file, "isn't UTF-8") }
      return ChatTemplateFile(text: text, place: file.string, specialTokens: tokens)
    }
    guard let text = try config.chatTemplate() else { return nil }
    return ChatTemplateFile(text: text, place: "chat_template of \(config.path)", specialTokens: tokens)
  }

  private static func chatTemplate(_ metadata: GGUFMetadata, in path: FilePath?) throws(CheckpointError) -> ChatTemplateFile? {
    let key = "tokenizer.chat_template"
    if let value = metadata[key] {
      guard let text = value.text else { throw CheckpointError(.corrupt, in: path, "has a \(key) that isn't text") }
      return ChatTemplateFile(text: text, place: "\(key) of \(path?.string ?? "GGUF")", specialTokens: [:])
    }
    let named = metadata.values.keys.filter { $0.hasPrefix(key + ".") }.sorted()
    guard named.isEmpty else { throw severalTemplates(named.map { String($0.dropFirst(key.count + 1)) }, in: path) }
    return nil
  }

  fileprivate static func severalTemplates(_ names: [String], in path: FilePath?) -> CheckpointError {
    CheckpointError(
      .unsupported, in: path, "has the chat templates \(names.joined(separator: ", ")) and none that is the default; choose a format with --format")
  }
}

/// A `tokenizer_config.json` or `special_tokens_map.json`, as far as chat templates need it.
private struct TemplateSettings {
  let path: FilePath
  private let values: [String: JSONValue]
  /// Bytes: with hundreds of added tokens a file has some 100 kB, with thousands a megabyte.
  private static let longest = 4 << 20

  /// Nothing where there is no such file.
  init(_ path: FilePath) throws(CheckpointError) {
    self.path = path
    values = Directory.exists(path) ? try decodeJSONObject(jsonContents(of: LocalFile(path), limit: Self.longest), in: path) : [:]
  }

  /// Those that transformers hands to a template.
  var specialTokens: [String: String?] {
    var tokens: [String: String?] = [:]
    for name in ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"] {
      switch values[name] {
      case .text(let text)?: tokens[name] = .some(text)
      // An added token with its settings.
      case .object(let token)?: if case .text(let text)? = token["content"] { tokens[name] = .some(text) }
      case .null?: tokens[name] = .some(nil)
      default: break
      }
    }
    return tokens
  }

  func chatTemplate() throws(CheckpointError) -> String? {
    switch values["chat_template"] {
    case nil, .null?: return nil
    case .text(let text)?: return text
    case .array(let templates)?:
      var named: [String: String] = [:]
      for template in templates {
        guard case .object(let entry) = template, case .text(let name)? = entry["name"], case .text(let text)? = entry["template"] else {
          throw CheckpointError(.corrupt, in: path, "has a list of chat templates with an entry that isn't a name and a template")
        }
        named[name] = text
      }
      guard let text = named["default"] else { throw Checkpoint.severalTemplates(named.keys.sorted(), in: path) }
      return text
    default: throw CheckpointError(.corrupt, in: path, "has a chat_template that is neither text nor a list of templates")
    }
  }
}
