import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// A regular file, open for reading; closed when the last reference goes.
package final class OpenFile: Sendable {
  package let descriptor: Int32
  /// Bytes, when it was opened.
  package let size: Int
  private let modified: timespec

  /// - Throws: what `open` and `fstat` say; `.isDirectory` or `.invalidArgument` for what isn't a regular file.
  package init(_ path: FilePath) throws(Errno) {
    // Without O_NONBLOCK a FIFO under a file's name would be waited for.
    descriptor = path.withPlatformString { open($0, O_RDONLY | O_CLOEXEC | O_NONBLOCK) }
    guard descriptor >= 0 else { throw Errno(rawValue: errno) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      let error = Errno(rawValue: errno)
      close(descriptor)
      throw error
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      close(descriptor)
      throw status.st_mode & S_IFMT == S_IFDIR ? .isDirectory : .invalidArgument
    }
    size = Int(status.st_size)
    modified = status.st_mtim
  }

  /// Whether somebody wrote to it since it was opened: what was read may be of no version of it.
  package var hasChanged: Bool {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { return true }
    return Int(status.st_size) != size || status.st_mtim.tv_sec != modified.tv_sec || status.st_mtim.tv_nsec != modified.tv_nsec
  }

  deinit { close(descriptor) }

  /// Reads once at `offset`.
  /// - Returns: bytes read; 0 at the end.
  package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(Errno) -> Int {
    while true {
      let count = pread(descriptor, buffer.baseAddress, buffer.count, off_t(offset))
      if count >= 0 { return count }
      guard errno == EINTR else { throw Errno(rawValue: errno) }
    }
  }
}
