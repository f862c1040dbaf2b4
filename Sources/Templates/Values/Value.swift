/// What a template computes with: Python's values, as far as templates can make them.
///
/// Nothing in them changes, as in Jinja's immutable sandbox, except namespaces, loops and generators, which the ``Interpreter`` keeps by number.
indirect enum Value: Sendable {
  /// What isn't there. It prints as nothing; using it otherwise is the error that it carries.
  case undefined(Missing)
  case none
  case boolean(Bool)
  case integer(Int)
  case number(Double)
  case text(Text)
  case sequence(Items)
  case dictionary(Dictionary)
  /// `namespace(…)`, by its number.
  case namespace(Int)
  /// What `map`, `select` and their like give, by its number: it can be gone through once.
  case generator(Int)
  /// A for loop's `loop`, by its number.
  case loop(Int)
  /// A macro or a call block's body, by its number.
  case macro(Int)
  case function(Function)
  /// A method of a value, not yet called.
  case method(of: Value, Text)

  /// Why a value isn't there.
  struct Missing: Sendable {
    let message: String
  }

  /// What Jinja calls globals.
  enum Function: String, Sendable, CaseIterable {
    case range, dict, namespace
    case raiseException = "raise_exception"
    case strftimeNow = "strftime_now"
  }

  static func list(_ items: [Value]) throws(Failure) -> Value { .sequence(try Items(items, .list)) }
  static func tuple(_ items: [Value]) throws(Failure) -> Value { .sequence(try Items(items, .tuple)) }
  static func text(_ string: String) -> Value { .text(Text(string)) }
  static func missing(_ message: String) -> Value { .undefined(Missing(message: message)) }

  /// What asking a value for an attribute or an item gives that it doesn't have.
  static func missing(_ name: Text, of value: Value) -> Value {
    if case .none = value { return .missing("'None' has no attribute '\(name.string)'") }
    return .missing("'\(value.typeName) object' has no attribute '\(name.string)'")
  }

  /// Python's name of the type, for messages.
  var typeName: String {
    switch self {
    case .undefined: "Undefined"
    case .none: "NoneType"
    case .boolean: "bool"
    case .integer: "int"
    case .number: "float"
    case .text: "str"
    case .sequence(let sequence): sequence.kind.rawValue
    case .dictionary: "dict"
    case .namespace: "Namespace"
    case .generator: "generator"
    case .loop: "LoopContext"
    case .macro: "Macro"
    case .function: "function"
    case .method: "builtin_function_or_method"
    }
  }

  /// How deep lists and dictionaries are nested in it.
  var depth: Int {
    switch self {
    case .sequence(let sequence): sequence.depth
    case .dictionary(let dictionary): dictionary.depth
    case .method(let receiver, _): receiver.depth + 1
    default: 0
    }
  }

  /// The most that lists and dictionaries may be nested.
  static let maximumDepth = 100

  /// How many characters and items whoever goes through all of it meets, at most `Int.max`.
  var weight: Int {
    switch self {
    case .text(let text): text.count
    case .sequence(let sequence): sequence.weight
    case .dictionary(let dictionary): dictionary.weight
    case .method(let receiver, _): receiver.weight
    default: 1
    }
  }
}

/// Items in an order that doesn't change.
struct Items: Sendable {
  /// What Python calls the type.
  enum Kind: String, Sendable {
    case list, tuple, range
    case keys = "dict_keys"
    case values = "dict_values"
    case items = "dict_items"

    /// Whether `x[0]` and slices work.
    var isIndexed: Bool { self == .list || self == .tuple || self == .range }
  }

  let items: [Value]
  let kind: Kind
  let depth: Int
  let weight: Int

  /// - Throws: when that would be nested deeper than ``Value/maximumDepth``.
  init(_ items: [Value], _ kind: Kind) throws(Failure) {
    self.items = items
    self.kind = kind
    depth = 1 + items.reduce(0) { max($0, $1.depth) }
    weight = items.reduce(1) { $0.addingUpTo(Int.max, 1, $1.weight) }
    guard depth <= Value.maximumDepth else { throw .tooDeep }
  }
}

/// Why an expression has no value; whoever catches it knows the line.
struct Failure: Error {
  enum Kind: Sendable { case runtime, unsupported, raised, limit }

  let kind: Kind
  let message: String

  static func runtime(_ message: String) -> Failure { Failure(kind: .runtime, message: message) }
  static func unsupported(_ message: String) -> Failure { Failure(kind: .unsupported, message: message) }
  static let tooDeep = Failure(kind: .limit, message: "lists and dictionaries are nested more than \(Value.maximumDepth) deep")
}

extension Int {
  /// The sum, or `most` where it would be more.
  func addingUpTo(_ most: Int, _ others: Int...) -> Int {
    others.reduce(self) { sum, other in
      let (next, overflow) = sum.addingReportingOverflow(other)
      return overflow ? most : Swift.min(next, most)
    }
  }

  /// The product, or `Int.max` where it would be more. Neither is negative.
  func multipliedUpToMax(by other: Int) -> Int {
    let (product, overflow) = multipliedReportingOverflow(by: other)
    return overflow ? .max : product
  }
}
