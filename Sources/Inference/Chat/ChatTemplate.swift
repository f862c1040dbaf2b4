import Checkpoint
public import Templates
public import Tokenization

/// A model's own chat template: the program that puts a dialog to the model as it was trained.
///
/// What people typed never becomes a control token, however it is spelled; BOS stands only where the template writes it.
public struct ChatTemplate: Sendable {
  private let template: Template
  /// Where the template stands, for messages.
  public let place: String
  private let specialTokens: [String: String]
  /// What `strftime_now` shows.
  private let now: Moment

  /// - Throws: `ChatError.template` when the template isn't one.
  public init(_ file: ChatTemplateFile, vocabulary: Vocabulary, now: Moment) throws(ChatError) {
    place = file.place
    do throws(TemplateError) { template = try Template(file.text) } catch { throw .template(place: file.place, error) }
    self.now = now
    var tokens = file.specialTokens
    // The classes of tokenizers that SentencePiece and GGUF have give their own names to what the file doesn't name.
    if vocabulary.model == .sentencePiece || file.specialTokens.isEmpty {
      for (name, id) in [("bos_token", vocabulary.bos), ("eos_token", vocabulary.eos), ("unk_token", vocabulary.unknown)] where tokens[name] == nil {
        if let id { tokens[name] = .some(vocabulary.tokens.string(id)) }
      }
    }
    specialTokens = tokens.compactMapValues(\.self)
  }

  /// Whether the template's own text has `text` in it.
  func spells(_ text: String) -> Bool { template.literals.contains { $0.utf8.firstRange(of: text.utf8) != nil } }

  /// What the model reads of `dialog`: what follows is the answer.
  func prompt(for dialog: [ChatMessage], with tokenizer: any Tokenizer) throws(ChatError) -> ChatPrompt {
    try prompt(of: render(dialog), with: tokenizer)
  }

  /// The same for a template that may want each content as a list of parts, `[{"type": "text", "text": …}]`, and makes nothing of one that is text.
  /// - Returns: nil where messages don't come in either way.
  func promptOfTextOrParts(for dialog: [ChatMessage], with tokenizer: any Tokenizer) throws(ChatError) -> ChatPrompt? {
    // What it makes of contents that can be seen.
    let probe = dialog.map { ChatMessage($0.role, "x") }
    func comesIn(asParts: Bool) -> Bool { (try? render(probe, asParts: asParts))?.typed.isEmpty == false }
    let takesText = comesIn(asParts: false)
    let rendered = try render(dialog, asParts: !takesText)
    return takesText || comesIn(asParts: true) ? try prompt(of: rendered, with: tokenizer) : nil
  }

  private func render(_ dialog: [ChatMessage], asParts: Bool = false) throws(ChatError) -> Text {
    do throws(TemplateError) { return try template.render(inputs(dialog, asParts: asParts), now: now) } catch { throw .template(place: place, error) }
  }

  private func prompt(of rendered: Text, with tokenizer: any Tokenizer) throws(ChatError) -> ChatPrompt {
    let text = rendered.string
    var typed = TypedBytes(rendered.typed, of: text.utf8.count, controls: controls(tokenizer.vocabulary))
    let tokens: [Int]
    do throws(VocabularyError) { tokens = try tokenizer.encode(text, typed: &typed) } catch { throw .tokenizer(error) }
    return ChatPrompt(text: text, tokens: tokens, spelled: typed.spelled.map { tokenizer.vocabulary.tokens.string($0) })
  }

  /// The variables that transformers gives a template.
  private func inputs(_ dialog: [ChatMessage], asParts: Bool) -> [String: TemplateInput] {
    let messages = dialog.map { message in
      let text = TemplateInput.text(Text(message.content, typed: true))
      let content: TemplateInput = asParts ? .list([TemplateInput.object([("type", .text(Text("text"))), ("text", text)])]) : text
      return TemplateInput.object([("role", .text(Text(message.role.rawValue))), ("content", content)])
    }
    var inputs = specialTokens.mapValues { TemplateInput.text(Text($0)) }
    inputs["messages"] = .list(messages)
    inputs["tools"] = .null
    inputs["documents"] = .null
    inputs["add_generation_prompt"] = .boolean(true)
    return inputs
  }

  /// The tokens that what is typed never becomes: the special ones, those that end a text, and those that the template spells itself.
  private func controls(_ vocabulary: Vocabulary) -> Set<Int> {
    var controls = Set(vocabulary.specials.values)
    controls.formUnion([vocabulary.bos, vocabulary.eos, vocabulary.eot].compactMap(\.self))
    for (id, kind) in vocabulary.kinds.enumerated() where kind == .userDefined {
      let spelling = vocabulary.tokens.string(id)
      if template.literals.contains(where: { $0.utf8.firstRange(of: spelling.utf8) != nil }) { controls.insert(id) }
    }
    return controls
  }
}
