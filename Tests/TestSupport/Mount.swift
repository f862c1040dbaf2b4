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
  private let holder: Process
  private let input = Pipe()

  /// Mounts on `folder`, which must exist.
  /// - Parameter megabytes: of an empty tmpfs; nil for the folder as it is, but read-only.
  public convenience init(on folder: String, megabytes: Int?) throws {
    try self.init(
      on: folder, megabytes.map { "mount -t tmpfs -o size=\($0)m none '\(folder)'" } ?? "mount --bind '\(folder)' '\(folder)' && mount -o remount,ro,bind '\(folder)'")
  }

  /// Mounts an empty ramfs, which says neither how large it is nor how full, and promises no room to a file.
  public convenience init(ramfsOn folder: String) throws { try self.init(on: folder, "mount -t ramfs none '\(folder)'") }

  private init(on folder: String, _ mount: String) throws {
    holder = Process()
    holder.executableURL = URL(filePath: "/usr/bin/unshare")
    holder.arguments = Self.flags + ["sh", "-c", "\(mount) && echo mounted && read end"]
    holder.standardInput = input
    let output = Pipe()
    holder.standardOutput = output
    holder.standardError = FileHandle.nullDevice
    try holder.run()
    guard let said = try output.fileHandleForReading.read(upToCount: 8), !said.isEmpty else {
      throw Nginx.Failed(description: "nothing could be mounted on \(folder)")
    }
    path = "/proc/\(holder.processIdentifier)/root" + folder
  }

  /// Unmounts, by the end of the namespace.
  public func stop() {
    try? input.fileHandleForWriting.close()
    holder.waitUntilExit()
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
