public import Tokenization

/// How a dialog becomes tokens: the control tokens around the turns, as the model was trained on them.
///
/// What people write is encoded as text, always: only the format itself makes control tokens.
public enum ChatFormat: Sendable {
  /// What the model's own chat template writes.
  case template(ChatTemplate)
  /// `BOS [INST] user [/INST] answer EOS`, the system message folded into the first turn. Source: Meta's `llama/generation.py`.
  case llama2
  /// `<|start_header_id|>role<|end_header_id|>\n\ncontent<|eot_id|>`. Source: Meta's `llama3/chat_format.py`.
  case llama3
  /// `Source: role\n\n content <step>`. Source: `dialog_prompt_tokens` in Meta's `codellama/llama/generation.py`.
  case codellama70b
  /// `<|im_start|>role\ncontent<|im_end|>\n`.
  case chatml

  /// The formats that have a name of their own, as the catalog and `--format` use it.
  public static let named: [String: ChatFormat] = ["llama2": .llama2, "llama3": .llama3, "codellama70b": .codellama70b, "chatml": .chatml]

  public var name: String {
    switch self {
    case .template: "template"
    case .llama2: "llama2"
    case .llama3: "llama3"
    case .codellama70b: "codellama70b"
    case .chatml: "chatml"
    }
  }

  /// What puts `dialog` to the model: what follows it is the answer.
  public func prompt(for dialog: [ChatMessage], with tokenizer: any Tokenizer) throws(ChatError) -> ChatPrompt {
    guard !dialog.isEmpty else { throw .empty }
    let tokens: [Int]
    switch self {
    case .template(let template): return try template.prompt(for: dialog, with: tokenizer)
    case .llama2: tokens = try llama2(dialog, tokenizer)
    case .llama3: tokens = try llama3(dialog, tokenizer)
    case .codellama70b: tokens = try codellama70b(dialog, tokenizer)
    case .chatml: tokens = try chatml(dialog, tokenizer)
    }
    return ChatPrompt(of: tokens, with: tokenizer, spelled: spelled(dialog, tokenizer.vocabulary))
  }

  /// The tokens that end an answer, beside those that end any text of the model.
  public func stopTokens(_ vocabulary: Vocabulary) -> Set<Int> {
    let names: [String] =
      switch self {
      case .template, .llama2: []
      case .llama3: ["<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"]
      case .codellama70b: ["<step>"]
      case .chatml: ["<|im_end|>", "<|endoftext|>"]
      }
    return Set(names.compactMap { vocabulary.id(spelled: $0) })
  }

  /// The control tokens that messages spell: text to the model, since messages are encoded apart from the format.
  private func spelled(_ dialog: [ChatMessage], _ vocabulary: Vocabulary) -> [String] {
    vocabulary.specials.keys.filter { token in dialog.contains { $0.content.utf8.firstRange(of: token.utf8) != nil } }.sorted()
  }
}
