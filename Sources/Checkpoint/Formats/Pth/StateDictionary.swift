import Integrity
import SystemPackage

/// What a pickled state dict says: where in the file each tensor lies.
///
/// Source: `torch/_utils.py` and `torch/_tensor.py`.
struct StateDictionary {
  private typealias Index = PickleArena.Index

  private let file: any ByteSource
  /// Which of the checkpoint's files `file` is.
  private let index: Int
  private let storages: TorchStorages
  private let arena: PickleArena
  /// Byte of the file where the pickle starts.
  private let start: Int

  /// Functions within functions that make one tensor: a parameter of a class has three.
  private static let mostWrappers = 8
  /// As torch has it.
  private static let mostDimensions = 64
  /// torch has two bits.
  private static let mostBits = 16

  init(file: any ByteSource, index: Int, storages: TorchStorages, arena: PickleArena, start: Int) {
    (self.file, self.index, self.storages, self.arena, self.start) = (file, index, storages, arena, start)
  }

  func tensors(_ root: PickleArena.Index) throws(CheckpointError) -> StoredTensors {
    let (values, outer) = try state(root)
    var tensors = StoredTensors(byte: start)
    tensors.beside = outer
    var bytes = 0
    for (name, value) in values.sorted(by: { $0.key < $1.key }) {
      let tensor: Result<StoredTensor, NoWeight>
      switch try found(Int(value), name) {
      case .tensor(let found): tensor = .success(found)
      case .nothing(let reason): tensor = .failure(reason)
      case .code(let code, let found, let reason):
        tensors.place(code, found, name)
        bytes += StoredTensor.byteCount(found.dtype, found.shape) ?? 0
        tensor = .failure(reason)
      }
      if case .success(let tensor) = tensor { bytes += StoredTensor.byteCount(tensor.dtype, tensor.shape) ?? 0 }
      // Tied embeddings lie in one storage, and the file holds more than tensors. No tensor is larger than twice the file, so the sum can't overflow.
      guard bytes <= 2 * file.count else {
        throw corrupt("has tensors of over \(bytes) bytes, more than twice the \(file.count) of the file: several share their bytes; save copies of them")
      }
      _ = tensors.insert(tensor, name)
    }
    return tensors
  }

  /// The pickled object, which is a tensor.
  /// - Parameter name: of it, for errors.
  func tensor(_ root: PickleArena.Index, _ name: String) throws(CheckpointError) -> StoredTensor {
    switch try found(root, name) {
    case .tensor(let tensor): return tensor
    case .nothing(let reason), .code(_, _, let reason): throw CheckpointError(reason.reason, in: file.path, byte: start, "\(name) \(reason)")
    }
  }

  /// Some of the tensors as they are, whatever they are for.
  /// - Throws: for one that isn't plainly stored.
  func extras(_ names: Set<String>, _ root: PickleArena.Index) throws(CheckpointError) -> [ExtraTensor] {
    var extras: [ExtraTensor] = []
    for (name, value) in try state(root).values where names.contains(name) {
      guard case .call(var function, var arguments) = arena[Int(value)] else { throw corrupt("\(name) isn't a tensor, so it can't go along") }
      if function.meaning == .rebuildParameter, case .call(let inner, let innerArguments)? = self.value(0, arguments) { (function, arguments) = (inner, innerArguments) }
      guard case .rebuildTensor(version: 1...2) = function.meaning, case .persistent(let identifier)? = self.value(0, arguments), case .integer(let first)? = self.value(1, arguments),
        let shape = integers(arena.item(2, of: arguments)), let strides = integers(arena.item(3, of: arguments)), try bit(arena.item(6, of: arguments), name) == nil
      else { throw CheckpointError(.unsupported, in: file.path, byte: start, "\(name) isn't a plain tensor, so it can't go along") }
      let storage = try storage(identifier, name)
      guard let dtype = PthStorage.extra(String(storage.type.split(separator: ".").last ?? "")) else {
        throw CheckpointError(.unsupported, in: file.path, byte: start, "\(name) is stored as \(storage.type), which can't go along")
      }
      extras.append(ExtraTensor(name: name, dtype: dtype, shape: shape, bytes: try elements(dtype.width, shape, strides, first, storage, name)))
    }
    return extras
  }

  /// The elements of a tensor without gaps.
  private func elements(_ width: Int, _ shape: [Int], _ strides: [Int], _ first: Int, _ storage: Storage, _ name: String) throws(CheckpointError) -> [UInt8] {
    var count: Int? = width
    var last: Int? = first
    for (size, stride) in zip(shape, strides) {
      count = count.flatMap { product($0, size) }
      last = last.flatMap { last in product(max(0, size - 1), stride).flatMap { sum(last, $0) } }
    }
    guard strides.count == shape.count, let count, let last, first >= 0, count == 0 || last < storage.bytes.count / width, count <= ExtraTensor.mostBytes,
      storage.bytes.count <= 2 * ExtraTensor.mostBytes
    else { throw corrupt("\(name) (shape \(shape), strides \(strides)) reaches beyond its storage, or is too large to go along") }
    if count == 0 { return [] }
    let source = try file.bytes(storage.bytes.lowerBound + first * width..<storage.bytes.lowerBound + (last + 1) * width)
    let isPlain = shape.indices.allSatisfy { shape[$0] == 1 || strides[$0] == shape[($0 + 1)...].reduce(1, *) }
    if isPlain { return source }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count)
    var place = [Int](repeating: 0, count: shape.count)
    while bytes.count < count {
      let at = zip(place, strides).reduce(0) { $0 + $1.0 * $1.1 } * width
      bytes += source[at..<at + width]
      var dimension = shape.count - 1
      while dimension >= 0 {
        place[dimension] += 1
        if place[dimension] < shape[dimension] { break }
        place[dimension] = 0
        dimension -= 1
      }
    }
    return bytes
  }

  // MARK: Dictionaries

  /// Under which names trainers put the weights beside their own state, in a dictionary within the dictionary: torchtune and nanoGPT's `model`, Lightning's
  /// `state_dict`, many scripts' `model_state_dict`, DeepSpeed's `module`.
  private static let inner = ["model", "model_state_dict", "module", "state_dict"]
  private static let deepest = 4

  /// The dictionary with the tensors: the pickled object, or one within it.
  /// - Returns: it, and the names of what lies beside it.
  private func state(_ root: Index) throws(CheckpointError) -> (values: [String: UInt32], beside: [String]) {
    var values = try values(root)
    var beside: [String] = []
    for _ in 0..<Self.deepest {
      let inner = Self.inner.filter { values[$0].map { arena[Int($0)] == .dictionary && hasTensors(Int($0)) } ?? false }
      guard let name = inner.first, let only = values[name] else { break }
      guard inner.count == 1 else { throw corrupt("has tensors under \(inner.joined(separator: " and under ")): only one of them can be the model") }
      beside += values.keys.filter { $0 != name }.sorted()
      values = try self.values(Int(only))
    }
    return (values, beside)
  }

  private func values(_ dictionary: Index) throws(CheckpointError) -> [String: UInt32] {
    guard arena[dictionary] == .dictionary else { throw corrupt("the pickled object isn't a dictionary of tensors") }
    // As in Python, a key that comes again replaces the value.
    var values: [String: UInt32] = [:]
    for (key, value) in arena.pairs(of: dictionary) {
      guard case .text(let range) = arena[key] else { throw corrupt("the dictionary has a key that isn't a string") }
      values[try text(range, "a tensor's name")] = UInt32(value)
      guard values.count <= StoredTensors.most else { throw corrupt("has more than \(StoredTensors.most) tensors, which no model has") }
    }
    return values
  }

  /// Whether something in a dictionary, or in one of `inner` in it, is made by a function, as tensors are.
  private func hasTensors(_ dictionary: Index) -> Bool {
    arena.pairs(of: dictionary).contains { _, value in
      switch arena[value] {
      case .call: true
      case .dictionary: arena.pairs(of: value).contains { if case .call = arena[$0.value] { true } else { false } }
      default: false
      }
    }
  }

  // MARK: Calls

  private enum Found {
    case tensor(StoredTensor)
    case nothing(NoWeight)
    /// No weight by itself.
    case code(StoredCoding.Code, StoredTensor, NoWeight)
  }

  private func found(_ made: Index, _ name: String) throws(CheckpointError) -> Found {
    guard case .call(var function, var arguments) = arena[made] else { return .nothing(.value) }
    for _ in 0..<Self.mostWrappers {
      switch function.meaning {
      case .rebuildTensor(let version): return try rebuilt(arguments, version: version, name)
      case .rebuildParameter:
        // (data, requires_grad, backward_hooks[, state])
        guard case .call(let inner, let innerArguments)? = value(0, arguments) else { throw strange(name) }
        (function, arguments) = (inner, innerArguments)
      case .rebuildFromType:
        // (function, class, arguments, state): attributes of a plain tensor don't change its numbers.
        guard case .global(let inner)? = value(0, arguments), case .global(let type)? = value(1, arguments), let innerArguments = arena.item(2, of: arguments)
        else { throw strange(name) }
        guard type.meaning == .plainTensor else { return .nothing(.made(type.name)) }
        (function, arguments) = (inner, innerArguments)
      default: return .nothing(.made(function.name))
      }
    }
    throw strange(name)
  }

  /// - Parameter arguments: (storage, offset, size, stride), then of version 2 (requires_grad, backward_hooks[, metadata]), of version 3 (requires_grad,
  ///   backward_hooks, dtype[, metadata]).
  private func rebuilt(_ arguments: Index, version: Int, _ name: String) throws(CheckpointError) -> Found {
    let counts = [1: 4...4, 2: 6...7, 3: 7...8][version]
    guard case .tuple(let count) = arena[arguments], counts?.contains(count) == true, case .persistent(let identifier)? = value(0, arguments),
      case .integer(let first)? = value(1, arguments), let shape = integers(arena.item(2, of: arguments)), let strides = integers(arena.item(3, of: arguments))
    else { throw strange(name) }
    if let bit = try bit(arena.item(version == 3 ? 7 : 6, of: arguments), name) { return .nothing(.bit(bit)) }

    var storage = try storage(identifier, name)
    if version == 3 {
      guard case .global(let dtype)? = value(6, arguments), dtype.meaning == .dtype else { throw strange(name) }
      storage.dtype = PthStorage.dtype(torch: dtype.shortName)
      storage.code = PthStorage.code(dtype.shortName)
      storage.type = dtype.name
    }
    if let dtype = storage.dtype {
      switch try tensor(dtype, width: dtype.blockBytes, shape, strides, first, storage, name) {
      case .success(let tensor): return .tensor(tensor)
      case .failure(let reason): return .nothing(reason)
      }
    }
    let reason = NoWeight.dtype(storage.type)
    // Codes become bfloat16, as Meta's own code has it.
    guard let code = storage.code, case .success(let tensor) = try tensor(.bf16, width: 1, shape, strides, first, storage, name) else { return .nothing(reason) }
    return .code(code, tensor, reason)
  }

  /// torch's negative and conjugate bits, by name.
  /// - Returns: one that is set.
  private func bit(_ metadata: Index?, _ name: String) throws(CheckpointError) -> String? {
    guard let metadata, arena[metadata] != .none else { return nil }
    guard arena[metadata] == .dictionary else { throw strange(name) }
    for (place, (key, value)) in arena.pairs(of: metadata).enumerated() {
      guard place < Self.mostBits, case .text(let range) = arena[key], case .bool(let isSet) = arena[value] else { throw strange(name) }
      if isSet { return try text(range, "a bit's name") }
    }
    return nil
  }

  // MARK: Storages

  private struct Storage {
    /// The class as torch calls it.
    var type: String
    /// nil for what isn't a dtype of weights.
    var dtype: DType?
    var code: StoredCoding.Code?
    let key: String
    /// Of the file.
    let bytes: Range<Int>
    /// As the pickle says; of an untyped storage bytes.
    let elements: Int
    let isUntyped: Bool
  }

  /// `("storage", torch.FloatStorage, key, location, element count)`; in the old format with None behind it, or with `(key, offset, element count)` of the
  /// stretch that is meant.
  private func storage(_ identifier: Index, _ name: String) throws(CheckpointError) -> Storage {
    guard arena[identifier] == .tuple(count: storages.hasViews ? 6 : 5), case .text(let kind)? = value(0, identifier), try text(kind, "a storage") == "storage",
      case .global(let type)? = value(1, identifier), type.meaning == .storage, case .text(let keyRange)? = value(2, identifier),
      case .integer(let elements)? = value(4, identifier)
    else { throw corrupt("\(name) has no storage that torch would write") }
    let key = try text(keyRange, "a storage's key")
    guard var bytes = storages.place(key) else { throw corrupt("\(name) lies in storage \(key), which the file doesn't have") }
    var count = elements
    if storages.hasViews, let view = arena.item(5, of: identifier), arena[view] != .none {
      guard arena[view] == .tuple(count: 3), case .integer(let first)? = value(1, view), case .integer(let size)? = value(2, view),
        let width = PthStorage.width(type.shortName), let start = product(first, width), let length = product(size, width), let end = sum(start, length),
        end <= bytes.count
      else { throw corrupt("\(name) lies in a stretch of storage \(key) that isn't within it") }
      (bytes, count) = (bytes.lowerBound + start..<bytes.lowerBound + end, size)
    }
    return Storage(
      type: type.name, dtype: PthStorage.dtype(type.shortName), code: PthStorage.code(type.shortName), key: key, bytes: bytes, elements: count, isUntyped: type.shortName == "UntypedStorage")
  }

  /// - Parameter width: bytes of an element as it is stored.
  private func tensor(
    _ dtype: DType, width: Int, _ shape: [Int], _ strides: [Int], _ first: Int, _ storage: Storage, _ name: String
  ) throws(CheckpointError) -> Result<StoredTensor, NoWeight> {
    let elements = storage.isUntyped ? storage.elements / width : storage.elements
    guard let bytes = product(elements, width), bytes <= storage.bytes.count else {
      throw CheckpointError(
        .corrupt, in: file.path, byte: storage.bytes.lowerBound,
        "storage \(storage.key) of \(name) should have \(elements) elements, but has only \(storage.bytes.count) bytes")
    }
    guard strides.count == shape.count, first >= 0, strides.allSatisfy({ $0 >= 0 }), shape.allSatisfy({ $0 >= 0 }) else {
      throw corrupt("\(name) has the strides \(strides) and the offset \(first), which its shape \(shape) can't have")
    }
    guard (1...2).contains(shape.count), !shape.contains(0) else { return .failure(.shape(shape)) }
    // The last element must lie within the storage.
    var last: Int? = first
    for (size, stride) in zip(shape, strides) { last = last.flatMap { last in product(size - 1, stride).flatMap { sum(last, $0) } } }
    guard let last, last < elements else {
      throw corrupt("\(name) (shape \(shape), strides \(strides), offset \(first)) reaches beyond its storage of \(elements) elements")
    }
    // With a stride of 0, or rows that overlap, a few bytes would stand for a tensor of any size.
    guard let size = StoredTensor.byteCount(dtype, shape), size / dtype.blockBytes * width <= bytes,
      var tensor = StoredTensor(dtype: dtype, shape: shape, file: index, offset: storage.bytes.lowerBound + first * width)
    else {
      throw corrupt(
        "\(name) (shape \(shape), strides \(strides)) is larger than its storage of \(bytes) bytes, so its elements share them; save it as tensor.contiguous()")
    }
    // The stride of a dimension of one is never used, and may be anything.
    for (dimension, size) in shape.enumerated() { tensor.strides[dimension] = size > 1 ? strides[dimension] * width : tensor.strides[dimension] / dtype.blockBytes * width }
    return .success(tensor)
  }

  // MARK: Values

  private func value(_ place: Int, _ tuple: Index) -> PickleArena.Value? { arena.item(place, of: tuple).map { arena[$0] } }

  private func integers(_ tuple: Index?) -> [Int]? {
    guard let tuple, case .tuple(let count) = arena[tuple], count <= Self.mostDimensions else { return nil }
    var values: [Int] = []
    for place in 0..<count {
      guard case .integer(let integer)? = value(place, tuple) else { return nil }
      values.append(integer)
    }
    return values
  }

  private func text(_ range: Range<Int>, _ what: String) throws(CheckpointError) -> String {
    guard range.count <= StoredTensors.longestName else { throw corrupt("\(what) has \(range.count) bytes, and none is that long") }
    var reader = ByteReader(file, start + range.lowerBound..<start + range.upperBound)
    return try reader.text(range.count, what)
  }

  private func strange(_ name: String) -> CheckpointError { corrupt("\(name) isn't a tensor that torch would write") }

  private func corrupt(_ message: String) -> CheckpointError { CheckpointError(.corrupt, in: file.path, byte: start, message) }
}
