import Inference
import Terminal

/// What a model reads, as JSON documents have it.
struct PromptReport: Encodable {
  let text: String
  let tokens: [Int]
  /// The control tokens that a message spelled, and that were taken for text.
  let spelled: [String]

  init(_ prompt: ChatPrompt) { (text, tokens, spelled) = (prompt.text, prompt.tokens, prompt.spelled) }

  /// Shows it to a person.
  func show() {
    Console.note("the model reads: \(text)")
    Console.note("as the tokens: \(tokens.map { "\($0)" }.joined(separator: " "))")
    if !spelled.isEmpty { Console.note("a message spells \(spelled.joined(separator: ", ")): to the model that is text, not a control token") }
  }
}
