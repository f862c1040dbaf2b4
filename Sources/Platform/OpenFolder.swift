import CLinux
import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// A folder, open. Names in it are reached by way of its descriptor: what is done to them is done in this very folder, also after it was renamed or
/// another one was put in its place. Closed when the last reference goes.
///
/// None of the calls follows a link that lies under a name.
package final class OpenFolder: Sendable {
  package let descriptor: FileDescriptor

  /// Opens the folder that `path` leads to; links are followed. An empty path is the folder one is in.
  package init(_ path: FilePath) throws(Errno) {
    descriptor = try Self.open { flags throws(Errno) in
      let raw = (path.isEmpty ? "." : path).withPlatformString { Glibc.open($0, flags) }
      guard raw >= 0 else { throw Errno(rawValue: errno) }
      return FileDescriptor(rawValue: raw)
    }
  }

  /// Opens a folder in another.
  package init(_ name: FilePath.Component, in folder: OpenFolder) throws(Errno) {
    descriptor = try Self.open { flags throws(Errno) in try folder.open(name, flags | O_NOFOLLOW) }
  }

  /// Opens a folder that can't be read too, as long as names in it can be reached: such are those that hold the homes of several people.
  private static func open(_ call: (_ flags: Int32) throws(Errno) -> FileDescriptor) throws(Errno) -> FileDescriptor {
    do { return try call(O_RDONLY | O_DIRECTORY | O_CLOEXEC) } catch {
      guard error == .permissionDenied else { throw error }
      return try call(CLINUX_O_PATH | O_DIRECTORY | O_CLOEXEC)
    }
  }

  deinit { try? descriptor.close() }

  /// The folder that holds this one.
  package func parent() throws(Errno) -> OpenFolder { try OpenFolder("..", in: self) }

  // MARK: What is there

  package func status() throws(Errno) -> Stat { try descriptor.stat() }

  /// What lies under `name`.
  package func status(of name: FilePath.Component) throws(Errno) -> Stat {
    try Stat(FilePath(root: nil, CollectionOfOne(name)), relativeTo: descriptor, flags: .symlinkNoFollow)
  }

  /// All names in it, hidden ones too, in no order.
  package func names() throws(Errno) -> [FilePath.Component] {
    // The stream closes its descriptor, and moves the place where that one reads on.
    let again = try open(".", O_RDONLY | O_DIRECTORY)
    guard let stream = fdopendir(again.rawValue) else {
      let error = Errno(rawValue: errno)
      try? again.close()
      throw error
    }
    defer { closedir(stream) }
    return try Directory.names(stream)
  }

  /// Whether this process may make, rename and remove names in it.
  package var canBeChanged: Bool { faccessat(descriptor.rawValue, ".", W_OK | X_OK, AT_EACCESS) == 0 }

  /// Whether a file system is mounted on it, as far as the kernel tells (statx(2), Linux 5.8).
  package var isMountPoint: Bool { clinux_is_mount_root(descriptor.rawValue) == 1 }

  /// Where it lies now; nil where /proc doesn't tell.
  package var path: FilePath? {
    var bytes = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
    let count = readlink("/proc/self/fd/\(descriptor.rawValue)", &bytes, Int(PATH_MAX))
    return count > 0 ? bytes.withUnsafeBufferPointer { $0.baseAddress.map { FilePath(platformString: $0) } } : nil
  }

  // MARK: Changes

  /// - Parameter mode: of a file that is made, less what the process's mask takes away.
  package func open(_ name: FilePath.Component, _ flags: Int32, mode: mode_t = 0) throws(Errno) -> FileDescriptor {
    FileDescriptor(rawValue: try number { name.withPlatformString { openat(self.descriptor.rawValue, $0, flags | O_CLOEXEC, mode) } })
  }

  /// Makes a folder; the process's mask, the set-group-ID bit of this folder and its default access list decide its mode and its group.
  package func makeFolder(_ name: FilePath.Component) throws(Errno) {
    _ = try number { name.withPlatformString { mkdirat(self.descriptor.rawValue, $0, 0o777) } }
  }

  /// Removes what isn't a folder.
  package func remove(_ name: FilePath.Component) throws(Errno) {
    _ = try number { name.withPlatformString { unlinkat(self.descriptor.rawValue, $0, 0) } }
  }

  /// Removes an empty folder.
  package func removeFolder(_ name: FilePath.Component) throws(Errno) {
    _ = try number { name.withPlatformString { unlinkat(self.descriptor.rawValue, $0, AT_REMOVEDIR) } }
  }

  /// Gives what lies under `old` the name `new` in `folder`. A folder takes the place of an empty one; nothing takes the place of a full one.
  package func rename(_ old: FilePath.Component, to new: FilePath.Component, in folder: OpenFolder) throws(Errno) {
    _ = try number { old.withPlatformString { old in new.withPlatformString { renameat(self.descriptor.rawValue, old, folder.descriptor.rawValue, $0) } } }
  }

  /// The same, where nothing may lie under `new`: `.fileExists`.
  package func renameNew(_ old: FilePath.Component, to new: FilePath.Component, in folder: OpenFolder) throws(Errno) {
    do { try rename(old, to: new, in: folder, CLINUX_RENAME_NOREPLACE) } catch {
      guard Self.saysNoFlags(error) else { throw error }
      // Some file systems, NFS among them, have no flags: somebody may put something there between the two calls.
      do { _ = try folder.status(of: new) } catch {
        guard error == .noSuchFileOrDirectory else { throw error }
        return try rename(old, to: new, in: folder)
      }
      throw .fileExists
    }
  }

  /// Lets two names change places, at one moment.
  /// - Returns: false where the file system has no such thing, and nothing was done.
  package func exchange(_ name: FilePath.Component, with other: FilePath.Component, in folder: OpenFolder) throws(Errno) -> Bool {
    do { try rename(name, to: other, in: folder, CLINUX_RENAME_EXCHANGE) } catch {
      guard Self.saysNoFlags(error) else { throw error }
      return false
    }
    return true
  }

  private func rename(_ old: FilePath.Component, to new: FilePath.Component, in folder: OpenFolder, _ flags: UInt32) throws(Errno) {
    _ = try number { old.withPlatformString { old in new.withPlatformString { renameat2(self.descriptor.rawValue, old, folder.descriptor.rawValue, $0, flags) } } }
  }

  private static func saysNoFlags(_ error: Errno) -> Bool { [.invalidArgument, .noFunction, .notSupported].contains(error) }

  /// Gives it another folder's owner and group.
  package func setOwner(_ other: Stat) throws(Errno) {
    let own = try status()
    guard own.userID != other.userID || own.groupID != other.groupID else { return }
    _ = try number { fchown(self.descriptor.rawValue, other.userID.rawValue, other.groupID.rawValue) }
  }

  /// Gives it a mode, its set-user-ID, set-group-ID and sticky bits included.
  package func setPermissions(_ permissions: FilePermissions) throws(Errno) {
    _ = try number { fchmod(self.descriptor.rawValue, permissions.rawValue) }
  }

  /// Makes the names in it survive a loss of power, where that can be done: some file systems can't sync a folder, and one that can't be read can't be.
  package func sync() throws(Errno) {
    do { try descriptor.sync() } catch { guard [.invalidArgument, .notSupported, .badFileDescriptor].contains(error) else { throw error } }
  }

  private func number(_ call: () -> Int32) throws(Errno) -> Int32 {
    while true {
      let result = call()
      if result >= 0 { return result }
      guard errno == EINTR else { throw Errno(rawValue: errno) }
    }
  }
}
