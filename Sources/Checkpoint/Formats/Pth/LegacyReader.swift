import SystemPackage

/// Reads a file as `torch.save` wrote it before version 1.6, and still does with `_use_new_zipfile_serialization=False`: five pickles (a magic number, the
/// format's version, what kind of machine wrote it, the object, the keys of its storages), and then the storages in the order of the keys, each behind the
/// number of its elements.
///
/// Source: `_legacy_save` and `_legacy_load` in `torch/serialization.py`; `THPStorage_(writeFileRaw)` in `torch/csrc/serialization.cpp`.
enum LegacyReader {
  /// The magic number as pickle's LONG1 has it: ten bytes, the lowest first.
  private static let magic: [UInt8] = [0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19]
  /// As protocols 0 and 1 write it.
  private static let decimalMagic = "L119547037146038801333356L\n."
  private static let version = 1001
  /// Of the pickle that says what kind of machine wrote the file, and of the one with the keys: numbers of some fifteen digits.
  private static let longestInfo = 4096, longestKeys = 8 << 20

  /// - Parameter head: the first bytes of a file, sixteen or more.
  static func isMagic(_ head: [UInt8]) -> Bool { magicLength(head) != nil }

  /// Bytes that the pickle of the magic number takes; nil where there is none.
  private static func magicLength(_ head: [UInt8]) -> Int? {
    if head.starts(with: decimalMagic.utf8.prefix(head.count)), head.count >= 16 { return decimalMagic.utf8.count }
    guard head.count > 4, head[0] == 0x80 else { return nil }
    // Protocol 4 and 5 put it into a frame, and an opcode and a length of eight bytes before it.
    let start = head[2] == 0x95 ? 11 : 2
    guard head.count > start + 2, head[start] == 0x8A, head[start + 1] == magic.count, head[(start + 2)...].starts(with: magic.prefix(head.count - start - 2))
    else { return nil }
    return start + 2 + magic.count + 1
  }

  /// - Parameter index: which of the checkpoint's files `file` is.
  static func read(_ file: any ByteSource, index: Int) throws(CheckpointError) -> StoredTensors {
    let (state, root) = try open(file, index: index)
    return try state.tensors(root)
  }

  static func extras(_ names: Set<String>, _ file: any ByteSource) throws(CheckpointError) -> [ExtraTensor] {
    let (state, root) = try open(file, index: 0)
    return try state.extras(names, root)
  }

  private static func open(_ file: any ByteSource, index: Int) throws(CheckpointError) -> (StateDictionary, root: PickleArena.Index) {
    let head = try file.bytes(0..<min(file.count, 32))
    guard let length = magicLength(head) else { throw CheckpointError(.corrupt, in: file.path, byte: 0, "isn't a file that torch wrote") }
    let versionPickle = try Unpickler.read(file, from: length, limit: longestInfo)
    guard case .integer(version) = versionPickle.0[versionPickle.root] else {
      throw CheckpointError(.unsupported, in: file.path, byte: length, "isn't of version \(version) of torch's old format, the only one there ever was")
    }
    let machine = try Unpickler.read(file, from: versionPickle.end, limit: longestInfo)
    try checkMachine(machine.0, machine.root, file, versionPickle.end)
    let start = machine.end
    let object = try Unpickler.read(file, from: start)
    let keys = try keys(file, object.end)
    let places = try places(keys.names, object.0, file, pickle: start, from: keys.end)
    let storages = TorchStorages(place: { places[$0] }, hasViews: true)
    return (StateDictionary(file: file, index: index, storages: storages, arena: object.0, start: start), object.root)
  }

  /// - Parameter start: byte of the pickle.
  private static func checkMachine(_ arena: PickleArena, _ root: PickleArena.Index, _ file: any ByteSource, _ start: Int) throws(CheckpointError) {
    for (key, value) in arena.pairs(of: root) {
      guard case .text(let range) = arena[key], range.count < 100 else { continue }
      var reader = ByteReader(file, start + range.lowerBound..<start + range.upperBound)
      if try reader.text(range.count, "a key") == "little_endian" {
        guard arena[value] == .bool(true) else { throw CheckpointError(.unsupported, in: file.path, byte: start, "was written on a big-endian machine") }
        return
      }
    }
    throw CheckpointError(.corrupt, in: file.path, byte: start, "doesn't say in which order of bytes it was written")
  }

  private static func keys(_ file: any ByteSource, _ start: Int) throws(CheckpointError) -> (names: [String], end: Int) {
    let (arena, root, end) = try Unpickler.read(file, from: start, limit: longestKeys, keepsLists: true)
    guard arena[root] == .list else { throw CheckpointError(.corrupt, in: file.path, byte: start, "has no list of storages") }
    var names: [String] = []
    for item in arena.items(of: root) {
      guard case .text(let range) = arena[item], range.count <= StoredTensors.longestName else {
        throw CheckpointError(.corrupt, in: file.path, byte: start, "has a storage whose key isn't a short string")
      }
      var reader = ByteReader(file, start + range.lowerBound..<start + range.upperBound)
      names.append(try reader.text(range.count, "a storage's key"))
    }
    return (names, end)
  }

  /// Where each storage lies. How wide its elements are, only the object that refers to it says.
  /// - Parameter pickle: byte of the object's pickle.
  private static func places(
    _ keys: [String], _ arena: PickleArena, _ file: any ByteSource, pickle: Int, from start: Int
  ) throws(CheckpointError) -> [String: Range<Int>] {
    var stated: [String: (elements: Int, width: Int)] = [:]
    for index in 0..<arena.count {
      guard case .persistent(let identifier) = arena[index] else { continue }
      // What isn't a storage that torch would write is refused where a tensor lies in it.
      guard let type = arena.item(1, of: identifier), case .global(let global) = arena[type], let width = PthStorage.width(global.shortName),
        let key = arena.item(2, of: identifier), case .text(let range) = arena[key], range.count <= StoredTensors.longestName,
        let count = arena.item(4, of: identifier), case .integer(let elements) = arena[count]
      else { continue }
      var reader = ByteReader(file, pickle + range.lowerBound..<pickle + range.upperBound)
      let name = try reader.text(range.count, "a storage's key")
      // torch makes the storage as what the first that refers to it says.
      if stated[name] == nil { stated[name] = (elements, width) }
    }
    var places: [String: Range<Int>] = [:]
    var position = start
    for key in keys {
      guard let (elements, width) = stated[key] else {
        throw CheckpointError(.corrupt, in: file.path, byte: start, "has the storage \(key), which nothing in it refers to")
      }
      guard elements >= 0, let bytes = product(elements, width), bytes <= file.count - position - 8 else {
        throw CheckpointError(
          .corrupt, in: file.path, byte: position, "the storage \(key) should have \(elements) elements of \(width) bytes, which aren't there: the file is cut off or damaged")
      }
      // Elsewhere each look would be a request; there the ends must agree.
      if file.isHere {
        var reader = ByteReader(file, position..<position + 8)
        let count = try reader.size("a storage's number of elements")
        guard count == elements else {
          throw CheckpointError(.corrupt, in: file.path, byte: position, "the storage \(key) has \(count) elements, and the pickle says \(elements)")
        }
      }
      guard places.updateValue(position + 8..<position + 8 + bytes, forKey: key) == nil else {
        throw CheckpointError(.corrupt, in: file.path, byte: position, "has the storage \(key) twice")
      }
      position += 8 + bytes
    }
    guard position == file.count else {
      throw CheckpointError(.corrupt, in: file.path, byte: position, "has \(file.count - position) bytes behind its last storage")
    }
    return places
  }
}
