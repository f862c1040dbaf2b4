import Tokenization

/// A conversation that goes on turn by turn, kept short enough for the model's longest sequence.
public struct Conversation {
  private let format: ChatFormat
  private let tokenizer: any Tokenizer
  private let system: [ChatMessage]
  private let maxSequenceLength: Int
  /// Messages of the user and the model by turns.
  private var turns: [ChatMessage] = []

  /// - Parameters:
  ///   - system: what the model is told before the conversation.
  ///   - maxSequenceLength: tokens; the oldest turns are left out of prompts that would be as long.
  public init(system: String?, format: ChatFormat, tokenizer: any Tokenizer, maxSequenceLength: Int) {
    self.format = format
    self.tokenizer = tokenizer
    self.system = system.map { [ChatMessage(.system, $0)] } ?? []
    self.maxSequenceLength = maxSequenceLength
  }

  /// What was said so far, what the model was told before it first.
  public var messages: [ChatMessage] { system + turns }

  /// Takes what the user says.
  /// - Returns: what to put to the model, and how many of the oldest turns, each a message and its answer, were forgotten for it.
  /// - Throws: when the message can't be put to the model, such as `.reservedTag`; the conversation then is as it was before.
  public mutating func ask(_ text: String) throws(ChatError) -> (prompt: ChatPrompt, forgotten: Int) {
    var asked = turns + [ChatMessage(.user, text)]
    var prompt = try format.prompt(for: system + asked, with: tokenizer)
    var forgotten = 0
    while prompt.tokens.count >= maxSequenceLength, asked.count > 2 {
      asked.removeFirst(2)
      forgotten += 1
      prompt = try format.prompt(for: system + asked, with: tokenizer)
    }
    turns = asked
    return (prompt, forgotten)
  }

  /// Forgets what the user said last, which is not to be answered.
  public mutating func withdraw() { turns.removeLast() }

  /// Takes what the model answered.
  public mutating func append(answer: String) { turns.append(ChatMessage(.assistant, answer)) }
}
