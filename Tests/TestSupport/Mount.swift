import Foundation
import Glibc
import Testing

extension Trait where Self == ConditionTrait {
  /// Skips the test where nothing may be mounted, except under CI.
  public static var needsMounts: Self { .enabled(if: Mount.isPossible || Peer.isCI, "needs to mount in a namespace of its own (unshare -m)") }
}

/// A file system of a few megabytes, or one that can't be written, in a mount namespace that nobody else sees.
public final class Mount {
  /// The mounted folder, from outside of the namespace.
  public let path: String
  private let holder: Child
  private let input: Int32

  /// Mounts on `folder`, which must exist.
  /// - Parameter megabytes: of an empty tmpfs; nil for the folder as it is, but read-only.
  public convenience init(on folder: String, megabytes: Int?) throws {
    try self.init(
      on: folder, megabytes.map { "mount -t tmpfs -o size=\($0)m none '\(folder)'" } ?? "mount --bind '\(folder)' '\(folder)' && mount -o remount,ro,bind '\(folder)'")
  }

  /// Mounts an empty ramfs, which says neither how large it is nor how full, and promises no room to a file.
  public convenience init(ramfsOn folder: String) throws { try self.init(on: folder, "mount -t ramfs none '\(folder)'") }

  private init(on folder: String, _ mount: String) throws {
    // The namespace ends when nobody can write to its holder's input any more.
    let (end, input) = try streamPair()
    self.input = input
    holder = try Child("/usr/bin/unshare", Self.flags + ["sh", "-c", "\(mount) && echo mounted && read end"], input: .descriptor(end), output: .descriptor(end))
    close(end)
    var said: UInt8 = 0
    guard read(input, &said, 1) == 1 else { throw Nginx.Failed(description: "nothing could be mounted on \(folder)") }
    path = "/proc/\(holder.processIdentifier)/root" + folder
  }

  /// Unmounts, by the end of the namespace.
  public func stop() {
    close(input)
    holder.wait()
  }

  /// How `unshare` gives a program mounts of its own.
  public static let flags = getuid() == 0 ? ["-m"] : ["-r", "-m"]

  /// Whether this machine lets us; some containers don't.
  public static let isPossible: Bool = {
    guard FileManager.default.fileExists(atPath: "/usr/bin/unshare") else { return false }
    let probe = try? withTemporaryFolder { folder in
      let mount = try Mount(on: folder, megabytes: 1)
      defer { mount.stop() }
      return FileManager.default.createFile(atPath: mount.path + "/x", contents: Data([1]))
    }
    return probe == true
  }()
}
