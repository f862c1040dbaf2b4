/// A piece of a template's source.
struct Token: Sendable {
  enum Kind: Sendable, Equatable {
    /// What stands outside of tags.
    case text(Text)
    case beginStatement, endStatement
    case beginOutput, endOutput
    case name(String)
    case string(Text)
    case integer(Int)
    case float(Double)
    /// An operator or a bracket, as it is written.
    case symbol(String)
    case end
  }

  let kind: Kind
  /// Counted from 1.
  let line: Int

  /// The token for messages.
  var description: String {
    switch kind {
    case .text: "text"
    case .beginStatement: "{%"
    case .endStatement: "%}"
    case .beginOutput: "{{"
    case .endOutput: "}}"
    case .name(let name): name
    case .string: "a string"
    case .integer, .float: "a number"
    case .symbol(let symbol): symbol
    case .end: "the end of the template"
    }
  }
}
