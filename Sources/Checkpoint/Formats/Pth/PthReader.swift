import SystemPackage

/// Reads one shard that `torch.save` wrote: a zip with a pickle of names and tensors, and a file for each storage.
///
/// Source: `torch/serialization.py` and `caffe2/serialize/inline_container.h`.
enum PthReader {
  /// - Parameter index: which of the checkpoint's files `file` is.
  static func read(_ file: any ByteSource, index: Int) throws(CheckpointError) -> StoredTensors {
    let (state, root, prefix) = try open(file, index: index)
    var stored = try state.tensors(root)
    stored.writtenAs = prefix
    return stored
  }

  /// Reads a file that holds one tensor and nothing else.
  /// - Parameter name: of the tensor, for errors.
  static func readTensor(_ file: any ByteSource, _ name: String) throws(CheckpointError) -> StoredTensor {
    let (state, root, _) = try open(file, index: 0)
    return try state.tensor(root, name)
  }

  static func extras(_ names: Set<String>, _ file: any ByteSource) throws(CheckpointError) -> [ExtraTensor] {
    let (state, root, _) = try open(file, index: 0)
    return try state.extras(names, root)
  }

  private static func open(_ file: any ByteSource, index: Int) throws(CheckpointError) -> (StateDictionary, root: PickleArena.Index, prefix: String) {
    let archive = try ZipArchive(file)
    let suffix = "/data.pkl"
    let pickles = archive.entries.values.filter { $0.name.hasSuffix(suffix) && $0.name.dropLast(suffix.count).contains("/") == false }
    guard pickles.count == 1, let pickle = pickles.first else {
      throw CheckpointError(
        .corrupt, in: file.path, byte: archive.directory, "is a zip, but holds \(pickles.count) entries <name>/data.pkl, where a checkpoint has one")
    }
    let prefix = String(pickle.name.dropLast(suffix.count))
    if let order = archive.entries[prefix + "/byteorder"] {
      let range = try archive.contentRange(of: order)
      guard range.count == 6, try file.bytes(range).elementsEqual("little".utf8) else {
        throw CheckpointError(.unsupported, in: file.path, byte: range.lowerBound, "was written on a big-endian machine")
      }
    }
    let range = try archive.contentRange(of: pickle)
    let (arena, root) = try Unpickler.read(file, range)
    let storages = TorchStorages(place: { archive.entries["\(prefix)/data/\($0)"]?.range }, hasViews: false)
    return (StateDictionary(file: file, index: index, storages: storages, arena: arena, start: range.lowerBound), root, prefix)
  }
}
