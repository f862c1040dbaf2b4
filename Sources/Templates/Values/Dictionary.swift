/// A Python `dict`: pairs in the order in which their keys came.
struct Dictionary: Sendable {
  /// What can be a key. Numbers that are equal are the same key: 1, 1.0 and true.
  enum Key: Sendable, Hashable {
    case undefined, none
    case number(Double)
    case integer(Int)
    case text(Text)
    case tuple([Key])

    init(_ value: Value) throws(Failure) {
      switch value {
      case .undefined: self = .undefined
      case .none: self = .none
      case .boolean(let value): self = .integer(value ? 1 : 0)
      case .integer(let value): self = .integer(value)
      case .number(let value): self = Int(exactly: value).map { .integer($0) } ?? .number(value)
      case .text(let value): self = .text(value)
      case .sequence(let sequence) where sequence.kind == .tuple:
        var keys: [Key] = []
        for item in sequence.items { keys.append(try Key(item)) }
        self = .tuple(keys)
      case .sequence, .dictionary: throw .runtime("unhashable type: '\(value.typeName)'")
      default: throw .unsupported("a \(value.typeName) as a key of a dictionary")
      }
    }
  }

  private(set) var pairs: [(key: Value, value: Value)] = []
  private var places: [Key: Int] = [:]
  private(set) var depth = 1
  private(set) var weight = 1

  subscript(key: Key) -> Value? { places[key].map { pairs[$0].value } }

  /// Puts a value in; a key that is there already keeps its place and its spelling.
  mutating func set(_ key: Value, _ value: Value) throws(Failure) {
    let place = try Key(key)
    if let at = places[place] {
      pairs[at].value = value
    } else {
      places[place] = pairs.count
      pairs.append((key, value))
    }
    weight = weight.addingUpTo(.max, key.weight, value.weight)
    depth = max(depth, 1 + value.depth, 1 + key.depth)
    guard depth <= Value.maximumDepth else { throw .tooDeep }
  }

  var keys: [Value] { pairs.map(\.key) }
  var values: [Value] { pairs.map(\.value) }

  func items() throws(Failure) -> [Value] {
    var items: [Value] = []
    for (key, value) in pairs { items.append(try .tuple([key, value])) }
    return items
  }
}
