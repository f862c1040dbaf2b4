import Integrity
import SystemPackage

/// Reads a pickle as data. It calls nothing: a pickle's calls become nodes that say what would be called, and only for the few callables that a
/// state dict needs. Anything else is refused by its name.
///
/// Opcodes: CPython's `Lib/pickletools.py`. Values live in an arena and refer to each other by index, so that a pickle can neither nest so
/// deep that it exhausts the stack nor use more memory than a multiple of its own size.
struct Unpickler {
  typealias Index = Int

  enum Node {
    case none
    case bool(Bool)
    case integer(Int)
    case float(Double)
    case text(String)
    case bytes
    case tuple([Index])
    case list([Index])
    /// Keys and values in turn.
    case dictionary([Index])
    case global(Global)
    /// `global(*arguments)`, not called.
    case call(Global, [Index])
    /// What `persistent_load` would be asked for: a storage.
    case persistent(Index)
  }

  /// What a state dict may name.
  enum Global: Equatable {
    case orderedDictionary
    case rebuildTensor
    case rebuildParameter
    /// `torch.<dtype>Storage`; nil for those without a dtype of ours.
    case storage(String, DType?)

    init?(module: String, name: String) {
      switch (module, name) {
      case ("collections", "OrderedDict"): self = .orderedDictionary
      case ("torch._utils", "_rebuild_tensor_v2"): self = .rebuildTensor
      case ("torch._utils", "_rebuild_parameter"): self = .rebuildParameter
      case ("torch", "FloatStorage"), ("torch", "HalfStorage"), ("torch", "BFloat16Storage"), ("torch", "DoubleStorage"), ("torch", "LongStorage"), ("torch", "IntStorage"), ("torch", "ShortStorage"), ("torch", "CharStorage"),
        ("torch", "ByteStorage"), ("torch", "BoolStorage"), ("torch", "ComplexFloatStorage"), ("torch", "ComplexDoubleStorage"):
        self = .storage(name, PthStorage.dtype(name))
      default: return nil
      }
    }
  }

  private var reader: ByteReader
  private(set) var nodes: [Node] = []
  private var stack: [Index] = []
  /// Heights of the stack.
  private var marks: [Int] = []
  private var memo: [Int: Index] = [:]

  /// Longer ones aren't state dicts of any model: a hundred thousand tensors take some 15 MB.
  private static let longest = 64 << 20

  /// Reads the pickle in `range` of `file`.
  /// - Returns: the nodes, and which of them is the pickled object.
  static func read(_ file: any ByteSource, _ range: Range<Int>) throws(CheckpointError) -> (nodes: [Node], root: Index) {
    guard range.count <= longest else {
      throw CheckpointError(.corrupt, in: file.path, byte: range.lowerBound, "the pickle has \(range.count) bytes; no state dict is that long")
    }
    var unpickler = Unpickler(reader: ByteReader(file, range))
    let root = try unpickler.run()
    return (unpickler.nodes, root)
  }

  private init(reader: ByteReader) { self.reader = reader }

  private mutating func run() throws(CheckpointError) -> Index {
    while true {
      let at = reader.position
      let opcode = try reader.byte("the pickle's next opcode")
      switch opcode {
      case 0x80:  // PROTO
        let version = try reader.byte("the pickle's protocol")
        guard version <= 5 else { throw unsupported("is written in pickle protocol \(version)", at) }
      case 0x95: _ = try reader.size("a pickle frame's length")  // FRAME
      case UInt8(ascii: "."):  // STOP
        return try pop(at)

      case UInt8(ascii: "N"): push(.none)
      case 0x88: push(.bool(true))
      case 0x89: push(.bool(false))
      case UInt8(ascii: "J"): push(.integer(Int(try reader.integer(Int32.self, "BININT"))))
      case UInt8(ascii: "K"): push(.integer(Int(try reader.byte("BININT1"))))
      case UInt8(ascii: "M"): push(.integer(Int(try reader.integer(UInt16.self, "BININT2"))))
      case 0x8A: try readLong(at)
      case UInt8(ascii: "G"): push(.float(Double(bitPattern: try reader.integer(UInt64.self, "BINFLOAT").byteSwapped)))
      case UInt8(ascii: "X"): push(.text(try reader.text(Int(try reader.integer(UInt32.self, "BINUNICODE")), "a string")))
      case 0x8C: push(.text(try reader.text(Int(try reader.byte("SHORT_BINUNICODE")), "a string")))
      case 0x8D: push(.text(try reader.text(try reader.size("BINUNICODE8"), "a string")))
      case UInt8(ascii: "U"), UInt8(ascii: "C"):
        try reader.skip(Int(try reader.byte("a byte string")), "a byte string")
        push(.bytes)
      case UInt8(ascii: "T"), UInt8(ascii: "B"):
        try reader.skip(Int(try reader.integer(UInt32.self, "a byte string")), "a byte string")
        push(.bytes)

      case UInt8(ascii: "("): marks.append(stack.count)
      case UInt8(ascii: ")"): push(.tuple([]))
      case UInt8(ascii: "t"): push(.tuple(try popToMark(at)))
      case 0x85, 0x86, 0x87: push(.tuple(try pop(Int(opcode) - 0x84, at)))
      case UInt8(ascii: "]"): push(.list([]))
      case UInt8(ascii: "l"): push(.list(try popToMark(at)))
      case UInt8(ascii: "a"):
        let item = try pop(at)
        try extend([item], at)
      case UInt8(ascii: "e"):
        let items = try popToMark(at)
        try extend(items, at)
      case UInt8(ascii: "}"): push(.dictionary([]))
      case UInt8(ascii: "d"):
        let items = try popToMark(at)
        push(.dictionary([]))
        try extend(items, at)
      case UInt8(ascii: "s"):
        let items = try pop(2, at)
        try extend(items, at)
      case UInt8(ascii: "u"):
        let items = try popToMark(at)
        try extend(items, at)
      case UInt8(ascii: "0"):  // POP
        if marks.last == stack.count { marks.removeLast() } else { _ = try pop(at) }
      case UInt8(ascii: "1"): _ = try popToMark(at)
      case UInt8(ascii: "2"): stack.append(try top(at))

      case UInt8(ascii: "q"): memo[Int(try reader.byte("BINPUT"))] = try top(at)
      case UInt8(ascii: "r"): memo[Int(try reader.integer(UInt32.self, "LONG_BINPUT"))] = try top(at)
      case 0x94: memo[memo.count] = try top(at)
      case UInt8(ascii: "h"): try recall(Int(try reader.byte("BINGET")), at)
      case UInt8(ascii: "j"): try recall(Int(try reader.integer(UInt32.self, "LONG_BINGET")), at)

      case UInt8(ascii: "c"):
        let module = try readLine()
        try pushGlobal(module, try readLine(), at)
      case 0x93:
        let names = try pop(2, at)
        guard case .text(let module) = nodes[names[0]], case .text(let name) = nodes[names[1]] else {
          throw reader.corrupt("STACK_GLOBAL wants two strings", at: at)
        }
        try pushGlobal(module, name, at)
      case UInt8(ascii: "R"): try reduce(at)
      case UInt8(ascii: "b"): try build(at)
      case UInt8(ascii: "Q"): push(.persistent(try pop(at)))
      default:
        throw CheckpointError(
          .unsafe, in: reader.file.path, byte: at, "the pickle's opcode 0x\(String(opcode, radix: 16)) has no place in a state dict; nothing was run")
      }
    }
  }

  // MARK: Stack

  private mutating func push(_ node: Node) {
    stack.append(nodes.count)
    nodes.append(node)
  }

  private func top(_ at: Int) throws(CheckpointError) -> Index {
    guard let top = stack.last, stack.count > marks.last ?? 0 else { throw reader.corrupt("the pickle takes from an empty stack", at: at) }
    return top
  }

  private mutating func pop(_ at: Int) throws(CheckpointError) -> Index {
    let top = try top(at)
    stack.removeLast()
    return top
  }

  private mutating func pop(_ count: Int, _ at: Int) throws(CheckpointError) -> [Index] {
    guard stack.count - (marks.last ?? 0) >= count else { throw reader.corrupt("the pickle takes from an empty stack", at: at) }
    defer { stack.removeLast(count) }
    return Array(stack.suffix(count))
  }

  private mutating func popToMark(_ at: Int) throws(CheckpointError) -> [Index] {
    guard let mark = marks.popLast(), mark <= stack.count else { throw reader.corrupt("the pickle has no mark here", at: at) }
    defer { stack.removeSubrange(mark...) }
    return Array(stack[mark...])
  }

  private mutating func recall(_ key: Int, _ at: Int) throws(CheckpointError) {
    guard let index = memo[key] else { throw reader.corrupt("the pickle asks for memo \(key), which it never stored", at: at) }
    stack.append(index)
  }

  // MARK: Opcodes

  private mutating func readLong(_ at: Int) throws(CheckpointError) {
    let count = Int(try reader.byte("LONG1"))
    let bytes = try reader.bytes(count, "LONG1")
    guard count <= 8 else { throw unsupported("has an integer of \(count) bytes", at) }
    var value: UInt64 = 0
    for (index, byte) in bytes.enumerated() { value |= UInt64(byte) << (8 * index) }
    // Two's complement of `count` bytes.
    if count > 0, count < 8, bytes[count - 1] & 0x80 != 0 { value |= ~0 << (8 * count) }
    push(.integer(Int(bitPattern: UInt(value))))
  }

  private mutating func readLine() throws(CheckpointError) -> String {
    var line: [UInt8] = []
    while true {
      let byte = try reader.byte("a global's name")
      if byte == UInt8(ascii: "\n") { return String(decoding: line, as: UTF8.self) }
      line.append(byte)
      guard line.count <= 255 else { throw reader.corrupt("a global's name is over 255 bytes long") }
    }
  }

  private mutating func pushGlobal(_ module: String, _ name: String, _ at: Int) throws(CheckpointError) {
    guard let global = Global(module: module, name: name) else {
      throw CheckpointError(
        .unsafe, in: reader.file.path, byte: at, "the pickle wants \(module).\(name), which has no place in a state dict; nothing was run")
    }
    push(.global(global))
  }

  /// Puts items at the end of the list, dictionary or ordered dictionary on top of the stack.
  private mutating func extend(_ items: [Index], _ at: Int) throws(CheckpointError) {
    let target = try top(at)
    switch nodes[target] {
    case .list(var list):
      nodes[target] = .none  // so that the array is unshared, and appending takes constant time
      list.append(contentsOf: items)
      nodes[target] = .list(list)
    case .dictionary(var pairs):
      guard items.count % 2 == 0 else { throw reader.corrupt("a dictionary gets a key without a value", at: at) }
      nodes[target] = .none
      pairs.append(contentsOf: items)
      nodes[target] = .dictionary(pairs)
    default: throw reader.corrupt("items are put into what isn't a list or a dictionary", at: at)
    }
  }

  private mutating func reduce(_ at: Int) throws(CheckpointError) {
    let operands = try pop(2, at)
    guard case .global(let global) = nodes[operands[0]], case .tuple(let arguments) = nodes[operands[1]] else {
      throw CheckpointError(.unsafe, in: reader.file.path, byte: at, "the pickle calls what isn't a function that a state dict needs; nothing was run")
    }
    switch global {
    case .orderedDictionary where arguments.isEmpty: push(.dictionary([]))
    case .rebuildTensor, .rebuildParameter: push(.call(global, arguments))
    default: throw CheckpointError(.unsafe, in: reader.file.path, byte: at, "the pickle calls \(global) in a way that torch doesn't; nothing was run")
    }
  }

  /// `OrderedDict` carries attributes (`_metadata`): they are dropped.
  private mutating func build(_ at: Int) throws(CheckpointError) {
    _ = try pop(at)
    guard case .dictionary = nodes[try top(at)] else {
      throw CheckpointError(.unsafe, in: reader.file.path, byte: at, "the pickle sets the state of an object; nothing was run")
    }
  }

  private func unsupported(_ message: String, _ at: Int) -> CheckpointError {
    CheckpointError(.unsupported, in: reader.file.path, byte: at, "the pickle \(message)")
  }
}
