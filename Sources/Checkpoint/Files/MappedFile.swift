import CMapGuard
import Platform
import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// A file of this machine in memory, read-only, for as long as this object lives: what the engine multiplies with.
///
/// Nothing is copied, and what isn't touched isn't read. Where a file is cut short meanwhile, or its disk fails, its lost pages read as zeros from then on:
/// whoever computes with them asks `checkWhole` before anything is made of the result.
public final class MappedFile: @unchecked Sendable {
  // Unchecked: nobody writes to the memory, which is mapped until `deinit`, and the guard's functions may be called by any thread.

  /// All of the file; valid while this object lives.
  public let bytes: UnsafeRawBufferPointer
  private let file: OpenFile
  private let path: FilePath
  /// nil where the file is empty.
  private let range: OpaquePointer?

  init(_ file: OpenFile, _ path: FilePath) throws(CheckpointError) {
    (self.file, self.path) = (file, path)
    guard file.size > 0 else {
      bytes = UnsafeRawBufferPointer(start: nil, count: 0)
      range = nil
      return
    }
    guard let map = mmap(nil, file.size, PROT_READ, MAP_PRIVATE, file.descriptor.rawValue, 0), map != MAP_FAILED else {
      throw CheckpointError(.io, in: path, "can't be mapped: \(Errno(rawValue: errno))")
    }
    guard let range = mapguard_watch(map, file.size) else {
      munmap(map, file.size)
      throw CheckpointError(.io, in: path, "can't be mapped: \(Errno.noMemory)")
    }
    (self.range, bytes) = (range, UnsafeRawBufferPointer(start: map, count: file.size))
  }

  deinit {
    if let range { mapguard_unwatch(range) }
    if let base = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: base), bytes.count) }
  }

  /// - Throws: `.corrupt` where the file has become shorter and what it lost was read; `.io` where a page of it couldn't be read.
  public func checkWhole() throws(CheckpointError) {
    guard let range, case let lost = mapguard_lost(range), lost >= 0 else { return }
    if let size = try? file.descriptor.stat().size, size < file.size {
      throw CheckpointError(
        .corrupt, in: path, byte: lost, "is gone: the file had \(file.size) bytes when it was opened, and has \(size) now; whoever cut it short, fetch it again and run `drover verify`")
    }
    throw CheckpointError(.io, in: path, byte: lost, "can't be read: the disk, or the server behind it, failed")
  }
}
