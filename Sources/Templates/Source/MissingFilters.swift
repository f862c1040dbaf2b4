/// Finds filters and tests that don't exist, as Jinja2's compiler does: at once where they stand in the open, and only when they are used where an `if` guards
/// them, so that a template may ask `'name' is filter` first.
struct MissingFilters {
  let filters: Set<String>
  let tests: Set<String>

  /// - Parameter guarded: whether an `if` stands around the statements, with no loop, macro or block between.
  func check(_ statements: [Statement], guarded: Bool = false) throws(TemplateError) {
    for statement in statements {
      let (expressions, bodies) = statement.parts
      var inside = false
      if case .condition = statement.node { inside = true }
      for expression in expressions { try check(expression, guarded: inside || guarded) }
      for body in bodies { try check(body, guarded: inside) }
    }
  }

  private func check(_ expression: Expression, guarded: Bool) throws(TemplateError) {
    switch expression.node {
    case .filter(_, let name, _) where !guarded && !filters.contains(name): throw TemplateError(.syntax, line: expression.line, "there is no filter “\(name)”")
    case .test(_, let name, _) where !guarded && !tests.contains(name): throw TemplateError(.syntax, line: expression.line, "there is no test “\(name)”")
    default: break
    }
    var inside = guarded
    if case .condition = expression.node { inside = true }
    for child in expression.children { try check(child, guarded: inside) }
  }
}
