import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// A regular file, open for reading; closed when the last reference goes.
package final class OpenFile: Sendable {
  package let descriptor: FileDescriptor
  /// Bytes, when it was opened.
  package let size: Int
  /// What it was when it was opened.
  package let version: FileVersion

  /// - Throws: what `open` and `fstat` say; `.isDirectory` or `.invalidArgument` for what isn't a regular file.
  package init(_ path: FilePath) throws(Errno) {
    // Without `nonBlocking`, opening a FIFO would wait for somebody to write to it.
    descriptor = try systemCall { try FileDescriptor.open(path, .readOnly, options: [.closeOnExec, .nonBlocking]) }
    do throws(Errno) {
      let status = try descriptor.stat()
      guard status.type == .regular else { throw status.type == .directory ? .isDirectory : .invalidArgument }
      (version, size) = (FileVersion(status), Int(status.size))
    } catch {
      try? descriptor.close()
      throw error
    }
  }

  /// Whether somebody wrote to it since it was opened: then what was read may belong to no one version of it.
  package var hasChanged: Bool {
    guard let now = try? descriptor.stat() else { return true }
    return FileVersion(now) != version
  }

  deinit { try? descriptor.close() }

  /// Reads once at `offset`.
  /// - Returns: bytes read; 0 at the end.
  package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(Errno) -> Int {
    try systemCall { try descriptor.read(fromAbsoluteOffset: Int64(offset), into: buffer) }
  }
}

/// swift-system's calls throw only `Errno`, but most aren't declared so.
func systemCall<R>(_ body: () throws -> R) throws(Errno) -> R {
  do { return try body() } catch { throw error as? Errno ?? .ioError }
}
