/// Truth, equality and order, as Python has them.
extension Value {
  var isTrue: Bool {
    switch self {
    case .undefined, .none: false
    case .boolean(let value): value
    case .integer(let value): value != 0
    case .number(let value): value != 0
    case .text(let text): !text.isEmpty
    case .sequence(let sequence): !sequence.items.isEmpty
    case .dictionary(let dictionary): !dictionary.pairs.isEmpty
    case .namespace, .generator, .loop, .macro, .function, .method: true
    }
  }

  /// The number that a truth value, an integer or a float is.
  private var numeric: Double? {
    switch self {
    case .boolean(let value): value ? 1 : 0
    case .integer(let value): Double(value)
    case .number(let value): value
    default: nil
    }
  }

  /// An integer or a truth value as an integer.
  var integral: Int? {
    switch self {
    case .boolean(let value): value ? 1 : 0
    case .integer(let value): value
    default: nil
    }
  }

  /// Python's `==`. Lists and tuples are never equal to each other.
  static func equal(_ a: Value, _ b: Value) -> Bool {
    if let x = a.integral, let y = b.integral { return x == y }
    if let x = a.numeric, let y = b.numeric { return x == y }
    switch (a, b) {
    case (.undefined, .undefined), (.none, .none): return true
    case (.text(let x), .text(let y)): return x == y
    case (.sequence(let x), .sequence(let y)):
      return x.kind == y.kind && x.items.count == y.items.count && zip(x.items, y.items).allSatisfy { equal($0, $1) }
    case (.dictionary(let x), .dictionary(let y)):
      return x.pairs.count == y.pairs.count
        && x.pairs.allSatisfy { pair in (try? Dictionary.Key(pair.key)).flatMap { y[$0] }.map { equal($0, pair.value) } ?? false }
    case (.namespace(let x), .namespace(let y)), (.generator(let x), .generator(let y)), (.loop(let x), .loop(let y)), (.macro(let x), .macro(let y)):
      return x == y
    case (.function(let x), .function(let y)): return x == y
    default: return false
    }
  }

  /// Python's `<`.
  /// - Throws: for values that Python doesn't put in order, such as text and a number.
  static func less(_ a: Value, _ b: Value) throws(Failure) -> Bool {
    if let x = a.integral, let y = b.integral { return x < y }
    if let x = a.numeric, let y = b.numeric { return x < y }
    switch (a, b) {
    case (.undefined(let missing), _), (_, .undefined(let missing)): throw .runtime(missing.message)
    case (.text(let x), .text(let y)): return x < y
    case (.sequence(let x), .sequence(let y)) where x.kind == y.kind && (x.kind == .list || x.kind == .tuple):
      for (i, j) in zip(x.items, y.items) where !equal(i, j) { return try less(i, j) }
      return x.items.count < y.items.count
    default: throw .runtime("'<' is not supported between instances of '\(a.typeName)' and '\(b.typeName)'")
    }
  }

  /// Sorts as Python's `sorted` does, keeping the order of what is equal.
  static func sort<Item>(_ items: [Item], descending: Bool, by key: (Item) throws(Failure) -> Value) throws(Failure) -> [Item] {
    var keyed: [(key: Value, item: Item)] = []
    for item in items { keyed.append((try key(item), item)) }
    var failure: Failure?
    // The library's sort is stable: https://github.com/swiftlang/swift/blob/main/stdlib/public/core/Sort.swift
    keyed.sort { a, b in
      do throws(Failure) { return descending ? try less(b.key, a.key) : try less(a.key, b.key) } catch {
        failure = failure ?? error
        return false
      }
    }
    if let failure { throw failure }
    return keyed.map(\.item)
  }
}
