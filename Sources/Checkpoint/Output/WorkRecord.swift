import FoundationEssentials
import Platform
import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// What the lock in a work folder says of the run that has it, for the run that comes after one that was killed.
struct WorkRecord: Codable {
  /// The inode of `new`: an exchange of names leaves another folder under that name.
  let output: UInt
  /// The files that take their names one after the other in a folder that is filled; empty before that begins.
  var moving: [File] = []

  /// A file as it was in `new`.
  struct File: Codable {
    let name: String
    private let inode: UInt
    private let size: Int64
    private let seconds, nanoseconds: Int

    init(_ name: FilePath.Component, _ status: Stat) {
      self.name = name.string
      (inode, size, seconds, nanoseconds) = (status.inode.rawValue, status.size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec)
    }

    /// Whether `status` is of this file, which nobody has written to since.
    func isStill(_ status: Stat) -> Bool {
      status.type == .regular && (inode, size, seconds, nanoseconds) == (status.inode.rawValue, status.size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec)
    }
  }

  /// The names under which moved files lie in `folder`, untouched.
  func moved(in folder: OpenFolder) -> [FilePath.Component] {
    moving.compactMap { file in
      guard let name = FilePath.Component(file.name), let status = try? folder.status(of: name), file.isStill(status) else { return nil }
      return name
    }
  }

  // MARK: The lock's content

  /// A model has some hundred files.
  private static let mostBytes = 1 << 20

  /// - Returns: nil where the lock says nothing, or not all of it: the run was killed before.
  init?(in lock: FileDescriptor) {
    var bytes = [UInt8](repeating: 0, count: Self.mostBytes)
    guard let count = bytes.withUnsafeMutableBytes({ try? lock.read(fromAbsoluteOffset: 0, into: $0) }),
      let record = try? JSONDecoder().decode(WorkRecord.self, from: Data(bytes[..<count]))
    else { return nil }
    self = record
  }

  init(output: Stat) { self.output = output.inode.rawValue }

  func write(to lock: FileDescriptor) throws(Errno) {
    guard let bytes = try? JSONText.encode(self, isCompact: true), bytes.count <= Self.mostBytes else { throw .fileTooLarge }
    try lock.write(all: bytes, at: 0)
    do { try lock.resize(to: Int64(bytes.count)) } catch { throw error as? Errno ?? .ioError }
    try lock.sync()
  }
}
