import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// What the system says of names in folders. Links are followed.
package enum Directory {
  package enum Kind: Equatable, Sendable { case file, folder }

  /// What `path` is; nil when it is neither a regular file nor a folder.
  /// - Throws: what `stat` says.
  package static func kind(of path: FilePath) throws(Errno) -> Kind? {
    let status = try path.stat()
    return switch status.type {
    case .regular: .file
    case .directory: .folder
    default: nil
    }
  }

  /// What a sentence calls what is neither a regular file nor a folder.
  package static func specialKind(of path: FilePath) -> String {
    switch try? path.stat().type {
    case .fifo: "a pipe"
    case .socket: "a socket"
    default: "a device"
    }
  }

  /// Whether there is anything at `path`.
  package static func exists(_ path: FilePath) -> Bool { (try? path.stat()) != nil }

  /// What the folder or file at `path` is called; empty for what has no name. `.` and `..` are no names: what they stand for has one.
  package static func name(of path: FilePath) -> String {
    var path = path.lexicallyNormalized()
    if path.lastComponent?.kind != .regular, let real = (path.isEmpty ? "." : path).withPlatformString({ realpath($0, nil) }) {
      path = FilePath(platformString: real)
      free(real)
    }
    return path.lastComponent?.string ?? ""
  }

  /// Bytes of the regular file at `path`; nil when there is none.
  package static func size(of path: FilePath) -> Int? {
    guard let status = try? path.stat(), status.type == .regular else { return nil }
    return Int(status.size)
  }

  /// The names in a folder, in their order; hidden ones are left out.
  package static func names(in path: FilePath) throws(Errno) -> [FilePath.Component] {
    guard let stream = path.withPlatformString({ opendir($0) }) else { throw Errno(rawValue: errno) }
    defer { closedir(stream) }
    return try names(stream).filter { !$0.string.hasPrefix(".") }.sorted { $0.string < $1.string }
  }

  /// The names that an open folder has, all but `.` and `..`.
  static func names(_ stream: OpaquePointer) throws(Errno) -> [FilePath.Component] {
    var names: [FilePath.Component] = []
    errno = 0
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
        tuple.withMemoryRebound(to: CInterop.PlatformChar.self, capacity: 256) { FilePath.Component(platformString: $0) }
      }
      if let name, name.kind == .regular { names.append(name) }
      errno = 0
    }
    guard errno == 0 else { throw Errno(rawValue: errno) }
    return names
  }
}
