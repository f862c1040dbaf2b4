import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

extension FileDescriptor {
  /// Writes all of `bytes` from `offset` on.
  package func write(all bytes: UnsafeRawBufferPointer, at offset: Int) throws(Errno) {
    var done = 0
    while done < bytes.count {
      let count = try systemCall { try write(toAbsoluteOffset: Int64(offset + done), UnsafeRawBufferPointer(rebasing: bytes[done...])) }
      // A disk that takes nothing and gives no reason would be asked for ever.
      guard count > 0 else { throw .ioError }
      done += count
    }
  }

  package func write(all bytes: [UInt8], at offset: Int) throws(Errno) { try systemCall { try bytes.withUnsafeBytes { try write(all: $0, at: offset) } } }

  /// Waits until all that was written is on the disk.
  package func sync() throws(Errno) { guard fsync(rawValue) == 0 else { throw Errno(rawValue: errno) } }

  /// Fills `memory` from `offset` on. A file that ends before is an input/output error: it was longer.
  package func readAll(into memory: UnsafeMutableRawBufferPointer, at offset: Int) throws(Errno) {
    var done = 0
    while done < memory.count {
      let count = try systemCall { try read(fromAbsoluteOffset: Int64(offset + done), into: UnsafeMutableRawBufferPointer(rebasing: memory[done...])) }
      guard count > 0 else { throw .ioError }
      done += count
    }
  }
}
