public import Tokenization

/// How a dialog becomes tokens: the control tokens around the turns, as the model was trained on them.
///
/// What people write is encoded as text, always: only the format itself makes control tokens.
public enum ChatFormat: Sendable, Equatable {
  /// `BOS [INST] user [/INST] answer EOS`, the system message folded into the first turn. Source: Meta's `llama/generation.py`.
  case llama2
  /// `<|start_header_id|>role<|end_header_id|>\n\ncontent<|eot_id|>`. Source: Meta's `llama3/chat_format.py`.
  case llama3
  /// `<|im_start|>role\ncontent<|im_end|>\n`. Some models were trained with a system message where the dialog has none.
  case chatml(defaultSystem: String? = nil)
  /// No control tokens: the messages one after the other, for models that weren't trained to chat.
  case plain

  /// The format by the name that the catalog and `--format` use.
  public init?(named name: String) {
    switch name {
    case "llama2": self = .llama2
    case "llama3": self = .llama3
    case "chatml": self = .chatml()
    case "plain": self = .plain
    default: return nil
    }
  }

  public var name: String {
    switch self {
    case .llama2: "llama2"
    case .llama3: "llama3"
    case .chatml: "chatml"
    case .plain: "plain"
    }
  }

  /// The format that a model's Jinja template writes, told by its control tokens.
  ///
  /// - Returns: nil for templates of other formats, such as Mistral's, which has `[INST]` but no system tags.
  public init?(template: String) {
    if template.contains("<|start_header_id|>") {
      self = .llama3
    } else if template.contains("<|im_start|>") {
      self = .chatml(defaultSystem: Self.defaultSystem(in: template))
    } else if template.contains("[INST]"), template.contains("<<SYS>>") {
      self = .llama2
    } else {
      return nil
    }
  }

  /// The format that a vocabulary was made for: told by its template, else by its control tokens.
  ///
  /// - Returns: nil when it has neither. Llama 2's vocabulary doesn't show whether the model chats.
  public init?(vocabulary: Vocabulary) {
    if let format = vocabulary.chatTemplate.flatMap(Self.init(template:)) {
      self = format
    } else if ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"].allSatisfy({ vocabulary.specials[$0] != nil }) {
      self = .llama3
    } else if ["<|im_start|>", "<|im_end|>"].allSatisfy({ vocabulary.specials[$0] != nil }) {
      self = .chatml()
    } else {
      return nil
    }
  }

  /// The tokens that put `dialog` to the model: what follows them is the answer.
  public func encode(_ dialog: [ChatMessage], with tokenizer: any Tokenizer) throws(ChatError) -> [Int] {
    guard !dialog.isEmpty else { throw .empty }
    switch self {
    case .llama2: return try llama2(dialog, tokenizer)
    case .llama3: return try llama3(dialog, tokenizer)
    case .chatml(let defaultSystem): return try chatml(dialog, tokenizer, defaultSystem)
    case .plain:
      return tokenizer.encode(dialog.map(\.content).joined(separator: "\n"), bos: tokenizer.vocabulary.addsBOS)
    }
  }

  /// The tokens that end an answer.
  public func stopTokens(_ vocabulary: Vocabulary) -> Set<Int> {
    let names: [String] =
      switch self {
      case .llama2, .plain: []
      case .llama3: ["<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"]
      case .chatml: ["<|im_end|>", "<|endoftext|>"]
      }
    return Set(names.compactMap { vocabulary.specials[$0] } + [vocabulary.eos].compactMap(\.self))
  }

  private func token(_ name: String, _ tokenizer: any Tokenizer) throws(ChatError) -> Int {
    guard let id = tokenizer.id(of: name) else { throw .missingToken(name, format: self.name) }
    return id
  }

  private func llama2(_ dialog: [ChatMessage], _ tokenizer: any Tokenizer) throws(ChatError) -> [Int] {
    for (at, message) in dialog.enumerated() {
      for tag in ["[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"] where message.content.utf8.firstRange(of: tag.utf8) != nil {
        throw .reservedTag(tag, message: at + 1)
      }
    }
    guard let bos = tokenizer.vocabulary.bos else { throw .missingToken("BOS", format: name) }
    guard let eos = tokenizer.vocabulary.eos else { throw .missingToken("EOS", format: name) }
    let system = dialog.first?.role == .system ? dialog.first : nil
    let turns = dialog.dropFirst(system == nil ? 0 : 1)
    for (at, message) in turns.enumerated() {
      let expected: ChatMessage.Role = at % 2 == 0 ? .user : .assistant
      guard message.role == expected else { throw .unexpectedRole(message.role, message: turns.startIndex + at + 1, expected: expected) }
    }
    guard let last = turns.last else { throw .empty }
    guard last.role == .user else { throw .unexpectedRole(.assistant, message: dialog.count, expected: .user) }
    var ids: [Int] = []
    for (at, message) in turns.enumerated() where message.role == .user {
      var content = message.content
      if at == 0, let system { content = "<<SYS>>\n\(system.content)\n<</SYS>>\n\n\(content)" }
      var text = "[INST] \(content.strippingPythonWhitespace()) [/INST]"
      let answer = turns.startIndex + at + 1
      if answer < turns.endIndex { text += " \(turns[answer].content.strippingPythonWhitespace()) " }
      ids.append(bos)
      ids += tokenizer.encode(text)
      if answer < turns.endIndex { ids.append(eos) }
    }
    return ids
  }

  private func llama3(_ dialog: [ChatMessage], _ tokenizer: any Tokenizer) throws(ChatError) -> [Int] {
    let start = try token("<|start_header_id|>", tokenizer)
    let end = try token("<|end_header_id|>", tokenizer)
    let endOfTurn = try token("<|eot_id|>", tokenizer)
    guard let bos = tokenizer.vocabulary.bos else { throw .missingToken("BOS", format: name) }
    func header(_ role: ChatMessage.Role) -> [Int] {
      [start] + tokenizer.encode(role == .tool ? "ipython" : role.rawValue) + [end] + tokenizer.encode("\n\n")
    }
    var ids = [bos]
    for message in dialog { ids += header(message.role) + tokenizer.encode(message.content) + [endOfTurn] }
    return ids + header(.assistant)
  }

  private func chatml(_ dialog: [ChatMessage], _ tokenizer: any Tokenizer, _ defaultSystem: String?) throws(ChatError) -> [Int] {
    let start = try token("<|im_start|>", tokenizer)
    let end = try token("<|im_end|>", tokenizer)
    let newline = tokenizer.encode("\n")
    var messages = dialog
    if let defaultSystem, dialog.first?.role != .system { messages.insert(ChatMessage(.system, defaultSystem), at: 0) }
    var ids: [Int] = []
    if tokenizer.vocabulary.addsBOS, let bos = tokenizer.vocabulary.bos { ids.append(bos) }
    for message in messages { ids += [start] + tokenizer.encode("\(message.role.rawValue)\n\(message.content)") + [end] + newline }
    return ids + [start] + tokenizer.encode("assistant\n")
  }

  /// The system message that a ChatML template puts in where a dialog has none, if it is plain text there.
  private static func defaultSystem(in template: String) -> String? {
    guard let start = template.firstRange(of: "<|im_start|>system") else { return nil }
    var rest = template[start.upperBound...]
    if rest.hasPrefix("\\n") { rest = rest.dropFirst(2) } else if rest.first == "\n" { rest = rest.dropFirst() } else { return nil }
    guard let end = rest.firstRange(of: "<|im_end|>") else { return nil }
    let text = rest[..<end.lowerBound]
    // A quote, brace or escape means that the template puts something together here.
    return text.isEmpty || text.contains(where: { "'\"{}\\".contains($0) }) ? nil : String(text)
  }
}

extension String {
  /// Python's `str.strip()`.
  fileprivate func strippingPythonWhitespace() -> String {
    let scalars = unicodeScalars
    guard let first = scalars.firstIndex(where: { !$0.isPythonSpace }), let last = scalars.lastIndex(where: { !$0.isPythonSpace }) else { return "" }
    return String(scalars[first...last])
  }
}
