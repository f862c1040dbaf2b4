import CLinux
import Integrity
import Platform
import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// Writes chunks of tensors to the places that a plan has for them. One for each thread: it has room of its own.
struct ChunkWriter {
  let files: [OpenOutput]
  private var room = Room()

  init(files: [OpenOutput]) { self.files = files }

  /// - Parameters:
  ///   - bytes: the chunk, row by row in Meta's order, without gaps.
  ///   - keep: takes what isn't hashed as a weight, with its file and the byte where it lies.
  mutating func write(
    _ chunk: TensorPlan.Chunk, of plan: TensorPlan, _ bytes: UnsafeRawBufferPointer, keep: (_ file: Int, _ offset: Int, [UInt8]) -> Void
  ) throws(CheckpointError) {
    guard let base = bytes.baseAddress else { return }
    let pitch = plan.dtype.byteCount(chunk.columns.count)
    for destination in plan.destinations {
      let region = destination.region
      let (rows, columns) = (region.rows.clamped(to: chunk.rows), region.columns.clamped(to: chunk.columns))
      guard !rows.isEmpty, !columns.isEmpty else { continue }
      let width = region.rowBytes
      let from = base + plan.dtype.byteCount(columns.lowerBound - chunk.columns.lowerBound)
      let runs = region.order.runs(rows)
      if columns != region.columns {
        // In the order of the source a chunk may be a part of each row.
        let (start, part) = (plan.dtype.byteCount(columns.lowerBound - region.columns.lowerBound), plan.dtype.byteCount(columns.count))
        for run in runs {
          for step in 0..<run.count {
            let piece = UnsafeRawBufferPointer(start: from + (run.meta + step * run.step - chunk.rows.lowerBound) * pitch, count: part)
            let offset = destination.offset + (run.disk + step - region.rows.lowerBound) * width + start
            try files[destination.file].write(piece, at: offset, piece: destination.piece)
          }
        }
        continue
      }
      var index = 0
      while index < runs.count {
        // As many runs as follow each other in the file.
        var end = index + 1
        while end < runs.count, runs[end].disk == runs[end - 1].disk + runs[end - 1].count { end += 1 }
        let count = runs[index..<end].reduce(0) { $0 + $1.count }
        let offset = destination.offset + (runs[index].disk - region.rows.lowerBound) * width
        var stretch = UnsafeRawBufferPointer(start: from + (runs[index].meta - chunk.rows.lowerBound) * pitch, count: count * width)
        if width != pitch || runs[index].step != 1 {
          let to = room.of(count * width)
          var row = 0
          for run in runs[index..<end] {
            for step in 0..<run.count {
              memcpy(to + row * width, from + (run.meta + step * run.step - chunk.rows.lowerBound) * pitch, width)
              row += 1
            }
          }
          stretch = UnsafeRawBufferPointer(start: to, count: count * width)
        }
        try files[destination.file].write(stretch, at: offset, piece: destination.piece)
        if plan.tensor.name.role.isBuffer { keep(destination.file, offset, Array(stretch)) }
        index = end
      }
    }
  }
}

/// A file of a plan that is being written. Any thread may write to any place of it.
final class OpenOutput: Sendable {
  let file: OutputFile
  let checksums: FileChecksums
  let chain: FileChain?
  private let folder: OutputFolder
  private let descriptor: FileDescriptor
  private let progress: FileProgress

  init(_ file: OutputFile, _ folder: OutputFolder, digests: Set<HashAlgorithm>, progress: FileProgress) throws(CheckpointError) {
    self.file = file
    self.folder = folder
    self.progress = progress
    descriptor = try folder.create(file.name, bytes: file.byteCount)
    let checksums = FileChecksums(file)
    self.checksums = checksums
    let pieces = Dictionary(file.pieces.enumerated().map { ($1.offset, $0) }) { first, _ in first }
    chain = digests.isEmpty ? nil : FileChain(digests) { offset in pieces[offset].flatMap { checksums.bytes(ofPiece: $0) } }
  }

  deinit { try? descriptor.close() }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int, piece: Int) throws(CheckpointError) {
    checksums.add(bytes, at: offset, piece: piece)
    try write(bytes, at: offset)
    chain?.add(bytes, at: offset)
    guard let stretch = progress.add(bytes.count, at: offset) else { return }
    // Starts writing to the disk, and doesn't wait: so the disk works while the processor does, and `sync` has little left to do.
    _ = sync_file_range(descriptor.rawValue, off_t(stretch.lowerBound), off_t(stretch.count), CLINUX_SYNC_FILE_RANGE_WRITE)
  }

  private func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(CheckpointError) {
    do { try descriptor.write(all: bytes, at: offset) } catch { throw folder.failure(file.name, error, file.byteCount) }
  }

  /// Writes what isn't a tensor's, when all tensors are written.
  func writeRest() throws(CheckpointError) {
    for (index, piece) in file.pieces.enumerated() {
      guard let bytes = checksums.bytes(ofPiece: index) else { continue }
      do { try descriptor.write(all: bytes, at: piece.offset) } catch { throw folder.failure(file.name, error, file.byteCount) }
      _ = progress.add(bytes.count, at: piece.offset)
    }
  }

  /// Digests of the whole file, of what was written in another order than its own: it is read back.
  func readBack(_ algorithms: Set<HashAlgorithm>) throws(CheckpointError) -> [HashAlgorithm: ChainedDigest] {
    var (md5, sha256) = (ChainedHash<MD5>(), ChainedHash<SHA256>())
    let block = Block(count: ReshardPlan.chunkBytes)
    for offset in stride(from: 0, to: file.byteCount, by: block.count) {
      let memory = UnsafeMutableRawBufferPointer(rebasing: block.memory[..<min(block.count, file.byteCount - offset)])
      do { try descriptor.readAll(into: memory, at: offset) } catch { throw folder.failure(file.name, error, file.byteCount) }
      if algorithms.contains(.md5) { md5.update(UnsafeRawBufferPointer(memory)) }
      if algorithms.contains(.sha256) { sha256.update(UnsafeRawBufferPointer(memory)) }
    }
    return [.md5: md5.finalize(), .sha256: sha256.finalize()].filter { algorithms.contains($0.key) }
  }

  func sync() throws(CheckpointError) {
    do { try descriptor.sync() } catch { throw folder.failure(file.name, error, file.byteCount) }
  }
}
