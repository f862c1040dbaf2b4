public import Tokenization

/// What a model reads: of a dialog, or of a prompt.
public struct ChatPrompt: Sendable, Equatable {
  /// The text, control tokens as they are spelled.
  public let text: String
  public let tokens: [Int]
  /// The control tokens that a message spelled, and that were taken for text.
  public let spelled: [String]

  init(text: String, tokens: [Int], spelled: [String]) {
    self.text = text
    self.tokens = tokens
    self.spelled = spelled
  }

  /// A prompt whose text is told by its tokens.
  public init(of tokens: [Int], with tokenizer: any Tokenizer, spelled: [String] = []) {
    var text = ""
    var run: [Int] = []
    for id in tokens {
      if tokenizer.vocabulary.isControl(id) {
        text += tokenizer.decode(run) + tokenizer.vocabulary.tokens.string(id)
        run = []
      } else {
        run.append(id)
      }
    }
    self.init(text: text + tokenizer.decode(run), tokens: tokens, spelled: spelled)
  }
}
