extension FilterTable {
  /// Filters on lists, dictionaries, and values of any kind.
  static let listFilters: [String: Filter] = [
    "default": preset, "d": preset,
    "first": { (run, value, arguments) throws(Failure) in
      try arguments.none("first")
      if case .generator(let number) = value {
        let items = try run.generators[number].get()
        run.generators[number] = .success(Array(items.dropFirst()))
        return items.first ?? .missing("No first item, sequence was empty.")
      }
      return try run.items(of: value).first ?? .missing("No first item, sequence was empty.")
    },
    "last": { (run, value, arguments) throws(Failure) in
      try arguments.none("last")
      if case .generator = value { throw .runtime("'generator' object is not reversible") }
      return try run.items(of: value).last ?? .missing("No last item, sequence was empty.")
    },
    "list": { (run, value, arguments) throws(Failure) in
      try arguments.none("list")
      return try .list(run.items(of: value))
    },
    "reverse": { (run, value, arguments) throws(Failure) in
      try arguments.none("reverse")
      if case .text(let text) = value { return .text(Text(text.characters.reversed(), isSafe: text.isSafe)) }
      let items = try run.items(of: value)
      // What can't be gone through backwards becomes a list.
      if case .generator = value { return try .list(items.reversed()) }
      return try run.generator { (_) in items.reversed() }
    },
    "items": { (run, value, arguments) throws(Failure) in
      try arguments.none("items")
      return try run.generator { (_) throws(Failure) in
        if case .undefined = value { return [] }
        guard case .dictionary(let dictionary) = value else { throw .runtime("Can only get item pairs from a mapping.") }
        return try dictionary.items()
      }
    },
    "dictsort": { (run, value, arguments) throws(Failure) in
      let values = try arguments.bound(to: ["case_sensitive", "by", "reverse"], "dictsort")
      let by = try run.optionalText(values[1], "dictsort")?.string ?? "key"
      guard by == "key" || by == "value" else { throw .runtime("You can only sort by either \"key\" or \"value\"") }
      guard case .dictionary(let dictionary) = value else { throw value.notADictionary("dictsort") }
      let keepsCase = values[0]?.isTrue ?? false
      try run.chargeSort(value)
      let sorted = try Value.sort(dictionary.pairs, descending: values[2]?.isTrue ?? false) { (pair) throws(Failure) in
        let key = by == "key" ? pair.key : pair.value
        return keepsCase ? key : key.ignoringCase
      }
      var pairs: [Value] = []
      for (key, value) in sorted { pairs.append(try .tuple([key, value])) }
      return try .list(pairs)
    },
    "sort": { (run, value, arguments) throws(Failure) in
      let values = try arguments.bound(to: ["reverse", "case_sensitive", "attribute"], "sort")
      let keepsCase = values[1]?.isTrue ?? false
      try run.chargeSort(value)
      var keyed: [(key: Value, item: Value)] = []
      for item in try run.items(of: value) { keyed.append((try run.key(values[2], of: item, severally: true, keepsCase), item)) }
      return try .list(Value.sort(keyed, descending: values[0]?.isTrue ?? false) { $0.key }.map(\.item))
    },
    "unique": { (run, value, arguments) throws(Failure) in
      let values = try arguments.bound(to: ["case_sensitive", "attribute"], "unique")
      return try run.generator { (run) throws(Failure) in
        var seen: Set<Dictionary.Key> = []
        var kept: [Value] = []
        for item in try run.items(of: value) {
          let key = try run.key(values[1], of: item, severally: false, values[0]?.isTrue ?? false)
          if seen.insert(try Dictionary.Key(key)).inserted { kept.append(item) }
        }
        return kept
      }
    },
    "min": { (run, value, arguments) throws(Failure) in try run.extreme(value, arguments, "min") },
    "max": { (run, value, arguments) throws(Failure) in try run.extreme(value, arguments, "max") },
    "attr": { (run, value, arguments) throws(Failure) in
      let name = try run.text(arguments.bound(to: ["name"], required: 1, "attr")[0], "attr")
      // A dictionary's keys are not its attributes.
      return try run.ownAttribute(name, of: value) ?? .missing(name, of: value)
    },
  ]

  private static let preset: Filter = { (_, value, arguments) throws(Failure) in
    let values = try arguments.bound(to: ["default_value", "boolean"], "default")
    let otherwise = values[0] ?? .text("")
    if case .undefined = value { return otherwise }
    return (values[1]?.isTrue ?? false) && !value.isTrue ? otherwise : value
  }
}

extension Value {
  /// Text in lower case; anything else as it is.
  fileprivate var ignoringCase: Value { if case .text(let text) = self { .text(text.lowercased) } else { self } }

  fileprivate func notADictionary(_ filter: String) -> Failure {
    if case .undefined(let missing) = self { .runtime(missing.message) } else { .runtime("\(filter) takes a dictionary, not \(typeName)") }
  }
}

extension Interpreter {
  /// Counts a sort.
  fileprivate mutating func chargeSort(_ value: Value) throws(Failure) { try charge(value.weight.multipliedUpToMax(by: 20)) }

  /// What an item is sorted or told apart by.
  /// - Parameter severally: whether the attribute may be several with commas between them.
  fileprivate mutating func key(_ attribute: Value?, of item: Value, severally: Bool, _ keepsCase: Bool) throws(Failure) -> Value {
    var attributes: [Value?] = [attribute]
    if severally, case .text(let names)? = attribute { attributes = names.split(by: ",", most: .max).map { .text($0) } }
    var keys: [Value] = []
    for attribute in attributes {
      var key = item
      if let attribute, try !isNone(attribute) { key = try look(up: attribute, in: item) }
      keys.append(keepsCase ? key : key.ignoringCase)
    }
    return severally ? try .list(keys) : keys[0]
  }

  fileprivate mutating func extreme(_ value: Value, _ arguments: CallArguments, _ name: String) throws(Failure) -> Value {
    let values = try arguments.bound(to: ["case_sensitive", "attribute"], name)
    let keepsCase = values[0]?.isTrue ?? false
    var best: (key: Value, item: Value)?
    for item in try items(of: value) {
      let key = try self.key(values[1], of: item, severally: false, keepsCase)
      if let found = best {
        guard try name == "min" ? less(key, found.key) : less(found.key, key) else { continue }
      }
      best = (key, item)
    }
    return best?.item ?? .missing("No aggregated item, sequence was empty.")
  }

  /// An attribute by its path, "a.b.0", as filters name it.
  mutating func look(up path: Value, in item: Value, preset: Value? = nil) throws(Failure) -> Value {
    var parts = [path]
    if case .text(let text) = path {
      parts = text.split(by: ".", most: .max).map { part in
        !part.isEmpty && part.characters.allSatisfy(\.isDigit) ? pythonInteger(part).map { .integer($0) } ?? .text(part) : .text(part)
      }
    }
    var value = item
    for part in parts {
      value = try self.item(part, of: value)
      if let preset, case .undefined = value { value = preset }
    }
    return value
  }
}
