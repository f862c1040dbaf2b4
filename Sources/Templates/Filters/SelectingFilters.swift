extension FilterTable {
  /// Filters that apply another filter or a test to each item.
  static let selectingFilters: [String: Filter] = [
    "select": { (run, value, arguments) throws(Failure) in try run.selected(value, arguments, byAttribute: false, keeping: true) },
    "reject": { (run, value, arguments) throws(Failure) in try run.selected(value, arguments, byAttribute: false, keeping: false) },
    "selectattr": { (run, value, arguments) throws(Failure) in try run.selected(value, arguments, byAttribute: true, keeping: true) },
    "rejectattr": { (run, value, arguments) throws(Failure) in try run.selected(value, arguments, byAttribute: true, keeping: false) },
    "map": { (run, value, arguments) throws(Failure) in try run.mapped(value, arguments) },
  ]
}

extension Interpreter {
  fileprivate mutating func selected(_ value: Value, _ arguments: CallArguments, byAttribute: Bool, keeping: Bool) throws(Failure) -> Value {
    try generator { (run) throws(Failure) in try run.selectedItems(value, arguments, byAttribute: byAttribute, keeping: keeping) }
  }

  private mutating func selectedItems(_ value: Value, _ arguments: CallArguments, byAttribute: Bool, keeping: Bool) throws(Failure) -> [Value] {
    guard value.isTrue else { return [] }
    var rest = arguments
    var attribute: Value?
    if byAttribute {
      guard !rest.positional.isEmpty else { throw .runtime("Missing parameter for attribute name") }
      attribute = rest.positional.removeFirst()
    }
    let test = rest.positional.isEmpty ? nil : rest.positional.removeFirst()
    var kept: [Value] = []
    for item in try items(of: value) {
      var tested = item
      if let attribute { tested = try look(up: attribute, in: item) }
      let holds: Bool
      if let test { holds = try self.test(tested, text(test, "select").string, rest) } else { holds = tested.isTrue }
      if holds == keeping { kept.append(item) }
    }
    return kept
  }

  fileprivate mutating func mapped(_ value: Value, _ arguments: CallArguments) throws(Failure) -> Value {
    try generator { (run) throws(Failure) in try run.mappedItems(value, arguments) }
  }

  private mutating func mappedItems(_ value: Value, _ arguments: CallArguments) throws(Failure) -> [Value] {
    guard value.isTrue else { return [] }
    var made: [Value] = []
    if arguments.positional.isEmpty, arguments.named.contains(where: { $0.name == "attribute" }) {
      let values = try arguments.bound(to: ["attribute", "default"], "map")
      var preset = values[1]
      if case Value.none? = preset { preset = nil }
      for item in try items(of: value) { made.append(try look(up: values[0] ?? .none, in: item, preset: preset)) }
      return made
    }
    var rest = arguments
    guard !rest.positional.isEmpty else { throw .runtime("map requires a filter argument") }
    let name = try text(rest.positional.removeFirst(), "map").string
    for item in try items(of: value) { made.append(try filter(item, name, rest)) }
    return made
  }
}
