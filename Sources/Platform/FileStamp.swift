import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// What tells that a file was touched: as a journal keeps it of the file that it speaks of.
package struct FileStamp: Equatable, Sendable, Codable {
  package var inode: UInt64
  package var size: Int
  /// Nanoseconds since 1970. Times far away wrap around; only whether two are the same has to be right.
  package var modified: Int

  package init(inode: UInt64, size: Int, modified: Int) { (self.inode, self.size, self.modified) = (inode, size, modified) }

  package init(_ status: Stat) {
    self.init(
      inode: UInt64(status.inode.rawValue), size: Int(status.size), modified: Int(status.st_mtim.tv_sec) &* 1_000_000_000 &+ Int(status.st_mtim.tv_nsec))
  }

  /// nil when the system doesn't say.
  package init?(of descriptor: FileDescriptor) {
    guard let status = try? descriptor.stat() else { return nil }
    self.init(status)
  }

  /// Of what has the name `path`; of a symbolic link itself, not of what it leads to. nil when there is nothing.
  package init?(ofNamed path: FilePath) {
    guard let status = try? Stat(path, followTargetSymlink: false) else { return nil }
    self.init(status)
  }

  /// Seconds that a killed drover may have written on after its last journal: one is due every second, and takes time itself. Longer, on a disk
  /// that is slow to sync, costs no more than reading what is here.
  private static let mostBehind = 15

  /// Whether someone else may have written to the file since a journal was.
  /// - Parameters:
  ///   - earlier: the file's, in the journal.
  ///   - isClosed: whether nothing was written after the journal.
  ///   - length: of the whole file. It grew, where the file system couldn't promise room for all of it.
  ///   - journal: of the journal itself.
  package func isInDoubt(since earlier: FileStamp, isClosed: Bool, length: Int, journal: FileStamp) -> Bool {
    if inode != earlier.inode { return true }
    if isClosed { return self != earlier }
    // A drover that was killed wrote on for a moment after its last journal.
    if size < earlier.size || size > max(earlier.size, length) { return true }
    return modified < earlier.modified || modified > journal.modified &+ Self.mostBehind * 1_000_000_000
  }
}
