import SystemPackage

/// Files that are read whole: checklists, receipts.
enum SmallFile {
  /// The bytes of the regular file at `path`.
  /// - Throws: `Errno`; `.fileTooLarge` over `limit` bytes.
  static func read(_ path: FilePath, atMost limit: Int) throws(Errno) -> [UInt8] {
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
}
