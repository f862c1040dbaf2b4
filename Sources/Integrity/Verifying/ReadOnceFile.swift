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
  /// Goes past the page cache; nil where the file system has no such thing.
  private let direct: FileDescriptor?

  var size: Int { file.size }

  /// - Throws: what `OpenFile` throws; `.notSupported` for a file that has bytes though its size is 0, as those in /proc have: what it holds isn't
  ///   known before it is read, and may differ each time.
  init(_ path: FilePath) throws(Errno) {
    self.path = path
    file = try OpenFile(path)
    // Its own reading ahead would bring into the page cache what nobody asked for.
    posix_fadvise(file.descriptor.rawValue, 0, 0, POSIX_FADV_RANDOM)
    // Through /proc it is the very file that is open; by its name it might be another.
    let name = FilePath("/proc/self/fd/\(file.descriptor.rawValue)")
    direct = file.size == 0 ? nil : try? FileDescriptor.open(name, .readOnly, options: [.closeOnExec, Self.pastCache])
    guard file.size == 0 else { return }
    var byte: UInt8 = 0
    guard try withUnsafeMutableBytes(of: &byte, { (buffer) throws(Errno) in try file.read(into: buffer, at: 0) }) == 0 else { throw .notSupported }
  }

  deinit { try? direct?.close() }

  /// Whether somebody wrote to it since it was opened, removed it, or put another file under its name: what was read is not what is there now.
  var hasChanged: Bool { file.hasChanged || (try? path.stat()).map(FileVersion.init) != file.version }

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
    while let direct, count < buffer.count, count % Self.alignment == 0,
      let read = try? direct.read(fromAbsoluteOffset: Int64(offset + count), into: UnsafeMutableRawBufferPointer(rebasing: buffer[count...])), read > 0
    { count += read }
    guard count < min(buffer.count, size - offset) else { return count }
    let rest = try read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[count...]), at: offset + count)
    posix_fadvise(file.descriptor.rawValue, off_t(offset), off_t(buffer.count), POSIX_FADV_DONTNEED)
    return count + rest
  }

  /// O_DIRECT (asm/fcntl.h), which glibc shows only under _GNU_SOURCE.
  private static var pastCache: FileDescriptor.OpenOptions {
    #if arch(arm64)
      FileDescriptor.OpenOptions(rawValue: 0o200000)
    #else
      FileDescriptor.OpenOptions(rawValue: 0o40000)
    #endif
  }
}
