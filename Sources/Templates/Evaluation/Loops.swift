/// A for loop that runs: what its `loop` tells.
struct LoopState {
  let items: [Value]
  var index = 0
  /// How many loops of a recursive one are around it.
  let outer: Int
  /// The loop, if it is recursive, and the scope that it stands in.
  let recursive: (loop: Loop, scope: Int)?
  /// What `loop.changed` was asked last.
  var last: [Value]?
}

extension Interpreter {
  mutating func run(_ loop: Loop) throws(Failure) -> Flow {
    let iterated = try evaluate(loop.iterated)
    guard loop.isRecursive else { return try run(loop, over: iterated, outer: 0) }
    let text = try captured { (it) throws(Failure) in _ = try it.run(loop, over: iterated, outer: 0) }
    try print(text)
    return .end
  }

  private mutating func run(_ loop: Loop, over iterated: Value, outer: Int) throws(Failure) -> Flow {
    var items = try items(of: iterated)
    if let filter = loop.filter {
      var kept: [Value] = []
      for item in items {
        let keeps = try inScope { (it) throws(Failure) in
          try it.assign(item, to: loop.target)
          return try it.evaluate(filter).isTrue
        }
        if keeps { kept.append(item) }
      }
      items = kept
    }
    try charge(Self.kept)
    let number = loops.count
    loops.append(LoopState(items: items, outer: outer, recursive: loop.isRecursive ? (loop, scope) : nil))
    // As in Jinja: an iteration that `break` or `continue` ends doesn't count for `else`.
    var wholeIterations = 0
    for (at, item) in items.enumerated() {
      loops[number].index = at
      let flow = try inScope { (it) throws(Failure) in
        it.set("loop", .loop(number))
        try it.assign(item, to: loop.target)
        return try it.run(loop.body)
      }
      if flow == .breakLoop { break }
      if flow == .end { wholeIterations += 1 }
    }
    guard wholeIterations == 0, !loop.otherwise.isEmpty else { return .end }
    return try inScope { (it) throws(Failure) in try it.run(loop.otherwise) }
  }

  /// `loop(items)` in a recursive loop: what its body makes of them.
  mutating func recurse(_ number: Int, over iterated: Value) throws(Failure) -> Value {
    guard let (loop, scope) = loops[number].recursive else { throw .runtime("a loop that isn't marked “recursive” can't be called") }
    let outer = loops[number].outer + 1
    let line = line
    return .text(
      try captured { (it) throws(Failure) in
        try it.deeper(at: line) { (it) throws(Failure) in
          try it.inScope(of: scope) { (it) throws(Failure) in _ = try it.run(loop, over: iterated, outer: outer) }
        }
      })
  }

  /// An attribute of `loop`; nil when there is no such.
  func loopAttribute(_ number: Int, _ name: String) -> Value? {
    let state = loops[number]
    let count = state.items.count
    switch name {
    case "index": return .integer(state.index + 1)
    case "index0": return .integer(state.index)
    case "revindex": return .integer(count - state.index)
    case "revindex0": return .integer(count - state.index - 1)
    case "first": return .boolean(state.index == 0)
    case "last": return .boolean(state.index == count - 1)
    case "length": return .integer(count)
    case "depth": return .integer(state.outer + 1)
    case "depth0": return .integer(state.outer)
    case "previtem": return state.index > 0 ? state.items[state.index - 1] : .missing("there is no previous item")
    case "nextitem": return state.index + 1 < count ? state.items[state.index + 1] : .missing("there is no next item")
    case "cycle", "changed": return .method(of: .loop(number), Text(name))
    default: return nil
    }
  }

  mutating func callLoopMethod(_ number: Int, _ name: Text, _ arguments: CallArguments) throws(Failure) -> Value {
    guard arguments.named.isEmpty else { throw .runtime("loop.\(name.string) takes no named arguments") }
    let values = arguments.positional
    if name == "cycle" {
      guard !values.isEmpty else { throw .runtime("no items for cycling given") }
      return values[loops[number].index % values.count]
    }
    for value in values { try charge(value.weight) }
    if let last = loops[number].last, last.count == values.count, zip(last, values).allSatisfy({ Value.equal($0, $1) }) { return .boolean(false) }
    loops[number].last = values
    return .boolean(true)
  }
}
