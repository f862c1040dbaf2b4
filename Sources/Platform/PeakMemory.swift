import SystemPackage

/// Most bytes of memory that this process has had resident, mapped files included; nil where the system doesn't tell.
///
/// Not from `getrusage`: when a program is executed the kernel hands it the peak of the process that started it.
package func peakResidentBytes() -> Int? {
  // proc(5): `VmHWM:	   12345 kB`.
  let line = (try? ProcessFile.read("/proc/self/status"))?.split(separator: UInt8(ascii: "\n")).first { $0.starts(with: "VmHWM:".utf8) }
  return line.flatMap { String(decoding: $0, as: UTF8.self).split(whereSeparator: \.isWhitespace).dropFirst().first }.flatMap { Int($0) }.map { $0 * 1024 }
}

/// Files in `/proc`, whose size is said to be zero.
package enum ProcessFile {
  /// The first page at most, in one read, as the kernel makes it.
  package static func read(_ path: FilePath) throws(Errno) -> [UInt8] {
    try systemCall {
      let descriptor = try FileDescriptor.open(path, .readOnly, options: .closeOnExec)
      return try descriptor.closeAfter {
        try [UInt8](unsafeUninitializedCapacity: 4096) { buffer, count in count = try descriptor.read(into: UnsafeMutableRawBufferPointer(buffer)) }
      }
    }
  }
}
