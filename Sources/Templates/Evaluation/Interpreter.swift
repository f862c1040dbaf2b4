/// Runs a template: the variables, what it has printed, and how much it may still take.
///
/// A variable is looked for in the block where it is read, then in those around it as they stand in the source; `if` has no variables of its own.
struct Interpreter {
  struct Scope {
    /// The scope around it, as the template is written.
    let parent: Int?
    var variables: [String: Value] = [:]
  }

  /// A macro, and where it was defined: it sees the variables there.
  struct Closure {
    let macro: Macro
    let scope: Int
  }

  private(set) var scopes: [Scope]
  /// The innermost scope.
  private(set) var scope = 1
  /// The last scope that a macro can still see.
  private var lastSeen = 1
  var namespaces: [Dictionary] = []
  var generators: [Result<[Value], Failure>] = []
  var loops: [LoopState] = []
  private(set) var macros: [Closure] = []

  private(set) var output: [Text.Character] = []
  /// The line of what is evaluated now, for errors.
  private(set) var line = 1
  private let limits: Limits
  let now: Moment
  private let mostSteps: Int
  private var steps = 0
  private var depth = 0

  /// - Parameter inputs: what the template is given beside Jinja's own functions.
  init(inputs: [String: Value], limits: Limits, now: Moment) {
    var globals: [String: Value] = [:]
    for function in Value.Function.allCases { globals[function.rawValue] = .function(function) }
    scopes = [Scope(parent: nil, variables: globals.merging(inputs) { _, input in input }), Scope(parent: 0)]
    self.limits = limits
    let given = inputs.values.reduce(0) { $0.addingUpTo(.max, $1.weight) }
    mostSteps = limits.steps.addingUpTo(.max, given.multipliedUpToMax(by: 100))
    self.now = now
  }

  /// Counts what is about to be gone through.
  mutating func charge(_ count: Int) throws(Failure) {
    steps = steps.addingUpTo(.max, count)
    guard steps <= mostSteps else { throw Failure(kind: .limit, message: "it takes more than \(mostSteps) steps") }
  }

  /// Runs `body` one level deeper.
  mutating func deeper<Result>(at line: Int, _ body: (inout Self) throws(Failure) -> Result) throws(Failure) -> Result {
    self.line = line
    depth += 1
    defer { depth -= 1 }
    guard depth <= limits.depth else { throw Failure(kind: .limit, message: "calls, blocks and expressions are nested more than \(limits.depth) deep") }
    try charge(1)
    return try body(&self)
  }

  /// The steps that count for what is kept until the end: loops, macros, namespaces, generators.
  static let kept = 50

  // MARK: What is printed

  mutating func print(_ text: Text) throws(Failure) {
    try charge(text.count)
    output += text.characters
    guard output.count <= limits.output else { throw Failure(kind: .limit, message: "it makes more than \(limits.output) characters") }
  }

  /// What `body` prints, instead of printing it.
  mutating func captured(_ body: (inout Self) throws(Failure) -> Void) throws(Failure) -> Text {
    let around = output
    output = []
    defer { output = around }
    try body(&self)
    return Text(output)
  }

  // MARK: Variables

  /// The value of a variable.
  func lookUp(_ name: String) throws(Failure) -> Value {
    var place: Int? = scope
    while let at = place {
      if let value = scopes[at].variables[name] { return value }
      place = scopes[at].parent
    }
    guard !["cycler", "joiner", "lipsum", "self"].contains(name) else { throw .unsupported("“\(name)”") }
    return .missing("'\(name)' is undefined")
  }

  mutating func set(_ name: String, _ value: Value) { scopes[scope].variables[name] = value }

  /// Runs `body` with variables of its own.
  /// - Parameter parent: the scope around it; nil for the present one.
  mutating func inScope<Result>(of parent: Int? = nil, _ body: (inout Self) throws(Failure) -> Result) throws(Failure) -> Result {
    try charge(10)
    let around = scope
    let entered = scopes.count
    scopes.append(Scope(parent: parent ?? around))
    scope = entered
    defer {
      scope = around
      // What no macro can see any more goes.
      if lastSeen < entered { scopes.removeLast(scopes.count - entered) }
    }
    return try body(&self)
  }

  /// A macro as a value, which sees the variables that are here now.
  mutating func define(_ macro: Macro) throws(Failure) -> Value {
    try charge(Self.kept)
    lastSeen = max(lastSeen, scope)
    macros.append(Closure(macro: macro, scope: scope))
    return .macro(macros.count - 1)
  }
}
