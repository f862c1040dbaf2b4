public import FoundationEssentials
public import Templates
import Tokenization

/// One turn of a dialog, in the JSON of the reference: `{"role": "user", "content": "…"}`.
public struct ChatMessage: Sendable, Equatable, Encodable {
  public enum Role: String, Sendable, Codable, CaseIterable {
    case system, user, assistant
    /// What a tool answered; Llama 3 calls it `ipython`.
    case tool
  }

  public var role: Role
  public var content: String

  public init(_ role: Role, _ content: String) {
    self.role = role
    self.content = content
  }

  /// Reads a JSON file of dialogs: an array of arrays of messages.
  ///
  /// - Parameter file: the name that errors carry.
  public static func dialogs(json: Data, file: String) throws(ChatError) -> [[ChatMessage]] {
    func place(_ path: [any CodingKey]) -> String {
      let names = ["dialog", "message"]
      return path.enumerated().map { at, key in
        if let index = key.intValue { "\(at < names.count ? names[at] : "element") \(index + 1)" } else { "“\(key.stringValue)”" }
      }.joined(separator: ", ")
    }
    do {
      return try JSONDecoder().decode([[Decoded]].self, from: json).map { $0.map(\.message) }
    } catch let error as NotText {
      throw .malformed(file: file, "\(place(error.path)): \(error.what)")
    } catch DecodingError.keyNotFound(let key, let context) {
      throw .malformed(file: file, "\(place(context.codingPath)) has no “\(key.stringValue)”")
    } catch DecodingError.dataCorrupted(let context) where context.codingPath.last?.stringValue == "role" {
      throw .malformed(file: file, "\(place(context.codingPath)) is none of \(Role.allCases.map(\.rawValue).joined(separator: ", "))")
    } catch DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context) {
      let where_ = context.codingPath.isEmpty ? "the document" : place(context.codingPath)
      throw .malformed(file: file, "\(where_) is not what a list of dialogs has there")
    } catch {
      throw .malformed(file: file, "this is not JSON")
    }
  }
}

/// A message as a file has it: nothing that it says is left out in silence.
private struct Decoded: Decodable {
  let message: ChatMessage

  private struct Key: CodingKey {
    let stringValue: String
    let intValue: Int? = nil
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: Key.self)
    let role = Key(stringValue: "role")
    let content = Key(stringValue: "content")
    let spelled = try values.decode(ChatMessage.Role.self, forKey: role)
    if values.contains(content), (try? values.decode(String.self, forKey: content)) == nil {
      throw NotText(path: decoder.codingPath, what: "its content isn't text, and drover gives a model nothing else to read")
    }
    message = ChatMessage(spelled, try values.decode(String.self, forKey: content))
    for key in values.allKeys where key.stringValue != "role" && key.stringValue != "content" {
      guard try !values.decodeNil(forKey: key) else { continue }
      throw NotText(path: decoder.codingPath, what: "it has “\(key.stringValue)”, which drover gives to no model; a message is a role and a content")
    }
  }
}

/// A message that holds what no model is given.
private struct NotText: Error {
  let path: [any CodingKey]
  let what: String
}

/// Why a dialog can't be put to a model.
public enum ChatError: Error, Equatable, CustomStringConvertible {
  /// A dialog without a message to answer.
  case empty
  /// A message is not of the role that must come there; counted from 1.
  case unexpectedRole(ChatMessage.Role, message: Int, expected: ChatMessage.Role)
  /// A message contains one of the tags that the format itself is made of; counted from 1.
  case reservedTag(String, message: Int)
  /// The vocabulary has no such control token, so the model doesn't know the format.
  case missingToken(String, format: String)
  /// The model's own chat template can't be read, refuses the messages, or fails on them.
  case template(place: String, TemplateError)
  /// A guard's template that the messages don't come in.
  case withoutMessages(place: String)
  /// A file of dialogs that isn't one.
  case malformed(file: String, String)
  /// The tokenizer can't take a message.
  case tokenizer(VocabularyError)

  public var description: String {
    switch self {
    case .empty: "the dialog has no message from a user"
    case .unexpectedRole(let role, let message, let expected):
      "message \(message) is from “\(role.rawValue)” where one from “\(expected.rawValue)” must come: after an optional system message, user and assistant take turns, and the user has the last word"
    case .reservedTag(let tag, let message): "message \(message) contains “\(tag)”; special tags are not allowed as part of the prompt"
    case .missingToken(let token, let format):
      "the tokenizer has no token \(token), which the \(format) format needs; choose another with --format"
    case .template(let place, let error): "\(place): \(error)\(error.kind == .raised ? "" : "; choose a format with --format, if you know this model's")"
    case .withoutMessages(let place): "\(place): the messages don't come into what it makes, so nothing can be judged by it"
    case .tokenizer(let error): "\(error)"
    case .malformed(let file, let what): "\(file): \(what); expected is [[{\"role\": \"user\", \"content\": \"…\"}]]"
    }
  }
}
