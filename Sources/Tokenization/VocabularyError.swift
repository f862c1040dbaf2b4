/// Why a vocabulary could not be read or used: what, in which file and where in it.
public struct VocabularyError: Error, Equatable, CustomStringConvertible {
  public enum Reason: Sendable, Equatable {
    /// The file isn't there.
    case missing
    /// The file is there, but the system would not read it.
    case unreadable
    /// Truncated, malformed or contradictory.
    case corrupt
    /// Well formed, but of a kind that isn't supported here.
    case unsupported
  }

  public let reason: Reason
  /// The file, or where the vocabulary came from (`tokenizer.ggml.tokens`).
  public let file: String
  /// A sentence with the place in the file: byte, line, token.
  public let message: String

  public init(_ reason: Reason, in file: String, _ message: String) {
    self.reason = reason
    self.file = file
    self.message = message
  }

  public var description: String { "\(file): \(message)" }
}
