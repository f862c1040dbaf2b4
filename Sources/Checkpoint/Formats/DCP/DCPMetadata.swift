import SystemPackage

/// What a distributed checkpoint's `.metadata` says: which tensors there are, in which pieces, and where those lie.
///
/// Source: `torch/distributed/checkpoint/metadata.py` and `filesystem.py`.
struct DCPMetadata {
  struct Chunk {
    /// Of the whole tensor, by dimension.
    let offsets: [Int]
    let sizes: [Int]
    /// A file in the folder, and the bytes of it that hold what `torch.save` made of the piece.
    let file: String
    let bytes: Range<Int>
  }

  struct Tensor {
    let size: [Int]
    let chunks: [Chunk]
  }

  private(set) var tensors: [String: Tensor] = [:]
  /// Names of what isn't a tensor.
  private(set) var others: [String] = []

  private let file: any ByteSource
  private let bytes: [UInt8]
  private let arena: PickleArena

  private typealias Index = PickleArena.Index
  private static let mostDimensions = 64

  init(_ file: any ByteSource) throws(CheckpointError) {
    self.file = file
    let (arena, root) = try Unpickler.readDistributedMetadata(file)
    self.arena = arena
    bytes = try file.bytes(0..<file.count)
    guard let states = member("state_dict_metadata", of: root, "Metadata"), let places = member("storage_data", of: root, "Metadata"), arena[states] == .dictionary,
      arena[places] == .dictionary
    else { throw corrupt("isn't the metadata of a distributed checkpoint") }

    var stored: [Place: (file: String, bytes: Range<Int>)] = [:]
    for (key, value) in arena.pairs(of: places) {
      guard let name = text(member("fqn", of: key, "MetadataIndex")), let path = text(member("relative_path", of: value, "_StorageInfo")),
        let offset = integer(member("offset", of: value, "_StorageInfo")), let length = integer(member("length", of: value, "_StorageInfo")), offset >= 0, length >= 0,
        let end = sum(offset, length)
      else { throw corrupt("has a piece that doesn't say where it lies") }
      if let changes = member("transform_descriptors", of: value, "_StorageInfo"), arena[changes] != .none {
        throw CheckpointError(.unsupported, in: file.path, byte: 0, "has \(name) in a form that was changed on the way to the disk, by compression or the like")
      }
      let offsets = member("offset", of: key, "MetadataIndex").flatMap { arena[$0] == .none ? [] : sizes($0) }
      stored[Place(name: name, offsets: offsets ?? [])] = (path, offset..<end)
    }
    for (key, value) in arena.pairs(of: states) {
      guard let name = text(key) else { throw corrupt("has a name that isn't a string") }
      guard let chunks = member("chunks", of: value, "TensorStorageMetadata"), let size = sizes(member("size", of: value, "TensorStorageMetadata")) else {
        others.append(name)
        continue
      }
      var pieces: [Chunk] = []
      for chunk in arena.items(of: chunks) {
        guard let offsets = sizes(member("offsets", of: chunk, "ChunkStorageMetadata")), let sizes = sizes(member("sizes", of: chunk, "ChunkStorageMetadata")),
          offsets.count == size.count, sizes.count == size.count, (offsets + sizes + size).allSatisfy({ $0 >= 0 })
        else { throw corrupt("has a piece of \(name) without a place in it") }
        guard zip(zip(offsets, sizes), size).allSatisfy({ piece, whole in sum(piece.0, piece.1).map { $0 <= whole } ?? false }) else {
          throw corrupt("has a piece of \(name), of the shape \(sizes) at \(offsets), that reaches beyond its shape \(size)")
        }
        guard let place = stored[Place(name: name, offsets: offsets)] else { throw corrupt("doesn't say where the piece of \(name) at \(offsets) lies") }
        pieces.append(Chunk(offsets: offsets, sizes: sizes, file: place.file, bytes: place.bytes))
      }
      tensors[name] = Tensor(size: size, chunks: pieces)
      guard tensors.count <= StoredTensors.most else { throw corrupt("has more than \(StoredTensors.most) tensors, which no model has") }
    }
  }

  private struct Place: Hashable {
    let name: String
    let offsets: [Int]
  }

  // MARK: Values

  /// What an object of a class has under a name.
  private func member(_ name: String, of object: Index, _ type: String) -> Index? {
    guard case .record(let global, let state) = arena[object], global.shortName == type else { return nil }
    for (key, value) in arena.pairs(of: state) {
      if case .text(let range) = arena[key], bytes[range].elementsEqual(name.utf8) { return value }
    }
    return nil
  }

  private func text(_ index: Index?) -> String? {
    guard let index, case .text(let range) = arena[index], range.count <= StoredTensors.longestName else { return nil }
    return String(validating: bytes[range], as: UTF8.self)
  }

  private func integer(_ index: Index?) -> Int? {
    guard let index, case .integer(let value) = arena[index] else { return nil }
    return value
  }

  /// `torch.Size((…))`.
  private func sizes(_ index: Index?) -> [Int]? {
    guard let index, case .call(let global, let arguments) = arena[index], global.name == "torch.Size", let tuple = arena.item(0, of: arguments),
      case .tuple(let count) = arena[tuple], count <= Self.mostDimensions
    else { return nil }
    var values: [Int] = []
    for place in 0..<count {
      guard let value = integer(arena.item(place, of: tuple)) else { return nil }
      values.append(value)
    }
    return values
  }

  private func corrupt(_ message: String) -> CheckpointError { CheckpointError(.corrupt, in: file.path, byte: 0, message) }
}
