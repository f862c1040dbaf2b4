import SystemPackage

/// Files that are read and written whole: checklists, receipts, journals.
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

  /// Writes a file so that under its name there is all of it or what was there before, whatever happens: into a hidden file beside it, which is synced
  /// and then takes its name.
  /// - Parameter syncsFolder: whether it also survives a loss of power from now on. Otherwise what was there before may come back, whole.
  package static func write(_ bytes: [UInt8], to path: FilePath, syncsFolder: Bool = true) throws(Errno) {
    let partial = temporary(for: path)
    do {
      let descriptor = try FileDescriptor.open(
        partial, .writeOnly, options: [.create, .truncate, .closeOnExec, .noFollow], permissions: FilePermissions(rawValue: 0o666))
      try descriptor.closeAfter {
        try descriptor.write(all: bytes, at: 0)
        try descriptor.sync()
      }
      try partial.rename(to: path)
    } catch {
      partial.remove()
      throw error as? Errno ?? .ioError
    }
    if syncsFolder { try? syncFolder(of: path) }
  }

  /// The hidden file that `write` makes; a process that was killed may leave it.
  package static func temporary(for path: FilePath) -> FilePath {
    path.adding(before: ".", ".partial")
  }

  /// Makes the names in the folder of `path` survive a loss of power, where the file system can; some can't sync a folder.
  package static func syncFolder(of path: FilePath) throws(Errno) {
    try OpenFolder(path.removingLastComponent()).sync()
  }
}
