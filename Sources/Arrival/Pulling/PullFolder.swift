import Glibc
import Platform
import SystemPackage
import Transfer

/// The hidden folder beside an output in which a pull keeps what describes the model, as long as it runs:
///
///     .NAME.drover-pull/
///         lock      locked as long as the pull is alive
///         source/   the files beside the weights, where a download would put them
///
/// What a pull that was killed left in it, the next one to the same place goes on with.
public final class PullFolder: Sendable {
  let path: FilePath
  private let lock: FileDescriptor

  /// Where files land.
  var source: FilePath { path.appending("source") }

  /// - Throws: `TransferError.busyFolder` where another pull to the same place is alive; `.disk` where it can't be made.
  public init(for destination: FilePath) throws(TransferError) {
    let name = Directory.name(of: destination)
    var parent = destination.lexicallyNormalized().removingLastComponent()
    if destination.lastComponent?.kind != .regular { parent = destination.appending("..") }
    let path = parent.appending(".\(name).drover-pull")
    self.path = path
    do throws(Errno) {
      if path.withPlatformString({ mkdir($0, 0o777) }) != 0, errno != EEXIST { throw Errno(rawValue: errno) }
      lock = try Self.open(path.appending("lock"))
    } catch { throw .disk(path: path.string, errno: error.rawValue) }
    // File systems without locks must do without.
    if flock(lock.rawValue, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK { throw .busyFolder(destination.string) }
  }

  private static func open(_ path: FilePath) throws(Errno) -> FileDescriptor {
    do { return try FileDescriptor.open(path, .readWrite, options: [.create, .closeOnExec, .noFollow], permissions: [.ownerReadWrite, .groupReadWrite, .otherReadWrite]) } catch {
      throw error as? Errno ?? .ioError
    }
  }

  deinit { try? lock.close() }

  /// Removes it with all that is in it.
  public func remove() {
    Self.remove(source)
    path.appending("lock").remove()
    _ = path.withPlatformString { rmdir($0) }
  }

  private static func remove(_ folder: FilePath) {
    for name in (try? OpenFolder(folder).names()) ?? [] {
      let path = folder.appending(name)
      if (try? Stat(path, followTargetSymlink: false))?.type == .directory { remove(path) } else { path.remove() }
    }
    _ = folder.withPlatformString { rmdir($0) }
  }
}
