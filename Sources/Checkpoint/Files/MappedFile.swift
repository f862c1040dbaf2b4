import Platform
import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// A file of this machine in memory, read-only, for as long as this object lives: what the engine multiplies with.
///
/// Nothing is copied, and what isn't touched isn't read. A file that is cut short meanwhile ends the program when its lost pages are touched.
public final class MappedFile: @unchecked Sendable {
  // Unchecked: nobody writes to the memory, and it is mapped until `deinit`.

  /// All of the file; valid while this object lives.
  public let bytes: UnsafeRawBufferPointer

  init(_ file: OpenFile, _ path: FilePath) throws(CheckpointError) {
    guard file.size > 0 else {
      bytes = UnsafeRawBufferPointer(start: nil, count: 0)
      return
    }
    guard let map = mmap(nil, file.size, PROT_READ, MAP_PRIVATE, file.descriptor.rawValue, 0), map != MAP_FAILED else {
      throw CheckpointError(.io, in: path, "can't be mapped: \(Errno(rawValue: errno))")
    }
    bytes = UnsafeRawBufferPointer(start: map, count: file.size)
  }

  deinit { if let base = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: base), bytes.count) } }
}
