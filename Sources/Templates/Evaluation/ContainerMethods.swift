/// The methods of Python's `dict`, `list` and `tuple` that change nothing.
extension Interpreter {
  func callMethod(of dictionary: Dictionary, _ name: String, _ arguments: CallArguments) throws(Failure) -> Value {
    guard name != "get" else {
      let values = try arguments.positionalOnly(to: 2, required: 1, name)
      return dictionary[try Dictionary.Key(values[0] ?? .none)] ?? values[1] ?? .none
    }
    _ = try arguments.positionalOnly(to: 0, name)
    switch name {
    case "keys": return .sequence(try Items(dictionary.keys, .keys))
    case "values": return .sequence(try Items(dictionary.values, .values))
    case "items": return .sequence(try Items(dictionary.items(), .items))
    case "copy": return .dictionary(dictionary)
    default: throw .unsupported("the method “\(name)” of a dict")
    }
  }

  func callMethod(of sequence: Items, _ name: String, _ arguments: CallArguments) throws(Failure) -> Value {
    switch name {
    case "copy":
      _ = try arguments.positionalOnly(to: 0, name)
      return .sequence(sequence)
    case "count":
      let wanted = try arguments.positionalOnly(to: 1, required: 1, name)[0] ?? .none
      return .integer(sequence.items.count { Value.equal($0, wanted) })
    case "index":
      guard arguments.positional.count == 1 else { throw .unsupported("the method “index” of a \(sequence.kind.rawValue) with bounds") }
      let wanted = try arguments.positionalOnly(to: 1, required: 1, name)[0] ?? .none
      guard let at = sequence.items.firstIndex(where: { Value.equal($0, wanted) }) else { throw .runtime("the item is not in the \(sequence.kind.rawValue)") }
      return .integer(at)
    default: throw .unsupported("the method “\(name)” of a \(sequence.kind.rawValue)")
    }
  }
}
