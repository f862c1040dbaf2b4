import Integrity
import SystemPackage

/// Reads a pickle as data. It calls nothing: a pickle's calls become values that say what would be called, and only for what `torch.load` itself takes
/// for data (`PickleGlobal`). Anything else is refused by its name.
///
/// Opcodes: CPython's `Lib/pickletools.py`.
struct Unpickler {
  private typealias Index = PickleArena.Index

  private var reader: ByteReader
  /// Byte of the file where the pickle starts.
  private let start: Int
  private var arena = PickleArena()
  private var stack: [UInt32] = []
  /// Heights of the stack.
  private var marks: [UInt32] = []
  private var memo = ChunkedArray<UInt32>()
  private let keepsLists: Bool
  private var vocabulary = PickleGlobal.Vocabulary.stateDictionary

  /// Longer ones aren't state dicts of any model: a hundred thousand tensors take some 15 MB.
  private static let longest = 64 << 20
  /// Values that are waiting to become part of another. Python's pickler has some thousands at a time, and no dictionary of tensors has more.
  private static let deepest = 1 << 20
  /// In the memo, where nothing was stored under a number.
  private static let absent = UInt32.max

  /// Reads the pickle in `range` of `file`.
  /// - Returns: the values, and which of them is the pickled object.
  static func read(_ file: any ByteSource, _ range: Range<Int>) throws(CheckpointError) -> (PickleArena, root: PickleArena.Index) {
    guard range.count <= longest else {
      throw CheckpointError(.corrupt, in: file.path, byte: range.lowerBound, "the pickle has \(range.count) bytes; no state dict is that long")
    }
    var unpickler = Unpickler(reader: ByteReader(file, range), keepsLists: false)
    let root = try unpickler.run()
    return (unpickler.arena, root)
  }

  /// Reads a pickle that is followed by something else.
  ///
  /// - Parameters:
  ///   - start: byte of the file where it begins.
  ///   - limit: bytes that it may have.
  ///   - keepsLists: whether what lists hold is kept. That takes up to twelve times the pickle's size, so `limit` must be small.
  /// - Returns: the values, which of them is the pickled object, and the byte behind the pickle.
  static func read(
    _ file: any ByteSource, from start: Int, limit: Int = longest, keepsLists: Bool = false
  ) throws(CheckpointError) -> (PickleArena, root: PickleArena.Index, end: Int) {
    let end = max(start, min(file.count, start + limit))
    var unpickler = Unpickler(reader: ByteReader(file, start..<end), keepsLists: keepsLists)
    let root = try unpickler.run()
    return (unpickler.arena, root, unpickler.reader.position)
  }

  /// Reads the metadata of a distributed checkpoint, which is a whole file.
  static func readDistributedMetadata(_ file: any ByteSource) throws(CheckpointError) -> (PickleArena, root: PickleArena.Index) {
    guard file.count <= longest else { throw CheckpointError(.corrupt, in: file.path, "has \(file.count) bytes; no checkpoint's metadata is that long") }
    var unpickler = Unpickler(reader: ByteReader(file), keepsLists: true)
    unpickler.vocabulary = .distributedMetadata
    let root = try unpickler.run()
    return (unpickler.arena, root)
  }

  private init(reader: ByteReader, keepsLists: Bool) { (self.reader, self.start, self.keepsLists) = (reader, reader.position, keepsLists) }

  private mutating func run() throws(CheckpointError) -> Index {
    while true {
      let at = reader.position
      let opcode = try reader.byte("the pickle's next opcode")
      switch opcode {
      case 0x80:  // PROTO
        let version = try reader.byte("the pickle's protocol")
        guard version <= 5 else { throw unsupported("is written in pickle protocol \(version)", at) }
      case 0x95: _ = try reader.size("a pickle frame's length")  // FRAME
      case UInt8(ascii: "."): return try pop(at)  // STOP

      case UInt8(ascii: "N"): try push(PickleArena.none, at)
      case 0x88: try push(PickleArena.yes, at)
      case 0x89: try push(PickleArena.no, at)
      case UInt8(ascii: "J"): try push(arena.addInteger(Int(try reader.integer(Int32.self, "BININT"))), at)
      case UInt8(ascii: "K"): try push(arena.addInteger(Int(try reader.byte("BININT1"))), at)
      case UInt8(ascii: "M"): try push(arena.addInteger(Int(try reader.integer(UInt16.self, "BININT2"))), at)
      case 0x8A: try readLong(Int(try reader.byte("LONG1")), at)
      case 0x8B: try readLong(Int(try reader.integer(UInt32.self, "LONG4")), at)
      case UInt8(ascii: "I"), UInt8(ascii: "L"): try readDecimal(opcode, at)
      case UInt8(ascii: "F"): try skipLine(at)
      case UInt8(ascii: "G"): try skip(8, at)

      case UInt8(ascii: "X"): try readText(Int(try reader.integer(UInt32.self, "BINUNICODE")), at)
      case 0x8C: try readText(Int(try reader.byte("SHORT_BINUNICODE")), at)
      case 0x8D: try readText(try reader.size("BINUNICODE8"), at)
      case UInt8(ascii: "S"): try skipLine(at)  // STRING: the bytes of Python 2, quoted
      case UInt8(ascii: "U"), UInt8(ascii: "C"): try skip(Int(try reader.byte("a byte string")), at)
      case UInt8(ascii: "T"), UInt8(ascii: "B"): try skip(Int(try reader.integer(UInt32.self, "a byte string")), at)
      case 0x8E, 0x96: try skip(try reader.size("a byte string"), at)  // BINBYTES8, BYTEARRAY8

      case UInt8(ascii: "("):
        guard marks.count < Self.deepest else { throw reader.corrupt("the pickle has more than \(Self.deepest) marks at a time", at: at) }
        marks.append(UInt32(stack.count))
      case UInt8(ascii: ")"): try push(PickleArena.emptyTuple, at)
      case UInt8(ascii: "t"): try pushTuple(height: popMark(at), at)
      case 0x85, 0x86, 0x87: try pushTuple(height: try height(above: Int(opcode) - 0x84, at), at)
      // What lists and sets hold makes no tensor, so it isn't kept, unless that is asked for.
      case UInt8(ascii: "]"): try push(keepsLists ? arena.addList() : PickleArena.other, at)
      case 0x8F: try push(PickleArena.other, at)
      case UInt8(ascii: "l"), 0x91:
        try drop(to: popMark(at))
        try push(PickleArena.other, at)
      case UInt8(ascii: "a"): try extend(from: try height(above: 1, at), at)
      case UInt8(ascii: "e"), 0x90, UInt8(ascii: "u"): try extend(from: popMark(at), at)
      case UInt8(ascii: "s"): try extend(from: try height(above: 2, at), at)
      case UInt8(ascii: "}"): try push(arena.addDictionary(), at)
      case UInt8(ascii: "d"):
        let height = try popMark(at)
        let dictionary = arena.addDictionary()
        try put(from: height, into: dictionary, at)
        try push(dictionary, at)
      case UInt8(ascii: "0"):  // POP
        if marks.last.map(Int.init) == stack.count { marks.removeLast() } else { _ = try pop(at) }
      case UInt8(ascii: "1"): try drop(to: popMark(at))  // POP_MARK
      case UInt8(ascii: "2"): try push(try top(at), at)  // DUP

      case UInt8(ascii: "q"): try memoize(Int(try reader.byte("BINPUT")), at)
      case UInt8(ascii: "r"): try memoize(Int(try reader.integer(UInt32.self, "LONG_BINPUT")), at)
      case 0x94: try memoize(memo.count, at)
      case UInt8(ascii: "h"): try recall(Int(try reader.byte("BINGET")), at)
      case UInt8(ascii: "j"): try recall(Int(try reader.integer(UInt32.self, "LONG_BINGET")), at)

      case UInt8(ascii: "c"):
        let module = try readLine()
        try pushGlobal(module, try readLine(), at)
      case 0x93:  // STACK_GLOBAL
        let name = try pop(at)
        guard case .text(let moduleRange) = arena[try pop(at)], case .text(let nameRange) = arena[name] else {
          throw reader.corrupt("STACK_GLOBAL wants two strings", at: at)
        }
        try pushGlobal(try text(moduleRange), try text(nameRange), at)
      case UInt8(ascii: "R"), 0x81: try reduce(at)  // REDUCE, NEWOBJ
      case UInt8(ascii: "b"): try build(at)
      case UInt8(ascii: "Q"):
        let identifier = try pop(at)
        guard case .tuple = arena[identifier] else { throw reader.corrupt("the pickle wants a storage, but says of none which", at: at) }
        try push(arena.addPersistent(identifier), at)

      // PERSID, UNICODE, PUT and GET of the oldest protocol, whose storages torch itself can't find again.
      case UInt8(ascii: "P"), UInt8(ascii: "V"), UInt8(ascii: "p"), UInt8(ascii: "g"):
        throw unsupported("is written in pickle protocol 0, which torch can't load either; save it again with torch.save's own protocol", at)
      case 0x97, 0x98: throw unsupported("has buffers that lie outside of it", at)
      // INST, OBJ, NEWOBJ_EX and extensions make objects of any class.
      case UInt8(ascii: "i"), UInt8(ascii: "o"), 0x92, 0x82, 0x83, 0x84:
        throw unsafe("the pickle's opcode 0x\(String(opcode, radix: 16)) has no place in a state dict", at)
      default: throw reader.corrupt("0x\(String(opcode, radix: 16)) isn't an opcode of a pickle", at: at)
      }
    }
  }

  // MARK: Stack

  private mutating func push(_ value: Index, _ at: Int) throws(CheckpointError) {
    guard stack.count < Self.deepest else { throw reader.corrupt("the pickle piles up more than \(Self.deepest) values", at: at) }
    stack.append(UInt32(value))
  }

  /// Where the stack ends for what doesn't look below the last mark.
  private var floor: Int { marks.last.map(Int.init) ?? 0 }

  /// The height of the stack below its `count` topmost values.
  private func height(above count: Int, _ at: Int) throws(CheckpointError) -> Int {
    guard stack.count - floor >= count else { throw reader.corrupt("the pickle takes from an empty stack", at: at) }
    return stack.count - count
  }

  private func top(_ at: Int) throws(CheckpointError) -> Index { Int(stack[try height(above: 1, at)]) }

  private mutating func pop(_ at: Int) throws(CheckpointError) -> Index {
    let top = try top(at)
    stack.removeLast()
    return top
  }

  /// - Returns: the height of the stack at the last mark.
  private mutating func popMark(_ at: Int) throws(CheckpointError) -> Int {
    guard let mark = marks.popLast(), Int(mark) <= stack.count else { throw reader.corrupt("the pickle has no mark here", at: at) }
    return Int(mark)
  }

  private mutating func drop(to height: Int) { stack.removeLast(stack.count - height) }

  private mutating func pushTuple(height: Int, _ at: Int) throws(CheckpointError) {
    let tuple = arena.addTuple(stack[height...])
    drop(to: height)
    try push(tuple, at)
  }

  // MARK: Memo

  /// Picklers number what they store one by one, some from 1.
  private mutating func memoize(_ number: Int, _ at: Int) throws(CheckpointError) {
    let value = UInt32(try top(at))
    guard number <= memo.count + 1 else { throw reader.corrupt("the pickle stores memo \(number), where \(memo.count) is due", at: at) }
    if number == memo.count + 1 { memo.append(Self.absent) }
    if number < memo.count { memo[number] = value } else { memo.append(value) }
  }

  private mutating func recall(_ number: Int, _ at: Int) throws(CheckpointError) {
    guard number < memo.count, memo[number] != Self.absent else { throw reader.corrupt("the pickle asks for memo \(number), which it never stored", at: at) }
    try push(Int(memo[number]), at)
  }

  // MARK: Opcodes

  private mutating func readText(_ count: Int, _ at: Int) throws(CheckpointError) {
    let lower = reader.position - start
    try reader.skip(count, "a string")
    try push(arena.addText(lower..<lower + count), at)
  }

  private func text(_ range: Range<Int>) throws(CheckpointError) -> String {
    guard range.count <= Self.longestLine else { throw reader.corrupt("a global's name is over \(Self.longestLine) bytes long") }
    var name = ByteReader(reader.file, start + range.lowerBound..<start + range.upperBound)
    return try name.text(range.count, "a global's name")
  }

  /// Passes over a value that makes no tensor.
  private mutating func skip(_ count: Int, _ at: Int) throws(CheckpointError) {
    try reader.skip(count, "a byte string")
    try push(PickleArena.other, at)
  }

  private mutating func skipLine(_ at: Int) throws(CheckpointError) {
    while try reader.byte("a line of the pickle") != UInt8(ascii: "\n") {}
    try push(PickleArena.other, at)
  }

  private mutating func readLong(_ count: Int, _ at: Int) throws(CheckpointError) {
    guard count <= 8 else { throw unsupported("has an integer of \(count) bytes", at) }
    let bytes = try reader.bytes(count, "an integer")
    var value: UInt64 = 0
    for (index, byte) in bytes.enumerated() { value |= UInt64(byte) << (8 * index) }
    // Two's complement of `count` bytes.
    if count > 0, count < 8, bytes[count - 1] & 0x80 != 0 { value |= ~0 << (8 * count) }
    try push(arena.addInteger(Int(bitPattern: UInt(value))), at)
  }

  /// INT and LONG of protocol 1: decimal digits; `00` and `01` are false and true, and a LONG ends with an L.
  private mutating func readDecimal(_ opcode: UInt8, _ at: Int) throws(CheckpointError) {
    let line = try readLine()
    switch (opcode, line) {
    case (UInt8(ascii: "I"), "00"): try push(PickleArena.no, at)
    case (UInt8(ascii: "I"), "01"): try push(PickleArena.yes, at)
    default:
      guard let value = Int(opcode == UInt8(ascii: "L") && line.hasSuffix("L") ? String(line.dropLast()) : line) else {
        throw unsupported("has the integer \(line), which isn't one of 64 bits", at)
      }
      try push(arena.addInteger(value), at)
    }
  }

  private static let longestLine = 255

  private mutating func readLine() throws(CheckpointError) -> String {
    var line: [UInt8] = []
    while true {
      let byte = try reader.byte("a global's name")
      if byte == UInt8(ascii: "\n") { return String(decoding: line, as: UTF8.self) }
      line.append(byte)
      guard line.count <= Self.longestLine else { throw reader.corrupt("a global's name is over \(Self.longestLine) bytes long") }
    }
  }

  private mutating func pushGlobal(_ module: String, _ name: String, _ at: Int) throws(CheckpointError) {
    guard let global = PickleGlobal(module: module, name: name, in: vocabulary) else { throw unsafe("the pickle wants \(module).\(name), which has no place in a state dict", at) }
    try push(arena.addGlobal(global), at)
  }

  /// Puts the values above `height` at the end of the list, set or dictionary below them.
  private mutating func extend(from height: Int, _ at: Int) throws(CheckpointError) {
    guard height > floor else { throw reader.corrupt("the pickle takes from an empty stack", at: at) }
    let target = Int(stack[height - 1])
    switch arena[target] {
    case .dictionary: try put(from: height, into: target, at)
    case .list:
      arena.append(stack[height...], to: target)
      drop(to: height)
    case .other: drop(to: height)
    default: throw reader.corrupt("items are put into what isn't a list or a dictionary", at: at)
    }
  }

  private mutating func put(from height: Int, into dictionary: Index, _ at: Int) throws(CheckpointError) {
    guard (stack.count - height) % 2 == 0 else { throw reader.corrupt("a dictionary gets a key without a value", at: at) }
    arena.put(stack[height...], into: dictionary)
    drop(to: height)
  }

  private mutating func reduce(_ at: Int) throws(CheckpointError) {
    let arguments = try pop(at)
    guard case .global(let global) = arena[try pop(at)], case .tuple(let count) = arena[arguments] else {
      throw unsafe("the pickle calls what isn't a function that a state dict needs", at)
    }
    switch global.meaning {
    case .orderedDictionary where count == 0: try push(arena.addDictionary(), at)
    default: try push(arena.addCall(global, arguments: arguments), at)
    }
  }

  /// `OrderedDict` carries attributes (`_metadata`): they are dropped.
  private mutating func build(_ at: Int) throws(CheckpointError) {
    let state = try pop(at)
    let object = try top(at)
    switch arena[object] {
    case .dictionary: break
    case .call(let global, _) where global.meaning == .record: arena.setState(state, of: object)
    case .call(let global, _) where global.meaning == .bytes: break
    case .call(let global, _): throw unsupported("changes the state of what \(global.name) made; save it as a plain tensor", at)
    default: throw unsafe("the pickle sets the state of an object", at)
    }
  }

  private func unsafe(_ message: String, _ at: Int) -> CheckpointError {
    CheckpointError(.unsafe, in: reader.file.path, byte: at, "\(message); nothing was run")
  }

  private func unsupported(_ message: String, _ at: Int) -> CheckpointError {
    CheckpointError(.unsupported, in: reader.file.path, byte: at, "the pickle \(message)")
  }
}
