/// Why a template can't be read, or makes no text of a dialog.
public struct TemplateError: Error, Sendable, Equatable, CustomStringConvertible {
  public enum Kind: Sendable {
    /// Not the Jinja that chat templates are written in.
    case syntax
    /// It is, but drover doesn't have it.
    case unsupported
    /// The template itself refuses the dialog: its `raise_exception`.
    case raised
    /// Something that the template does fails, as it would in Python.
    case runtime
    /// It takes more steps, depth or text than a template may.
    case limit
  }

  public let kind: Kind
  /// Counted from 1.
  public let line: Int
  public let message: String

  public init(_ kind: Kind, line: Int, _ message: String) {
    self.kind = kind
    self.line = line
    self.message = message
  }

  public var description: String {
    switch kind {
    case .syntax: "line \(line) of the chat template: \(message)"
    case .unsupported: "line \(line) of the chat template uses what drover doesn't have: \(message)"
    case .raised: "the chat template refuses these messages (line \(line)): \(message)"
    case .runtime: "line \(line) of the chat template fails: \(message)"
    case .limit: "line \(line) of the chat template: \(message), which is more than a template may"
    }
  }
}
