/// Judges what is put to a model, and what the model answers.
public protocol Guard {
  /// Judges the last message of `dialog`; those before it are what it is read in the light of.
  func judge(_ dialog: [ChatMessage]) throws -> GuardVerdict
}

/// What a guard says of a message.
public struct GuardVerdict: Sendable, Equatable, Encodable {
  public enum Decision: String, Sendable, Encodable {
    case allow, block
  }

  /// A kind of harm that the message does.
  public struct Category: Sendable, Equatable, Encodable {
    /// Such as `S1`.
    public let code: String
    /// As the guard's prompt calls it; nil where that has no such code.
    public let name: String?

    public init(code: String, name: String?) { (self.code, self.name) = (code, name) }

    public func encode(to encoder: any Encoder) throws {
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encode(code, forKey: .code)
      try container.encode(name, forKey: .name)
    }

    private enum CodingKeys: CodingKey { case code, name }
  }

  /// Whose message it is.
  public let role: ChatMessage.Role
  public let verdict: Decision
  /// How likely the message is unsafe, from 0 to 1; nil where the guard doesn't say.
  public let score: Double?
  public let categories: [Category]
  /// What else there is to say of a message that is blocked: why it couldn't be judged, for one.
  public let reason: String?

  public init(_ role: ChatMessage.Role, _ verdict: Decision, score: Double? = nil, categories: [Category] = [], reason: String? = nil) {
    (self.role, self.verdict, self.score, self.categories, self.reason) = (role, verdict, score, categories, reason)
  }

  /// Why the message is blocked, for a person.
  public var sentence: String {
    let named = categories.map { category in category.name.map { "\(category.code) \($0)" } ?? category.code }.joined(separator: ", ")
    // Rounded down: what is just below the threshold doesn't show as it.
    let scored = score.map { " (score 0.\(String(1000 + min(999, Int($0 * 1000))).dropFirst()))" } ?? ""
    let what = [named, reason ?? ""].filter { !$0.isEmpty }.joined(separator: ": ")
    return (what.isEmpty ? "unsafe" : what) + scored
  }

  /// Every key is written, `null` where there is nothing to say: scripts needn't ask first.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(role, forKey: .role)
    try container.encode(verdict, forKey: .verdict)
    try container.encode(score, forKey: .score)
    try container.encode(categories, forKey: .categories)
    try container.encode(reason, forKey: .reason)
  }

  private enum CodingKeys: CodingKey { case role, verdict, score, categories, reason }
}
