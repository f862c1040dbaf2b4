import Inference

/// What a guard found, for people and in JSON documents.
enum GuardReport {
  /// How an answer ended that there is none of.
  static let blocked = "blocked"

  /// What became of a message.
  static func sentence(_ verdict: GuardVerdict, isAnswer: Bool) -> String {
    isAnswer ? "the guard blocks the answer, which isn't shown: \(verdict.sentence)" : "the guard blocks the message, which isn't put to the model: \(verdict.sentence)"
  }
}
