import Platform
import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// A file that is read once: what the page cache has of it through the page cache, the rest past it, straight from the disk.
///
/// So hashing a model pushes nobody's working set out of memory, and of a processor's time a cold file takes next to nothing but the hashing.
final class ReadOnceFile: @unchecked Sendable {
  // Unchecked: `direct` is written before reads past the cache begin.
  /// Bytes whose presence in the page cache is found out together.
  static let windowBytes = 8 << 20
  /// What O_DIRECT wants offsets, lengths and addresses to be multiples of, at most.
  static let alignment = 4096

  private let file: OpenFile
  /// A descriptor that goes past the page cache; -1 where the file system has no such thing.
  private var direct: Int32 = -1

  var size: Int { file.size }
  var hasChanged: Bool { file.hasChanged }

  init(_ path: FilePath) throws(Errno) {
    file = try OpenFile(path)
    // Its own reading ahead would bring into the page cache what nobody asked for.
    posix_fadvise(file.descriptor.rawValue, 0, 0, POSIX_FADV_RANDOM)
  }

  deinit { if direct >= 0 { close(direct) } }

  /// Whether most of the window at `offset` is in the page cache. Not to be called by two threads at a time.
  func isCached(windowAt offset: Int) -> Bool {
    let count = min(Self.windowBytes, size - offset)
    if count <= 0 || hasPages(offset, count) { return true }
    // Through /proc it is the very file that is open; by its name it might be another.
    if direct < 0 { direct = open("/proc/self/fd/\(file.descriptor.rawValue)", O_RDONLY | O_CLOEXEC | Self.directFlag) }
    return false
  }

  private func hasPages(_ start: Int, _ count: Int) -> Bool {
    // Mapped only to ask about it; nothing is touched, so a file cut short meanwhile does no harm.
    guard let map = mmap(nil, count, PROT_READ, MAP_SHARED, file.descriptor.rawValue, off_t(start)), map != MAP_FAILED else { return true }
    defer { munmap(map, count) }
    let page = sysconf(Int32(_SC_PAGESIZE))
    var pages = [UInt8](repeating: 0, count: (count + page - 1) / page)
    guard mincore(map, count, &pages) == 0 else { return true }
    return pages.reduce(0) { $0 + Int($1 & 1) } * 2 > pages.count
  }

  /// Fills `buffer` from `offset` on, through the page cache.
  /// - Returns: bytes read; fewer than `buffer.count` only at the end.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(Errno) -> Int {
    var count = 0
    while count < buffer.count {
      let read = try file.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[count...]), at: offset + count)
      guard read > 0 else { break }
      count += read
    }
    return count
  }

  /// Fills `buffer` from `offset` on, and leaves nothing in the page cache. Offset, address and length are multiples of `alignment`.
  /// - Returns: bytes read; fewer than `buffer.count` only at the end.
  func readPastCache(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(Errno) -> Int {
    var count = 0
    // A rest that isn't aligned is the end of the file, or what another way of reading must get.
    while direct >= 0, count < buffer.count, count % Self.alignment == 0 {
      let read = pread(direct, buffer.baseAddress.map { $0 + count }, buffer.count - count, off_t(offset + count))
      if read > 0 {
        count += read
      } else if read == 0 || errno != EINTR {
        break
      }
    }
    guard count < min(buffer.count, size - offset) else { return count }
    let rest = try read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[count...]), at: offset + count)
    posix_fadvise(file.descriptor.rawValue, off_t(offset), off_t(buffer.count), POSIX_FADV_DONTNEED)
    return count + rest
  }

  /// O_DIRECT (asm/fcntl.h), which glibc shows only under _GNU_SOURCE.
  private static var directFlag: Int32 {
    #if arch(arm64)
      0o200000
    #else
      0o40000
    #endif
  }
}
