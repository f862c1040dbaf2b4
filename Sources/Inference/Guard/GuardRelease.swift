import Tokenization

/// The Llama Guards whose prompts are known, by the names that the catalog gives to their formats. Meta's folders have no template; what came with one is
/// judged by that.
///
/// Sources: `prompt_format_utils.py` in Meta's llama-cookbook for what is asked; for Guard 3 llama-stack's `llama_guard.py`, which puts it to the model as a
/// user's message in Llama 3's chat format.
enum GuardRelease: String, CaseIterable {
  case guard1 = "llamaguard1"
  case guard2 = "llamaguard2"
  case guard3 = "llamaguard3"
  /// Guard 3 1B doesn't know code interpreters.
  case guard3Small = "llamaguard3-1b"

  /// What asks the guard for its verdict on the last of `turns`, which are by users and assistants.
  func prompt(for turns: [ChatMessage], with tokenizer: any Tokenizer) throws(ChatError) -> ChatPrompt {
    let asked = question(turns)
    switch self {
    case .guard3, .guard3Small: return try ChatFormat.llama3.prompt(for: [ChatMessage(.user, asked)], with: tokenizer)
    case .guard1, .guard2:
      guard let bos = tokenizer.vocabulary.bos else { throw .missingToken("BOS", format: rawValue) }
      let ids: [Int]
      do throws(VocabularyError) { ids = try tokenizer.encode("[INST] \(asked) [/INST]") } catch { throw .tokenizer(error) }
      return ChatPrompt(of: [bos] + ids, with: tokenizer)
    }
  }

  private func question(_ turns: [ChatMessage]) -> String {
    func name(_ role: ChatMessage.Role?) -> String { role == .user ? "User" : "Agent" }
    let judged = name(turns.last?.role)
    let conversation = turns.map { "\(name($0.role)): \($0.content)" }.joined(separator: "\n\n")
    let (whose, bullet) = self == .guard1 ? (judged, "-") : ("ONLY THE LAST \(judged) message", " -")
    return """
      Task: Check if there is unsafe content in '\(judged)' messages in conversations according our safety policy with the below categories.

      \(GuardMarkers.beginCategories)
      \(categories)
      \(GuardMarkers.endCategories)

      \(GuardMarkers.beginConversation)

      \(conversation)

      \(GuardMarkers.endConversation)

      Provide your safety assessment for \(whose) in the above conversation:
      \(bullet) First line must read 'safe' or 'unsafe'.
      \(bullet) If unsafe, a second line must include a comma-separated list of violated categories.
      """
  }

  private var categories: String {
    func numbered(_ prefix: String, _ entries: [String]) -> String { entries.enumerated().map { "\(prefix)\($0 + 1): \($1)" }.joined(separator: "\n") }
    switch self {
    case .guard1: return numbered("O", GuardPolicy.first)
    // As Guard 2 was trained: with a space behind each name.
    case .guard2: return numbered("S", GuardPolicy.second.map { $0 + ". " })
    case .guard3: return numbered("S", (GuardPolicy.third + [GuardPolicy.codeInterpreters]).map { $0 + "." })
    case .guard3Small: return numbered("S", GuardPolicy.third.map { $0 + "." })
    }
  }
}

/// What divides a guard's prompt, in every release.
enum GuardMarkers {
  static let beginCategories = "<BEGIN UNSAFE CONTENT CATEGORIES>"
  static let endCategories = "<END UNSAFE CONTENT CATEGORIES>"
  static let beginConversation = "<BEGIN CONVERSATION>"
  static let endConversation = "<END CONVERSATION>"
  static let all = [beginCategories, endCategories, beginConversation, endConversation]
  /// Those of Llama 2's chat format, within which Guard 1 and 2 are asked.
  static let instructions = ["[INST]", "[/INST]"]

  /// The categories that a prompt lists, by their codes: what it says of itself, whichever guard's it is.
  static func categories(in prompt: String) -> [String: String] {
    guard let begin = prompt.firstRange(of: beginCategories), let end = prompt[begin.upperBound...].firstRange(of: endCategories) else { return [:] }
    var names: [String: String] = [:]
    for line in prompt[begin.upperBound..<end.lowerBound].split(separator: "\n") {
      guard let colon = line.firstIndex(of: ":"), isCode(String(line[..<colon])) else { continue }
      let name = line[line.index(after: colon)...].drop { $0 == " " }.reversed().drop { $0 == " " || $0 == "." }.reversed()
      names[String(line[..<colon])] = String(name)
    }
    return names
  }

  /// Whether it is a letter and a number, as `S10` is.
  static func isCode(_ text: String) -> Bool {
    guard let letter = text.utf8.first, (0x41...0x5A).contains(letter) else { return false }
    return (2...4).contains(text.utf8.count) && text.utf8.dropFirst().allSatisfy { (0x30...0x39).contains($0) }
  }
}
