/// Going through a tree: for the names that a macro uses, the filters that must exist, and the text that a template spells.
extension Expression {
  /// The expressions right below this one.
  var children: [Expression] {
    switch node {
    case .constant, .name: []
    case .list(let items), .tuple(let items), .concatenation(let items), .and(let items), .or(let items): items
    case .dictionary(let pairs): pairs.flatMap { [$0.key, $0.value] }
    case .not(let operand), .negative(let operand), .positive(let operand), .attribute(let operand, _): [operand]
    case .arithmetic(let first, let rest): [first] + rest.map(\.operand)
    case .comparison(let first, let rest): [first] + rest.map(\.1)
    case .condition(let test, let value, let otherwise): [test, value] + [otherwise].compactMap(\.self)
    case .item(let operand, let index): [operand, index]
    case .slice(let operand, let from, let to, let step): [operand] + [from, to, step].compactMap(\.self)
    case .call(let callee, let arguments): [callee] + arguments.all
    case .filter(let operand, _, let arguments): [operand].compactMap(\.self) + arguments.all
    case .test(let operand, _, let arguments): [operand] + arguments.all
    }
  }

  /// Calls `body` for this expression and all below it.
  func walk(_ body: (Expression) -> Void) {
    body(self)
    for child in children { child.walk(body) }
  }
}

extension Statement {
  /// The expressions and the bodies right below this one.
  var parts: (expressions: [Expression], bodies: [[Statement]]) {
    switch node {
    case .text, .breakLoop, .continueLoop: ([], [])
    case .output(let expression): ([expression], [])
    case .condition(let branches, let otherwise): (branches.map(\.test), branches.map(\.body) + [otherwise])
    case .loop(let loop): ([loop.iterated] + [loop.filter].compactMap(\.self), [loop.body, loop.otherwise])
    case .set(_, let value): ([value], [])
    case .setBlock(_, let filter, let body): ([filter].compactMap(\.self), [body])
    case .macro(let macro): (macro.parameters.compactMap(\.preset), [macro.body])
    case .call(let macro, let callee, let arguments): (macro.parameters.compactMap(\.preset) + [callee] + arguments.all, [macro.body])
    case .filterBlock(let filter, let body): ([filter], [body])
    case .with(let values, let body): (values.map(\.value), [body])
    case .generation(let body): ([], [body])
    }
  }
}

extension [Statement] {
  /// Calls `statement` and `expression` for all that is in the statements.
  func walk(statement visit: (Statement) -> Void = { _ in }, expression: (Expression) -> Void) {
    for statement in self {
      visit(statement)
      let (expressions, bodies) = statement.parts
      for part in expressions { part.walk(expression) }
      for body in bodies { body.walk(statement: visit, expression: expression) }
    }
  }

  /// The variables that are read anywhere in the statements.
  var namesUsed: Set<String> {
    var names: Set<String> = []
    walk { if case .name(let name) = $0.node { names.insert(name) } }
    return names
  }

  /// All text that the template spells: outside of tags, and in its strings.
  var literals: [Text] {
    var literals: [Text] = []
    walk(
      statement: { if case .text(let text) = $0.node { literals.append(text) } },
      expression: { if case .constant(.text(let text)) = $0.node { literals.append(text) } })
    return literals
  }
}
