/// Pickled values. They refer to each other by index, so that a pickle can't nest so deep that it exhausts the stack, and a value takes eight bytes and
/// what its parts take, so that no pickle uses more memory than a few times its own size.
struct PickleArena {
  typealias Index = Int

  /// What a value is, to whoever reads it. Items are asked for one by one.
  enum Value: Equatable {
    case none
    case bool(Bool)
    case integer(Int)
    /// Bytes of the pickle, from its start, that hold the UTF-8.
    case text(Range<Int>)
    case tuple(count: Int)
    /// Keys and values are in `pairs`.
    case dictionary
    /// Its items are in `items(of:)`.
    case list
    case global(PickleGlobal)
    /// `global(*arguments)`, not called; the arguments are a tuple.
    case call(PickleGlobal, arguments: Index)
    /// What a call made, once its state is set.
    case record(PickleGlobal, state: Index)
    /// What `persistent_load` would be asked for: a storage.
    case persistent(Index)
    /// What no tensor is made of: numbers with a fraction, byte strings, sets, and lists that nobody asked for.
    case other
  }

  private enum Kind: UInt64 {
    case none, no, yes, integer, wide, text, one, two, tuple, dictionary, list, global, call, record, persistent, other
  }

  /// A kind in four bits, and two numbers of 30 or one of 60.
  private struct Node {
    var bits: UInt64

    init(_ kind: Kind, _ a: Int = 0, _ b: Int = 0) { bits = kind.rawValue << 60 | UInt64(a) << 30 | UInt64(b) }

    init(integer: Int) { bits = Kind.integer.rawValue << 60 | UInt64(bitPattern: Int64(integer)) & (1 << 60 - 1) }

    var kind: Kind { Kind(rawValue: bits >> 60) ?? .other }
    var a: Int { Int(bits >> 30 & (1 << 30 - 1)) }
    var b: Int { Int(bits & (1 << 30 - 1)) }
    var integer: Int { Int(Int64(bitPattern: bits << 4) >> 4) }
  }

  /// A key and a value of a dictionary, and the pair after it.
  private struct Pair {
    var key: UInt32
    var value: UInt32
    var next: UInt32
  }

  private var nodes = ChunkedArray<Node>()
  /// Of tuples of three and more.
  private var items = ChunkedArray<UInt32>()
  private var pairs = ChunkedArray<Pair>()
  /// Integers of more than 60 bits.
  private var wide = ChunkedArray<Int>()

  /// Values without parts exist once.
  static let none = 0, no = 1, yes = 2, emptyTuple = 3, other = 4

  init() { nodes = [Node(.none), Node(.no), Node(.yes), Node(.tuple), Node(.other)].reduce(into: ChunkedArray()) { $0.append($1) } }

  // MARK: Making

  private mutating func add(_ node: Node) -> Index {
    nodes.append(node)
    return nodes.count - 1
  }

  mutating func addInteger(_ value: Int) -> Index {
    if (-1 << 59..<1 << 59).contains(value) { return add(Node(integer: value)) }
    wide.append(value)
    return add(Node(.wide, wide.count - 1))
  }

  /// - Parameter range: bytes of the pickle, of less than 2^30.
  mutating func addText(_ range: Range<Int>) -> Index { add(Node(.text, range.lowerBound, range.count)) }

  mutating func addTuple(_ values: ArraySlice<UInt32>) -> Index {
    let first = values.startIndex
    switch values.count {
    case 0: return Self.emptyTuple
    case 1: return add(Node(.one, Int(values[first])))
    case 2: return add(Node(.two, Int(values[first]), Int(values[first + 1])))
    default:
      let start = items.count
      for value in values { items.append(value) }
      return add(Node(.tuple, start, values.count))
    }
  }

  mutating func addDictionary() -> Index { add(Node(.dictionary)) }

  mutating func addList() -> Index { add(Node(.list)) }

  mutating func addGlobal(_ global: PickleGlobal) -> Index { add(Node(.global, global.number)) }

  mutating func addCall(_ global: PickleGlobal, arguments: Index) -> Index { add(Node(.call, global.number, arguments)) }

  /// Sets the state of what a call made; its arguments are forgotten.
  mutating func setState(_ state: Index, of call: Index) { nodes[call] = Node(.record, nodes[call].a, state) }

  mutating func addPersistent(_ identifier: Index) -> Index { add(Node(.persistent, identifier)) }

  /// Puts keys and values, which come in turn, at the end of a dictionary.
  /// - Precondition: `dictionary` is one, and there is a value for each key.
  mutating func put(_ values: ArraySlice<UInt32>, into dictionary: Index) {
    for at in stride(from: values.startIndex, to: values.endIndex, by: 2) { link(Pair(key: values[at], value: values[at + 1], next: 0), to: dictionary) }
  }

  /// Puts values at the end of a list.
  /// - Precondition: `list` is one.
  mutating func append(_ values: ArraySlice<UInt32>, to list: Index) {
    for value in values { link(Pair(key: 0, value: value, next: 0), to: list) }
  }

  /// Puts a pair at the end of a dictionary's or a list's.
  private mutating func link(_ pair: Pair, to owner: Index) {
    // Places of the first and the last pair, from 1.
    let node = nodes[owner]
    pairs.append(pair)
    if node.b > 0 { pairs[node.b - 1].next = UInt32(pairs.count) }
    nodes[owner] = Node(node.kind, node.b > 0 ? node.a : pairs.count, pairs.count)
  }

  // MARK: Reading

  subscript(index: Index) -> Value {
    let node = nodes[index]
    switch node.kind {
    case .none: return .none
    case .no: return .bool(false)
    case .yes: return .bool(true)
    case .integer: return .integer(node.integer)
    case .wide: return .integer(wide[node.a])
    case .text: return .text(node.a..<node.a + node.b)
    case .one: return .tuple(count: 1)
    case .two: return .tuple(count: 2)
    case .tuple: return .tuple(count: node.b)
    case .dictionary: return .dictionary
    case .list: return .list
    case .global: return .global(PickleGlobal(number: node.a))
    case .call: return .call(PickleGlobal(number: node.a), arguments: node.b)
    case .record: return .record(PickleGlobal(number: node.a), state: node.b)
    case .persistent: return .persistent(node.a)
    case .other: return .other
    }
  }

  /// Item `place` of the tuple `tuple`.
  /// - Returns: nil when it isn't a tuple, or has no such item.
  func item(_ place: Int, of tuple: Index) -> Index? {
    let node = nodes[tuple]
    switch (node.kind, place) {
    case (.one, 0), (.two, 0): return node.a
    case (.two, 1): return node.b
    case (.tuple, 0..<max(0, node.b)): return Int(items[node.a + place])
    default: return nil
    }
  }

  /// How many values there are; their indices are below.
  var count: Int { nodes.count }

  /// The keys and values of a dictionary, in the order in which they were put into it; nothing of what isn't one.
  func pairs(of dictionary: Index) -> some Sequence<(key: Index, value: Index)> {
    linked(nodes[dictionary].kind == .dictionary ? nodes[dictionary].a : 0)
  }

  /// The items of a list in order; nothing of what isn't one.
  func items(of list: Index) -> some Sequence<Index> { linked(nodes[list].kind == .list ? nodes[list].a : 0).lazy.map(\.value) }

  private func linked(_ first: Int) -> some Sequence<(key: Index, value: Index)> {
    sequence(state: first) { [pairs] next -> (key: Index, value: Index)? in
      guard next > 0 else { return nil }
      let pair = pairs[next - 1]
      next = Int(pair.next)
      return (Int(pair.key), Int(pair.value))
    }
  }
}
