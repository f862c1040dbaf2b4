import CLinux
import Glibc
import Platform
import SystemPackage

/// Moves what isn't ours out of a file's way, under a name that nothing has.
enum SetAside {
  /// Renames the file at `path` to `name` + `ending`, or with `.1`, `.2`, … behind it where that is taken.
  /// - Parameter name: nil for `path`.
  /// - Returns: the new name; nil where nothing lies at `path`.
  static func move(_ path: FilePath, as name: FilePath? = nil, ending: String) throws(Errno) -> FilePath? {
    for number in 0..<1_000_000 {
      let aside = (name ?? path).adding(ending + (number == 0 ? "" : ".\(number)"))
      do throws(Errno) {
        try moveWithoutReplacing(path, to: aside)
        return aside
      } catch {
        if error == .noSuchFileOrDirectory { return nil }
        if error != .fileExists { throw error }
      }
    }
    throw .fileExists
  }

  private static func moveWithoutReplacing(_ path: FilePath, to aside: FilePath) throws(Errno) {
    let noReplace: UInt32 = 1  // RENAME_NOREPLACE (linux/fs.h)
    func call(_ body: (UnsafePointer<CInterop.PlatformChar>, UnsafePointer<CInterop.PlatformChar>) -> Int32) -> Int32 {
      path.withPlatformString { path in aside.withPlatformString { body(path, $0) } }
    }
    if call({ renameat2(AT_FDCWD, $0, AT_FDCWD, $1, noReplace) }) == 0 { return }
    // NFS and some FUSE file systems know no such rename; a link made in its stead replaces nothing either.
    guard [EINVAL, ENOSYS, ENOTSUP].contains(errno) else { throw Errno(rawValue: errno) }
    if call({ link($0, $1) }) == 0 { return path.remove() }
    guard [EPERM, EOPNOTSUPP, ENOSYS].contains(errno) else { throw Errno(rawValue: errno) }
    // Neither: then looking first has to do.
    var status = stat()
    if aside.withPlatformString({ lstat($0, &status) }) == 0 { throw .fileExists }
    try path.rename(to: aside)
  }
}
