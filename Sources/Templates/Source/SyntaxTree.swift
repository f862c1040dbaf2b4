/// A template as a tree. Names are those of Jinja2's `nodes.py` where it has one.
struct Expression: Sendable {
  indirect enum Node: Sendable {
    case constant(Value)
    case name(String)
    case list([Expression])
    case tuple([Expression])
    case dictionary([(key: Expression, value: Expression)])
    case not(Expression)
    case negative(Expression)
    case positive(Expression)
    /// A row of sums or of products, from left to right.
    case arithmetic(Expression, [(operation: Arithmetic, operand: Expression)])
    /// `~`: everything printed, one after the other.
    case concatenation([Expression])
    case and([Expression])
    case or([Expression])
    /// `a < b <= c`: each with the one before.
    case comparison(Expression, [(Comparison, Expression)])
    /// `value if test else otherwise`
    case condition(test: Expression, value: Expression, otherwise: Expression?)
    case attribute(Expression, String)
    case item(Expression, Expression)
    case slice(Expression, from: Expression?, to: Expression?, step: Expression?)
    case call(Expression, Arguments)
    /// The operand is nil where a block is filtered.
    case filter(Expression?, String, Arguments)
    case test(Expression, String, Arguments)
  }

  enum Comparison: String, Sendable {
    case equal = "=="
    case notEqual = "!="
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="
    case isIn = "in"
    case notIn = "not in"
  }

  let node: Node
  let line: Int
  /// How deep it is nested; the parser bounds it.
  let depth: Int
}

/// What stands in a call's parentheses.
struct Arguments: Sendable {
  var positional: [Expression] = []
  var named: [(name: String, value: Expression)] = []
  /// `*list` and `**dictionary`
  var rest: Expression?
  var namedRest: Expression?

  var all: [Expression] { positional + named.map(\.value) + [rest, namedRest].compactMap(\.self) }
}

/// What a value is given to.
indirect enum Target: Sendable {
  case name(String)
  case tuple([Target])
  /// `{% set space.name = … %}`
  case attribute(of: String, String)

  /// The variables that get a value.
  var names: [String] {
    switch self {
    case .name(let name): [name]
    case .tuple(let targets): targets.flatMap(\.names)
    case .attribute: []
    }
  }
}

struct Statement: Sendable {
  indirect enum Node: Sendable {
    case text(Text)
    case output(Expression)
    case condition([(test: Expression, body: [Statement])], otherwise: [Statement])
    case loop(Loop)
    case set(Target, Expression)
    /// `{% set name %}…{% endset %}`
    case setBlock(Target, filter: Expression?, [Statement])
    case macro(Macro)
    /// `{% call(…) macro(…) %}…{% endcall %}`: the body is the macro's `caller`.
    case call(Macro, callee: Expression, Arguments)
    case filterBlock(Expression, [Statement])
    case with([(target: Target, value: Expression)], [Statement])
    /// `{% generation %}`, by which transformers marks what the model is to learn.
    case generation([Statement])
    case breakLoop, continueLoop
  }

  let node: Node
  let line: Int
}

struct Loop: Sendable {
  let target: Target
  let iterated: Expression
  /// `{% for x in y if … %}`
  let filter: Expression?
  let isRecursive: Bool
  let body: [Statement]
  let otherwise: [Statement]
}

struct Macro: Sendable {
  /// nil for a call block's body.
  let name: String?
  let parameters: [(name: String, preset: Expression?)]
  let body: [Statement]
  /// Whether the body uses `caller`, `varargs`, `kwargs`, which it gets only then.
  let usesCaller: Bool
  let usesRest: Bool
  let usesNamedRest: Bool
}
