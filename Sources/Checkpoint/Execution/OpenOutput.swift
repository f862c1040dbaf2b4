import CLinux
import Integrity
import Platform
import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// A file of a plan that is being written. Any thread may write to any place of it.
final class OpenOutput: Sendable {
  let file: OutputFile
  let checksums: FileChecksums
  let chain: FileChain?
  private let folder: OutputFolder
  private let descriptor: FileDescriptor
  private let progress: FileProgress

  /// What it was when it was opened, where an earlier run had made it; nil where it is new.
  let found: FileStamp?

  /// - Parameter keeps: whether what an earlier run has written of it is gone on from.
  init(_ file: OutputFile, _ folder: OutputFolder, keeps: Bool = false, digests: Set<HashAlgorithm>, progress: FileProgress) throws(CheckpointError) {
    self.file = file
    self.folder = folder
    self.progress = progress
    (descriptor, found) = keeps ? try folder.reopen(file.name, bytes: file.byteCount) : (try folder.create(file.name, bytes: file.byteCount), nil)
    let checksums = FileChecksums(file)
    self.checksums = checksums
    let pieces = Dictionary(file.pieces.enumerated().map { ($1.offset, $0) }) { first, _ in first }
    chain = digests.isEmpty ? nil : FileChain(digests) { offset in pieces[offset].flatMap { checksums.bytes(ofPiece: $0) } }
  }

  deinit { try? descriptor.close() }

  /// Writes bytes whose checksum `checksums` is told.
  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(CheckpointError) {
    do { try descriptor.write(all: bytes, at: offset) } catch { throw folder.failure(file.name, error, file.byteCount) }
    chain?.add(bytes, at: offset)
    guard let stretch = progress.add(bytes.count, at: offset) else { return }
    // Starts writing to the disk, and doesn't wait: so the disk works while the processor does, and `sync` has little left to do.
    _ = sync_file_range(descriptor.rawValue, off_t(stretch.lowerBound), off_t(stretch.count), CLINUX_SYNC_FILE_RANGE_WRITE)
  }

  /// Writes what an earlier run has written, as its journal has it.
  func rewrite(_ bytes: [UInt8], at offset: Int) throws(CheckpointError) {
    do { try descriptor.write(all: bytes, at: offset) } catch { throw folder.failure(file.name, error, file.byteCount) }
  }

  /// - Returns: whether all of it could be read.
  func read(into memory: UnsafeMutableRawBufferPointer, at offset: Int) -> Bool { (try? descriptor.readAll(into: memory, at: offset)) != nil }

  /// Waits until what was written is on the disk.
  /// - Returns: what it is then.
  func syncData() throws(CheckpointError) -> FileStamp? {
    guard fdatasync(descriptor.rawValue) == 0 else { throw folder.failure(file.name, Errno(rawValue: errno), file.byteCount) }
    return FileStamp(of: descriptor)
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
