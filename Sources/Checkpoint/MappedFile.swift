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
  private let descriptor: Int32
  public let count: Int

  /// Maps the whole of `path`.
  /// - Throws: `Errno` from `open`, `fstat` or `mmap`.
  public init(path: FilePath) throws(Errno) {
    self.path = path
    // Without O_NONBLOCK a FIFO under a file's name would be waited for.
    let descriptor = Glibc.open(path.string, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw Errno(rawValue: errno) }
    do throws(Errno) {
      var status = stat()
      guard fstat(descriptor, &status) == 0 else { throw Errno(rawValue: errno) }
      guard status.st_mode & S_IFMT == S_IFREG else { throw status.st_mode & S_IFMT == S_IFDIR ? Errno.isDirectory : .invalidArgument }
      count = Int(status.st_size)
      if count > 0 {
        guard let map = mmap(nil, count, PROT_READ, MAP_SHARED, descriptor, 0), map != MAP_FAILED else { throw Errno(rawValue: errno) }
        base = map
      } else {
        base = nil
      }
      self.descriptor = descriptor
    } catch {
      close(descriptor)
      throw error
    }
  }

  deinit {
    if let base { munmap(base, count) }
    close(descriptor)
  }

  /// The file's bytes; valid while this object is alive.
  public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

  /// Reads into `buffer` without going through the map, so that nothing of it counts as resident.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(CheckpointError) {
    var done = 0
    while done < buffer.count {
      let count = pread(descriptor, buffer.baseAddress.map { $0 + done }, buffer.count - done, off_t(offset + done))
      if count > 0 {
        done += count
      } else if count == 0 {
        throw CheckpointError(.corrupt, in: path, byte: offset + done, "has become shorter while it was read")
      } else if errno != EINTR {
        throw CheckpointError(.io, in: path, byte: offset + done, "can't be read: \(Errno(rawValue: errno))")
      }
    }
  }

  /// Lets go of the pages of the map that are resident; they come back from the page cache when they are touched.
  func releasePages() { if let base { madvise(base, count, MADV_DONTNEED) } }
}
