import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// A file that is read once, from its beginning to its end: the disk works ahead of the reader, and what wasn't in the page cache before doesn't
/// stay in it, so that hashing a model pushes nobody's working set out of memory.
final class SequentialFile {
  /// Bytes that are asked for ahead, and dropped, at a time. With several files at once a disk has work queued for many milliseconds.
  private static let window = 8 << 20

  private let file: OpenFile
  private var offset = 0
  /// Whether windows `entered` and `entered + 1` were in the page cache when they were first looked at.
  private var entered = -1
  private var wasCached = (false, false)

  init(_ path: FilePath) throws(Errno) {
    file = try OpenFile(path)
    wasCached.1 = advise(window: 0)
  }

  /// Fills `buffer` from where the last call ended.
  /// - Returns: bytes read; fewer than `buffer.count` only at the end.
  func read(into buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int {
    while entered < offset / Self.window { enterNextWindow() }
    var count = 0
    while count < buffer.count {
      let read = try file.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[count...]), at: offset + count)
      guard read > 0 else { break }
      count += read
    }
    offset += count
    if count < buffer.count { drop(window: entered) }
    return count
  }

  private func enterNextWindow() {
    drop(window: entered)
    entered += 1
    wasCached = (wasCached.1, advise(window: entered + 1))
  }

  private func drop(window: Int) {
    guard window >= 0, !wasCached.0 else { return }
    posix_fadvise(file.descriptor, off_t(window * Self.window), off_t(Self.window), POSIX_FADV_DONTNEED)
  }

  /// Starts reading `window` into the page cache.
  /// - Returns: whether most of it was there already.
  private func advise(window: Int) -> Bool {
    let start = window * Self.window
    let count = min(Self.window, file.size - start)
    guard count > 0, !isCached(start, count) else { return true }
    posix_fadvise(file.descriptor, off_t(start), off_t(count), POSIX_FADV_WILLNEED)
    return false
  }

  private func isCached(_ start: Int, _ count: Int) -> Bool {
    // Mapped only to ask about it; nothing is touched, so a file cut short meanwhile does no harm.
    guard let map = mmap(nil, count, PROT_READ, MAP_SHARED, file.descriptor, off_t(start)), map != MAP_FAILED else { return true }
    defer { munmap(map, count) }
    let page = sysconf(Int32(_SC_PAGESIZE))
    var pages = [UInt8](repeating: 0, count: (count + page - 1) / page)
    guard mincore(map, count, &pages) == 0 else { return true }
    return pages.reduce(0) { $0 + Int($1 & 1) } * 2 > pages.count
  }
}
