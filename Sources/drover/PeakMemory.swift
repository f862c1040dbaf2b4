import Glibc

/// Most bytes of memory that this process has had resident, mapped files included; nil where the system doesn't tell.
///
/// `getrusage` would tell what the process that started this one had, if that was more: the kernel hands it on when a program is executed.
func peakResidentBytes() -> Int? {
  let descriptor = open("/proc/self/status", O_RDONLY | O_CLOEXEC)
  guard descriptor >= 0 else { return nil }
  defer { close(descriptor) }
  // proc(5): one page at most, in one read.
  let status = String(unsafeUninitializedCapacity: 4096) { max(0, read(descriptor, $0.baseAddress, $0.count)) }
  let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
  return line.flatMap { $0.split(whereSeparator: \.isWhitespace).dropFirst().first }.flatMap { Int($0) }.map { $0 * 1024 }
}
