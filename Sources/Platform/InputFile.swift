import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// What a person names to be read once, from its first byte to its last: a file, a pipe (`<(…)`, `/dev/stdin`), or `-`, which is standard input.
package enum InputFile {
  /// - Throws: `Errno`; `.fileTooLarge` over `limit` bytes.
  package static func read(_ path: FilePath, atMost limit: Int) throws(Errno) -> [UInt8] {
    try systemCall {
      if path == "-" { return try read(.standardInput, limit) }
      let descriptor = try FileDescriptor.open(path, .readOnly, options: .closeOnExec)
      return try descriptor.closeAfter { try read(descriptor, limit) }
    }
  }

  /// Whether `path` is something whose bytes come once, such as a pipe, or what the shell has opened: its name says nothing of where it lies.
  package static func isStream(_ path: FilePath) -> Bool {
    if path == "-" || path == "/dev/stdin" || path.starts(with: "/dev/fd") || path.starts(with: "/proc/self/fd") { return true }
    guard let type = try? path.stat().type else { return false }
    return type == .fifo || type == .characterSpecial || type == .socket
  }

  private static func read(_ descriptor: FileDescriptor, _ limit: Int) throws -> [UInt8] {
    var bytes: [UInt8] = []
    let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
    defer { chunk.deallocate() }
    while true {
      let count: Int
      do { count = try descriptor.read(into: chunk) } catch Errno.wouldBlock {
        // Somebody else has set the pipe to O_NONBLOCK, and nothing is in it yet.
        var empty = pollfd(fd: descriptor.rawValue, events: Int16(POLLIN), revents: 0)
        poll(&empty, 1, -1)
        continue
      }
      if count == 0 { return bytes }
      guard bytes.count + count <= limit else { throw Errno.fileTooLarge }
      bytes += UnsafeRawBufferPointer(rebasing: chunk[..<count])
    }
  }
}
