import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

extension FilePath.Component {
  /// The same name, which may be any bytes, between others.
  package func between(_ prefix: String = "", _ suffix: String) -> FilePath.Component {
    let bytes = withPlatformString { name in
      prefix.utf8.map { CInterop.PlatformChar(bitPattern: $0) } + UnsafeBufferPointer(start: name, count: strlen(name)) + Array(suffix.utf8CString)
    }
    return bytes.withUnsafeBufferPointer { $0.baseAddress.flatMap { FilePath.Component(platformString: $0) } } ?? self
  }
}
