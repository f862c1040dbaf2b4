import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// Files that are read whole: checklists, receipts.
package enum SmallFile {
  /// The bytes of the regular file at `path`.
  /// - Throws: `Errno`; `.fileTooLarge` over `limit` bytes.
  package static func read(_ path: FilePath, atMost limit: Int) throws(Errno) -> [UInt8] {
    let file = try OpenFile(path)
    guard file.size <= limit else { throw .fileTooLarge }
    // A file that grows while it is read is cut at the size it had.
    return try [UInt8](unsafeUninitializedCapacity: file.size) { (buffer, count) throws(Errno) in
      while count < buffer.count {
        let read = try file.read(into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[count...]), at: count)
        guard read > 0 else { return }
        count += read
      }
    }
  }

  /// Writes a file so that under its name there is all of it or what was there before, whatever happens.
  package static func write(_ bytes: [UInt8], to path: FilePath) throws(Errno) {
    let folder = path.removingLastComponent()
    let partial = folder.appending(".\(path.lastComponent?.string ?? "").partial")
    let descriptor = partial.withPlatformString { open($0, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o666) }
    guard descriptor >= 0 else { throw Errno(rawValue: errno) }
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress.map { $0 + done }, bytes.count - done) }
      if count > 0 {
        done += count
      } else if errno != EINTR {
        break
      }
    }
    let isWhole = done == bytes.count && fsync(descriptor) == 0
    let failure = Errno(rawValue: errno)
    close(descriptor)
    guard isWhole, rename(partial.string, path.string) == 0 else {
      let error = isWhole ? Errno(rawValue: errno) : failure
      unlink(partial.string)
      throw error
    }
    let parent = open(folder.isEmpty ? "." : folder.string, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    if parent >= 0 {
      fsync(parent)
      close(parent)
    }
  }
}
