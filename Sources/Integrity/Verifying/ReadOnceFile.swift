import CLinux
import Platform
import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// A file that is read once: what the page cache has of it through the page cache, the rest past it, straight from the disk.
///
/// So hashing a model pushes nobody's working set out of memory, and of a processor's time a cold file takes next to nothing but the hashing.
final class ReadOnceFile: Sendable {
  /// Bytes whose presence in the page cache is found out together.
  static let windowBytes = 8 << 20
  /// What O_DIRECT wants offsets, lengths and addresses to be multiples of, at most.
  static let alignment = 4096
  /// Places of a window that are asked about, in parts of it. Where a page isn't there, asking has it read: so they are few.
  private static let probes = [0.5, 0.2, 0.8]

  private let path: FilePath
  private let file: OpenFile
  /// A descriptor that goes past the page cache; -1 where the file system has no such thing.
  private let direct: Int32

  var size: Int { file.size }

  /// - Throws: what `OpenFile` throws; `.notSupported` for a file that has bytes though its size is 0, as those in /proc have: what it holds isn't
  ///   known before it is read, and may differ each time.
  init(_ path: FilePath) throws(Errno) {
    self.path = path
    file = try OpenFile(path)
    // Its own reading ahead would bring into the page cache what nobody asked for.
    posix_fadvise(file.descriptor.rawValue, 0, 0, POSIX_FADV_RANDOM)
    // Through /proc it is the very file that is open; by its name it might be another.
    direct = file.size == 0 ? -1 : open("/proc/self/fd/\(file.descriptor.rawValue)", O_RDONLY | O_CLOEXEC | Self.directFlag)
    guard file.size == 0 else { return }
    var byte: UInt8 = 0
    guard try withUnsafeMutableBytes(of: &byte, { (buffer) throws(Errno) in try file.read(into: buffer, at: 0) }) == 0 else { throw .notSupported }
  }

  deinit { if direct >= 0 { close(direct) } }

  /// Whether somebody wrote to it since it was opened, removed it, or put another file under its name: what was read is not what is there now.
  var hasChanged: Bool {
    if file.hasChanged { return true }
    var (opened, named) = (stat(), stat())
    guard fstat(file.descriptor.rawValue, &opened) == 0, path.withPlatformString({ stat($0, &named) }) == 0 else { return true }
    return opened.st_dev != named.st_dev || opened.st_ino != named.st_ino
  }

  /// Whether most of the window at `offset` is in the page cache.
  func isCached(windowAt offset: Int) -> Bool {
    let count = min(Self.windowBytes, size - offset)
    guard count > 0 else { return true }
    var (found, missed) = (0, 0)
    for place in Self.probes where max(found, missed) * 2 < Self.probes.count {
      var byte: UInt8 = 0
      let (status, error) = withUnsafeMutableBytes(of: &byte) { buffer in
        var vector = iovec(iov_base: buffer.baseAddress, iov_len: 1)
        let status = preadv2(file.descriptor.rawValue, &vector, 1, off_t(offset + Int(Double(count) * place)), CLINUX_RWF_NOWAIT)
        return (status, errno)
      }
      if status < 0, error != EAGAIN { return hasPages(offset, count) }
      if status > 0 { found += 1 } else { missed += 1 }
    }
    return found > missed
  }

  /// For file systems that don't say what they have (as those in memory). A map that is private asks for nothing; it isn't touched, so a file that is cut
  /// short meanwhile does no harm.
  private func hasPages(_ start: Int, _ count: Int) -> Bool {
    guard let map = mmap(nil, count, PROT_READ, MAP_PRIVATE, file.descriptor.rawValue, off_t(start)), map != MAP_FAILED else { return true }
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
