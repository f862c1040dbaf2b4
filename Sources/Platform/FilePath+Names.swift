import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// Names of files are bytes, which needn't be text: whatever is done to one, its other bytes stay as they are.
extension FilePath {
  /// The path with something before and after its last name.
  package func adding(before start: String = "", _ ending: String) -> FilePath {
    lastComponent.map { removingLastComponent().appending($0.adding(before: start, ending)) } ?? self
  }

  /// Gives what is at this path another name; what has that name already gives way (rename(2)).
  package func rename(to new: FilePath) throws(Errno) {
    let status = withPlatformString { old in new.withPlatformString { Glibc.rename(old, $0) } }
    guard status == 0 else { throw Errno(rawValue: errno) }
  }

  /// Makes the folder, and those above it that aren't there (mkdir(2)).
  package func makeFolders() throws(Errno) {
    var made = FilePath(root: root, [])
    for component in components {
      made.append(component)
      if made.withPlatformString({ mkdir($0, 0o777) }) != 0, errno != EEXIST, errno != EISDIR { throw Errno(rawValue: errno) }
    }
  }

  /// Removes a file's name, where there is one (unlink(2)).
  package func remove() { _ = withPlatformString { unlink($0) } }

  /// Whether this process may do with what is at the path what `mode` says (access(2)).
  package func allows(_ mode: Int32) -> Bool { withPlatformString { access($0, mode) } == 0 }
}

extension FilePath.Component {
  /// The name with something before and after it.
  package func adding(before start: String = "", _ ending: String) -> FilePath.Component {
    func characters(_ text: String) -> [CInterop.PlatformChar] { text.utf8.map { CInterop.PlatformChar(bitPattern: $0) } }
    let bytes = characters(start) + withPlatformString { Array(UnsafeBufferPointer(start: $0, count: strlen($0))) } + characters(ending) + [0]
    return bytes.withUnsafeBufferPointer { $0.baseAddress.flatMap { FilePath.Component(platformString: $0) } } ?? self
  }
}
