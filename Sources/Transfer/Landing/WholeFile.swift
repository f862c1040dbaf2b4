import CLinux
import Glibc
import Platform
import SystemPackage

/// A small file that came whole, in one answer: its bytes are in memory, and nothing of it is on the disk.
///
/// It needs no journal, since it is fetched again in no time. Many get their names together: all are written, one sync of the file system makes them
/// safe, and then each takes its name, so that a name appears only once its bytes are safe.
struct WholeFile: Sendable {
  let file: Int
  let part: PartialFile
  let content: [UInt8]
  let hash: FileHash

  /// The longest that is treated so: to fetch it again takes a moment.
  static let mostBytes = 128 << 10

  /// What came of one.
  struct Named: Sendable {
    let file: Int
    /// What another file under its name is called now.
    var kept: String?
    var failure: TransferError?
  }

  /// Writes the files, syncs them all, and then gives them their names.
  static func name(_ files: [WholeFile]) -> [Named] {
    var named = files.map { Named(file: $0.file) }
    var folders: [FilePath: NamesFolder] = [:]
    for (index, whole) in files.enumerated() {
      do throws(TransferError) {
        let path = whole.part.folder
        if folders[path] == nil {
          do throws(Errno) { folders[path] = try NamesFolder(path) } catch { throw whole.part.failure(error) }
        }
        try whole.write(syncsAlone: folders[path]?.syncsEachFile ?? true)
      } catch { named[index].failure = error }
    }
    var synced: Set<UInt> = []
    var failure: Errno?
    for folder in folders.values where synced.insert(folder.device).inserted && syncfs(folder.folder.descriptor.rawValue) != 0 { failure = Errno(rawValue: errno) }
    for (index, whole) in files.enumerated() where named[index].failure == nil {
      if let failure { named[index].failure = whole.part.failure(failure) } else {
        do throws(Errno) { named[index].kept = try whole.part.takeName(whole.hash, isJournaled: false) } catch { named[index].failure = whole.part.failure(error) }
      }
    }
    for (path, folder) in folders {
      do throws(Errno) { try folder.folder.sync() } catch {
        for (index, whole) in files.enumerated() where named[index].failure == nil && whole.part.folder == path { named[index].failure = whole.part.failure(error) }
      }
    }
    return named
  }

  private func write(syncsAlone: Bool) throws(TransferError) {
    defer { part.closeDescriptor() }
    do {
      try content.withUnsafeBytes { bytes in try part.opened().write(all: bytes, at: 0) }
      if syncsAlone { try part.opened().sync() }
    } catch { throw error as? TransferError ?? part.failure(error) }
  }
}

/// A folder in which files get names.
private struct NamesFolder {
  let folder: OpenFolder
  let device: UInt
  /// Whether its file system leaves out files when all of it is synced: FUSE does (fs/fuse/inode.c, `fuse_sync_fs`).
  let syncsEachFile: Bool

  init(_ path: FilePath) throws(Errno) {
    folder = try OpenFolder(path)
    device = UInt(try folder.status().deviceID.rawValue)
    var system = statfs()
    // FUSE_SUPER_MAGIC (linux/magic.h).
    syncsEachFile = fstatfs(folder.descriptor.rawValue, &system) == 0 && Int(system.f_type) == 0x6573_5546
  }
}
