/// Where a document isn't JSON, or isn't what was expected, and why.
package struct JSONError: Error, Equatable {
  package enum Kind {
    /// It isn't JSON, or not of the form that was asked for.
    case malformed
    /// It is, and says two different things of one.
    case contradiction
  }

  package let kind: Kind
  /// Of the document, from 0.
  package let byte: Int
  /// What is wrong there; of a contradiction a sentence about the document.
  package let message: String

  package init(_ kind: Kind, byte: Int, _ message: String) { (self.kind, self.byte, self.message) = (kind, byte, message) }

  /// A sentence about the document.
  package var sentence: String { kind == .contradiction ? message : "isn't valid JSON: \(message)" }
}
