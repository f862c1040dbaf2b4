import Tokenization

/// The formats that have a name, token for token as Meta's code and ChatML's have them.
extension ChatFormat {
  private func token(_ name: String, _ tokenizer: any Tokenizer) throws(ChatError) -> Int {
    guard let id = tokenizer.vocabulary.id(spelled: name) else { throw .missingToken(name, format: self.name) }
    return id
  }

  private func bos(_ tokenizer: any Tokenizer) throws(ChatError) -> Int {
    guard let bos = tokenizer.vocabulary.bos else { throw .missingToken("BOS", format: name) }
    return bos
  }

  private func ids(_ text: String, _ tokenizer: any Tokenizer) throws(ChatError) -> [Int] {
    do throws(VocabularyError) { return try tokenizer.encode(text) } catch { throw .tokenizer(error) }
  }

  /// Meta's code answers a message that holds one of its tags with an error.
  private func refuse(_ tags: [String], in dialog: [ChatMessage]) throws(ChatError) {
    for (at, message) in dialog.enumerated() {
      for tag in tags where message.content.utf8.firstRange(of: tag.utf8) != nil { throw .reservedTag(tag, message: at + 1) }
    }
  }

  /// The turns behind an optional system message, which the user has begun and ends.
  private func turns(_ dialog: [ChatMessage]) throws(ChatError) -> (system: ChatMessage?, turns: ArraySlice<ChatMessage>) {
    let system = dialog.first?.role == .system ? dialog.first : nil
    let turns = dialog.dropFirst(system == nil ? 0 : 1)
    for (at, message) in turns.enumerated() {
      let expected: ChatMessage.Role = at % 2 == 0 ? .user : .assistant
      guard message.role == expected else { throw .unexpectedRole(message.role, message: turns.startIndex + at + 1, expected: expected) }
    }
    guard let last = turns.last else { throw .empty }
    guard last.role == .user else { throw .unexpectedRole(.assistant, message: dialog.count, expected: .user) }
    return (system, turns)
  }

  private static let tags = ["[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"]

  func llama2(_ dialog: [ChatMessage], _ tokenizer: any Tokenizer) throws(ChatError) -> [Int] {
    try refuse(Self.tags, in: dialog)
    let bos = try bos(tokenizer)
    guard let eos = tokenizer.vocabulary.eos else { throw .missingToken("EOS", format: name) }
    let (system, turns) = try turns(dialog)
    var ids: [Int] = []
    for (at, message) in turns.enumerated() where message.role == .user {
      var content = message.content
      if at == 0, let system { content = "<<SYS>>\n\(system.content)\n<</SYS>>\n\n\(content)" }
      var text = "[INST] \(content.strippingPythonWhitespace()) [/INST]"
      let answer = turns.startIndex + at + 1
      if answer < turns.endIndex { text += " \(turns[answer].content.strippingPythonWhitespace()) " }
      ids.append(bos)
      ids += try self.ids(text, tokenizer)
      if answer < turns.endIndex { ids.append(eos) }
    }
    return ids
  }

  func llama3(_ dialog: [ChatMessage], _ tokenizer: any Tokenizer) throws(ChatError) -> [Int] {
    let start = try token("<|start_header_id|>", tokenizer)
    let end = try token("<|end_header_id|>", tokenizer)
    let endOfTurn = try token("<|eot_id|>", tokenizer)
    func header(_ role: ChatMessage.Role) throws(ChatError) -> [Int] {
      try [start] + self.ids(role == .tool ? "ipython" : role.rawValue, tokenizer) + [end] + self.ids("\n\n", tokenizer)
    }
    var ids = [try bos(tokenizer)]
    for message in dialog { ids += try header(message.role) + self.ids(message.content, tokenizer) + [endOfTurn] }
    return try ids + header(.assistant)
  }

  func codellama70b(_ dialog: [ChatMessage], _ tokenizer: any Tokenizer) throws(ChatError) -> [Int] {
    try refuse(Self.tags + ["<step>"], in: dialog)
    let step = try token("<step>", tokenizer)
    let (system, turns) = try turns(dialog)
    var ids = [try bos(tokenizer)]
    for message in [system ?? ChatMessage(.system, "")] + turns {
      ids += try self.ids(" Source: \(message.role.rawValue)", tokenizer)
      if !message.content.isEmpty { ids += try self.ids("\n\n " + message.content.strippingPythonWhitespace(), tokenizer) }
      ids.append(step)
    }
    return try ids + self.ids(" Source: assistant\nDestination: user", tokenizer) + self.ids("\n\n ", tokenizer)
  }

  func chatml(_ dialog: [ChatMessage], _ tokenizer: any Tokenizer) throws(ChatError) -> [Int] {
    let start = try token("<|im_start|>", tokenizer)
    let end = try token("<|im_end|>", tokenizer)
    let newline = try self.ids("\n", tokenizer)
    var ids: [Int] = []
    if tokenizer.vocabulary.addsBOS, let bos = tokenizer.vocabulary.bos { ids.append(bos) }
    for message in dialog { ids += try [start] + self.ids("\(message.role.rawValue)\n\(message.content)", tokenizer) + [end] + newline }
    return try ids + [start] + self.ids("assistant\n", tokenizer)
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
