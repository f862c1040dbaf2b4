import Checkpoint
import Glibc
public import Templates
import Tokenization

/// A Llama Guard: a model that is asked whether a message is safe, and answers `safe`, or `unsafe` and the categories of harm.
///
/// The score is the probability of the token that begins `unsafe`, where the answer begins: Meta's model cards take it for that of an unsafe message.
public final class GuardModel: Guard {
  /// How the guard is asked.
  private enum Format {
    case template(ChatTemplate)
    case release(GuardRelease)
  }

  private let model: LanguageModel
  private let format: Format
  private let threshold: Double
  private let words: Words
  /// How it is asked, for messages.
  public let formatName: String

  /// Tokens of an answer, beside those that begin it: Guard 3's longest, all categories in one line, has some 60.
  private static let longestAnswer = 96

  /// - Parameters:
  ///   - name: the model's, for errors.
  ///   - release: the format that the catalog gives to the release; nil where it knows none. Only asked where no template came with the weights.
  ///   - threshold: a message with this score or more is blocked.
  /// - Throws: ``GuardError`` for a model that isn't a guard whose prompt is known; what reading its template throws.
  public init(_ model: LanguageModel, name: String, release: String?, threshold: Double, now: Moment) throws {
    self.model = model
    self.threshold = threshold
    if case .template(let template)? = try model.templateFormat(now: now) {
      guard let missing = GuardMarkers.all.first(where: { !template.spells($0) }) else {
        format = .template(template)
        formatName = "the guard's own template, \(template.place)"
        words = try Words(model.tokenizer, name: name)
        return
      }
      throw GuardError.otherTemplate(name: name, place: template.place, missing: missing)
    }
    guard let release = release.flatMap({ GuardRelease(rawValue: $0) }) else { throw GuardError.unknown(name: name) }
    format = .release(release)
    formatName = "\(release.rawValue), as Meta's code for this release writes it"
    words = try Words(model.tokenizer, name: name)
  }

  public func judge(_ dialog: [ChatMessage]) throws -> GuardVerdict {
    // What the operator tells the model is not the guard's to judge, and none of them knows such a turn.
    let turns = dialog.filter { $0.role != .system }
    guard let role = turns.last?.role else { throw ChatError.empty }
    func block(_ reason: String) -> GuardVerdict { GuardVerdict(role, .block, reason: reason) }

    if let tool = turns.first(where: { $0.role == .tool }) { return block("a guard judges users and assistants, and no message from “\(tool.role.rawValue)”") }
    for marker in markers where turns.contains(where: { $0.content.utf8.firstRange(of: marker.utf8) != nil }) {
      return block("it spells \(marker), which divides the guard's own prompt, so it can't be judged")
    }
    let prompt: ChatPrompt
    do throws(ChatError) { prompt = try self.prompt(for: turns) } catch {
      // A conversation that the guard's template refuses can't be judged; what is wrong with the template is another matter.
      guard case .template(_, let refusal) = error, refusal.kind == .raised else { throw error }
      return block("it can't be judged: \(error)")
    }
    guard prompt.tokens.count + Self.longestAnswer <= model.transformer.maxSequenceLength else {
      return block("with what came before, it makes \(prompt.tokens.count) tokens, more than the guard reads; raise --max-seq-len")
    }
    let answer = try self.answer(to: prompt.tokens)
    guard answer.isOneOfTwo else {
      return GuardVerdict(role, .block, score: answer.score, reason: "the guard answers “\(answer.text)” where “safe” or “unsafe” must come")
    }
    guard answer.score >= threshold else { return GuardVerdict(role, .allow, score: answer.score) }
    let names = GuardMarkers.categories(in: prompt.text)
    let categories = try self.categories(behind: answer.unsafe, at: answer.position).map { GuardVerdict.Category(code: $0, name: names[$0]) }
    return GuardVerdict(role, .block, score: answer.score, categories: categories)
  }

  /// What the guard reads of a conversation of users and assistants.
  package func prompt(for turns: [ChatMessage]) throws(ChatError) -> ChatPrompt {
    switch format {
    case .release(let release): return try release.prompt(for: turns, with: model.tokenizer)
    case .template(let template):
      guard let prompt = try template.promptOfTextOrParts(for: turns, with: model.tokenizer) else { throw .withoutMessages(place: template.place) }
      return prompt
    }
  }

  /// What a message mustn't spell: the guard would take it for an end of the conversation.
  private var markers: [String] {
    switch format {
    case .release(.guard3), .release(.guard3Small): GuardMarkers.all
    case .release(.guard1), .release(.guard2): GuardMarkers.all + GuardMarkers.instructions
    case .template(let template): GuardMarkers.all + GuardMarkers.instructions.filter(template.spells)
    }
  }

  // MARK: The answer

  /// The tokens of the two answers, by those that they begin with: with a space before the word, and without.
  private struct Words {
    let safe: [Int: [Int]]
    let unsafe: [Int: [Int]]

    init(_ tokenizer: any Tokenizer, name: String) throws {
      func spelled(_ word: String) throws -> [Int: [Int]] {
        var found: [Int: [Int]] = [:]
        for text in [" " + word, word] {
          let tokens = try Array(tokenizer.encode(text).drop { Self.isBlank($0, tokenizer) })
          if let first = tokens.first { found[first] = tokens }
        }
        return found
      }
      safe = try spelled("safe")
      unsafe = try spelled("unsafe")
      guard !safe.isEmpty, !unsafe.isEmpty, safe.keys.allSatisfy({ unsafe[$0] == nil }) else { throw GuardError.words(name: name) }
    }

    /// Whether a token shows as white space and nothing else.
    static func isBlank(_ id: Int, _ tokenizer: any Tokenizer) -> Bool {
      let bytes = tokenizer.bytes(of: id)
      return !bytes.isEmpty && bytes.allSatisfy { $0 == 0x20 || (0x09...0x0D).contains($0) }
    }
  }

  private struct Answer {
    let score: Double
    /// Whether one of the two words is the likeliest.
    let isOneOfTwo: Bool
    /// How it begins.
    let text: String
    /// The tokens of “unsafe”, as the guard would rather spell it.
    let unsafe: [Int]
    /// How many tokens come before it.
    let position: Int
  }

  /// The beginning of the guard's answer. White space before it is passed over: Guard 3 begins with a line break where its prompt doesn't end in one.
  private func answer(to prompt: [Int]) throws -> Answer {
    let known = model.transformer.params.vocabularySize
    for id in prompt + words.unsafe.values.joined() where !(0..<known).contains(id) { throw InferenceError.unknownToken(id: id, vocabulary: known) }
    var last = read(prompt, at: 0)
    var position = prompt.count
    for _ in 0..<4 {
      let (score, token, unsafe) = try next(last)
      guard Words.isBlank(token, model.tokenizer) else {
        let isOneOfTwo = words.unsafe[token] != nil || words.safe[token] != nil
        return Answer(score: score, isOneOfTwo: isOneOfTwo, text: model.tokenizer.decode([token], keepingSpecials: true), unsafe: words.unsafe[unsafe] ?? [], position: position)
      }
      last = read([token], at: position)
      position += 1
    }
    return Answer(score: 0, isOneOfTwo: false, text: "", unsafe: [], position: position)
  }

  /// How likely “unsafe” comes next, which token does, and which of those that “unsafe” begins with is the likeliest.
  private func next(_ row: Int) throws -> (score: Double, token: Int, unsafe: Int) {
    var (score, token, unsafe) = (0.0, 0, 0)
    try model.transformer.withLogits(of: [row]) { _, logits in
      let sum = model.transformer.logSumExp(logits)
      score = words.unsafe.keys.reduce(0) { $0 + Double(exp(logits[$1] - sum)) }
      token = Sampler.argmax(logits)
      unsafe = words.unsafe.keys.max { (logits[$0], $1) < (logits[$1], $0) } ?? 0
    }
    return (min(1, score), token, unsafe)
  }

  /// The codes of the categories that the guard names on the line behind `unsafe`, which starts at `position`.
  private func categories(behind unsafe: [Int], at position: Int) throws -> [String] {
    var last = read(unsafe, at: position)
    var decoder = StreamingDecoder(model.tokenizer, continuing: true)
    var text = ""
    for end in (position + unsafe.count)..<(position + Self.longestAnswer) {
      let token = try next(last).token
      guard !model.stopTokens.contains(token) else { break }
      text += decoder.append(token)
      last = read([token], at: end)
    }
    text += decoder.finish()
    guard let line = text.split(whereSeparator: \.isNewline).first(where: { $0.contains { !$0.isWhitespace } }) else { return [] }
    return line.split(separator: ",").map { String($0.filter { !$0.isWhitespace }) }.filter(GuardMarkers.isCode)
  }

  /// Reads tokens behind those that were read before.
  /// - Returns: the row of the last one.
  private func read(_ tokens: [Int], at position: Int) -> Int {
    let most = model.transformer.maxRows
    var rows = 0
    for start in stride(from: 0, to: tokens.count, by: most) {
      let pass = start..<min(start + most, tokens.count)
      model.transformer.forward(pass.map { Transformer.Row(token: tokens[$0], slot: 0, position: position + $0, length: position + tokens.count) })
      rows = pass.count
    }
    return rows - 1
  }
}

/// Why a model can't be a guard.
public enum GuardError: Error, Equatable, CustomStringConvertible {
  /// Neither a template nor the catalog says how it is asked.
  case unknown(name: String)
  /// It has a template, of something else.
  case otherTemplate(name: String, place: String, missing: String)
  /// Its tokenizer can't tell the answers apart by their first token.
  case words(name: String)

  public var description: String {
    switch self {
    case .unknown(let name):
      "\(name): this is no Llama Guard whose prompt is known: no chat template came with it, and by its receipt and its folder's name it is none of the releases \(GuardError.known); --guard-command takes any other classifier"
    case .otherTemplate(let name, let place, let missing):
      "\(name): this is no Llama Guard: its chat template (\(place)) has no \(missing); --guard-command takes any other classifier"
    case .words(let name): "\(name): its tokenizer begins “safe” and “unsafe” with the same token, so its answers can't be scored"
    }
  }

  private static let known = "llama-guard, llama-guard-2, Llama-Guard-3-8B and Llama-Guard-3-1B"
}
