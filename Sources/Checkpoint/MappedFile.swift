import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// A file mapped read-only for as long as this object lives.
///
/// The bytes are shared with the page cache: nothing is copied, and what isn't touched isn't read.
public final class MappedFile: @unchecked Sendable {
  // Unchecked: the mapping is read-only and lives until `deinit`.
  public let path: FilePath
  private let base: UnsafeMutableRawPointer?
  public let count: Int

  /// Maps the whole of `path`.
  /// - Throws: `Errno` from `open`, `fstat` or `mmap`.
  public init(path: FilePath) throws(Errno) {
    self.path = path
    let descriptor = Glibc.open(path.string, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Errno(rawValue: errno) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw Errno(rawValue: errno) }
    count = Int(status.st_size)
    guard count > 0 else {
      base = nil
      return
    }
    guard let map = mmap(nil, count, PROT_READ, MAP_SHARED, descriptor, 0), map != MAP_FAILED else { throw Errno(rawValue: errno) }
    base = map
  }

  deinit {
    if let base { munmap(base, count) }
  }

  /// The file's bytes; valid while this object is alive.
  public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }
}
