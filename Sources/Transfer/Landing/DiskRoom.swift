import Glibc
import Platform
import SystemPackage

/// How much more a file system takes.
enum DiskRoom {
  /// Bytes free for this user where `folder` is, or will be made. nil where nobody knows: some file systems (ramfs, some of FUSE's) have no blocks to report, which doesn't mean that there is no room.
  static func free(in folder: FilePath) throws(Errno) -> Int? {
    var folder = folder.isEmpty ? "." : folder
    var space = statvfs()
    while folder.withPlatformString({ statvfs($0, &space) }) != 0 {
      guard errno == ENOENT, !folder.isEmpty, folder != "." else { throw Errno(rawValue: errno) }
      if !folder.removeLastComponent() || folder.isEmpty { folder = "." }
    }
    let (room, overflow) = Int(clamping: space.f_bavail).multipliedReportingOverflow(by: Int(clamping: space.f_frsize))
    return space.f_blocks == 0 || overflow ? nil : room
  }
}
