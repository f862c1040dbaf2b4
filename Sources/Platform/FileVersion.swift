import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// Which file something is, whatever it is called.
package struct FileIdentity: Hashable, Sendable {
  private let device: DeviceID
  private let inode: Inode

  package init(_ status: Stat) { (device, inode) = (status.deviceID, status.inode) }
}

/// What a write to a file changes: two looks that give the same saw the same bytes, unless somebody set the time back.
package struct FileVersion: Hashable, Sendable {
  private let identity: FileIdentity
  private let type: FileType
  private let size: Int64
  private let seconds, nanoseconds: Int

  package init(_ status: Stat) {
    (identity, type, size) = (FileIdentity(status), status.type, status.size)
    (seconds, nanoseconds) = (status.st_mtim.tv_sec, status.st_mtim.tv_nsec)
  }
}
