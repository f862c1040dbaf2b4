import Integrity
import SystemPackage

/// Reads a folder that `torch.distributed.checkpoint.save` wrote: `.metadata`, and files in which pieces of tensors lie one after the other, each as
/// `torch.save` writes a tensor.
enum DCPReader {
  static let metadataName = ".metadata"

  /// Whether a folder is one of these.
  static func reads(_ folder: CheckpointFolder) -> Bool { folder.names.contains { $0.extension == "distcp" } }

  /// What trainers save beside a model's tensors: the first word of the names.
  private static let training: Set<Substring> = [
    "optim", "optimizer", "optimizers", "opt", "optimizer_state_dict", "lr_scheduler", "lr_schedulers", "scheduler", "dataloader", "train_state", "rng", "scaler",
  ]

  /// - Returns: what the folder holds, and the files that it lies in.
  static func read(_ folder: CheckpointFolder) throws(CheckpointError) -> (StoredTensors, files: [any ByteSource]) {
    let metadata = try DCPMetadata(folder.open(folder.path.appending(metadataName)))
    var stored = StoredTensors(byte: 0)
    stored.beside = metadata.others.sorted()
    let scheme = NamingScheme.of(metadata.tensors.keys.sorted()) ?? .meta
    var files: [any ByteSource] = []
    var numbers: [String: Int] = [:]
    for (name, tensor) in metadata.tensors.sorted(by: { $0.key < $1.key }) {
      guard scheme.meaning(ofWrapped: name) != nil else {
        if training.contains(name.prefix { $0 != "." }) { stored.beside.append(name) } else { _ = stored.insert(.failure(.shape(tensor.size)), name) }
        continue
      }
      var pieces: [StoredTensor] = []
      for chunk in tensor.chunks {
        if numbers[chunk.file] == nil {
          guard let component = FilePath.Component(chunk.file), component.kind == .regular else {
            throw CheckpointError(.corrupt, in: folder.path.appending(metadataName), "names the file \(chunk.file), which isn't in its folder")
          }
          numbers[chunk.file] = files.count
          files.append(try folder.open(folder.path.appending(component)))
        }
        let number = numbers[chunk.file] ?? 0
        pieces.append(try piece(chunk, of: name, files[number], number))
      }
      // No piece is larger than its file, so the sum can't overflow.
      let covered = pieces.reduce(0) { $0 + $1.rows * $1.columns }
      guard tensor.size.reduce(1, { product($0, $1) ?? .max }) == covered else {
        throw CheckpointError(.corrupt, in: folder.path.appending(metadataName), "has \(covered) elements of \(name) in all pieces, which its shape \(tensor.size) doesn't have")
      }
      _ = stored.insert(joined(tensor, pieces), name)
    }
    return (stored, files)
  }

  private static func piece(_ chunk: DCPMetadata.Chunk, of name: String, _ file: any ByteSource, _ number: Int) throws(CheckpointError) -> StoredTensor {
    guard chunk.bytes.upperBound <= file.count else {
      throw CheckpointError(.corrupt, in: file.path, byte: file.count, "ends before \(name), which lies at \(chunk.bytes): the file is cut off or of another checkpoint")
    }
    var tensor = try PthReader.readTensor(FilePiece(file: file, range: chunk.bytes), name)
    guard tensor.shape == chunk.sizes else {
      throw CheckpointError(.corrupt, in: file.path, byte: chunk.bytes.lowerBound, "has a piece of \(name) of the shape \(tensor.shape), and .metadata says \(chunk.sizes)")
    }
    tensor.file = number
    tensor.offset += chunk.bytes.lowerBound
    return tensor
  }

  /// The whole of which `pieces` are the chunks.
  private static func joined(_ tensor: DCPMetadata.Tensor, _ pieces: [StoredTensor]) -> Result<StoredTensor, NoWeight> {
    guard let first = pieces.first, (1...2).contains(tensor.size.count), pieces.allSatisfy({ $0.dtype == first.dtype }) else { return .failure(.shape(tensor.size)) }
    if pieces.count == 1, first.shape == tensor.size { return .success(first) }
    var whole = first
    whole.shape = tensor.size
    whole.pieces = zip(pieces, tensor.chunks).map { piece, chunk in
      var part = piece.part
      let isVector = tensor.size.count == 1
      let (row, column) = isVector ? (0, chunk.offsets[0]) : (chunk.offsets[0], chunk.offsets[1])
      part.rows = row..<row + piece.rows
      part.columns = column..<column + piece.columns
      return part
    }
    return .success(whole)
  }
}

/// A stretch of a file, read as a file of its own.
private struct FilePiece: ByteSource {
  let file: any ByteSource
  let range: Range<Int>

  var path: FilePath { file.path }
  var count: Int { range.count }
  var isHere: Bool { file.isHere }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(CheckpointError) {
    guard offset + buffer.count <= count else { throw CheckpointError(.corrupt, in: path, byte: range.lowerBound + offset, "has a piece that ends at byte \(range.upperBound)") }
    try file.read(into: buffer, at: range.lowerBound + offset)
  }
}
