import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// What lies in a folder.
enum Folder {
  enum Kind: Equatable { case file, folder }

  /// What `path` is, links followed; nil when it is neither a regular file nor a folder.
  /// - Throws: what `stat` says.
  static func kind(of path: FilePath) throws(Errno) -> Kind? {
    var status = stat()
    guard path.withPlatformString({ stat($0, &status) }) == 0 else { throw Errno(rawValue: errno) }
    return switch status.st_mode & S_IFMT {
    case S_IFREG: .file
    case S_IFDIR: .folder
    default: nil
    }
  }

  /// Bytes of the regular file at `path`; nil when there is none.
  static func size(of path: FilePath) -> Int? {
    var status = stat()
    guard path.withPlatformString({ stat($0, &status) }) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
    return Int(status.st_size)
  }

  /// All regular files in and under `path`, in the order of their names. Hidden ones are left out, and links to folders aren't followed.
  /// - Throws: `Errno` of the first folder that can't be read.
  static func files(under path: FilePath) throws(Errno) -> [FilePath] {
    var files: [FilePath] = []
    var folders: [FilePath] = []
    for name in try names(in: path) {
      let item = path.appending(name)
      var link = stat()
      guard item.withPlatformString({ lstat($0, &link) }) == 0 else { continue }
      let isLink = link.st_mode & S_IFMT == S_IFLNK
      switch try? kind(of: item) {
      case .file: files.append(item)
      case .folder where !isLink: folders.append(item)
      default: continue
      }
    }
    for folder in folders { files += try Self.files(under: folder) }
    return files
  }

  private static func names(in path: FilePath) throws(Errno) -> [FilePath.Component] {
    guard let stream = path.withPlatformString({ opendir($0) }) else { throw Errno(rawValue: errno) }
    defer { closedir(stream) }
    var names: [FilePath.Component] = []
    errno = 0
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
        tuple.withMemoryRebound(to: CInterop.PlatformChar.self, capacity: 256) { FilePath.Component(platformString: $0) }
      }
      if let name, name.kind == .regular, !name.string.hasPrefix(".") { names.append(name) }
    }
    guard errno == 0 else { throw Errno(rawValue: errno) }
    return names.sorted { $0.string < $1.string }
  }
}
