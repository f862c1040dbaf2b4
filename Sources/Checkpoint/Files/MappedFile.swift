import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// A file mapped read-only for as long as this object lives.
///
/// The bytes are shared with the page cache: nothing is copied, and what isn't touched isn't read. Inside this module a file may also be one that is
/// elsewhere and only partly here; readers of headers therefore `require` what they look at.
public final class MappedFile: @unchecked Sendable {
  // Unchecked: the mapping is read-only and lives until `deinit`.
  public let path: FilePath
  private let base: UnsafeMutableRawPointer?
  private let descriptor: Int32
  public let count: Int
  /// Where the headers' bytes come from when the file isn't all here.
  private let pages: FetchedPages?
  /// Where the weights come from then, if there is a way to them.
  private let arriving: (any ArrivingSource)?

  /// Maps the whole of `path`.
  /// - Throws: `Errno` from `open`, `fstat` or `mmap`.
  public init(path: FilePath) throws(Errno) {
    self.path = path
    pages = nil
    arriving = nil
    // Without O_NONBLOCK a FIFO under a file's name would be waited for.
    let descriptor = Glibc.open(path.string, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw Errno(rawValue: errno) }
    do throws(Errno) {
      var status = stat()
      guard fstat(descriptor, &status) == 0 else { throw Errno(rawValue: errno) }
      guard status.st_mode & S_IFMT == S_IFREG else { throw status.st_mode & S_IFMT == S_IFDIR ? Errno.isDirectory : .invalidArgument }
      count = Int(status.st_size)
      if count > 0 {
        guard let map = mmap(nil, count, PROT_READ, MAP_SHARED, descriptor, 0), map != MAP_FAILED else { throw Errno(rawValue: errno) }
        base = map
      } else {
        base = nil
      }
      self.descriptor = descriptor
    } catch {
      close(descriptor)
      throw error
    }
  }

  /// A file of which only what readers require is fetched.
  init(_ source: any RangeSource, path: FilePath, failure: FetchFailure) throws(CheckpointError) {
    let pages = try FetchedPages(source, path: path, failure: failure)
    self.path = path
    self.pages = pages
    arriving = source as? any ArrivingSource
    base = pages.base
    count = source.count
    descriptor = -1
  }

  deinit {
    guard pages == nil else { return }
    if let base { munmap(base, count) }
    close(descriptor)
  }

  /// Whether there are bytes that can't be read before they were required.
  var isPartial: Bool { pages != nil }

  /// Makes sure that `range` can be read; nothing to do for a file of this machine.
  func require(_ range: Range<Int>) throws(CheckpointError) {
    if let pages, !range.isEmpty { try pages.require(range.clamped(to: 0..<count)) }
  }

  /// The file's bytes; valid while this object is alive. Of a partial file only what was required may be touched.
  public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

  /// Reads into `buffer` without going through the map, so that nothing of it counts as resident.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(CheckpointError) {
    if let arriving {
      do { return try arriving.read(into: buffer, at: offset) } catch { throw CheckpointError(.io, in: path, byte: offset, "can't be read: \(error)") }
    }
    var done = 0
    while done < buffer.count {
      let count = pread(descriptor, buffer.baseAddress.map { $0 + done }, buffer.count - done, off_t(offset + done))
      if count > 0 {
        done += count
      } else if count == 0 {
        throw CheckpointError(.corrupt, in: path, byte: offset + done, "has become shorter while it was read")
      } else if errno != EINTR {
        throw CheckpointError(.io, in: path, byte: offset + done, "can't be read: \(Errno(rawValue: errno))")
      }
    }
  }

  /// Lets go of the pages of the map that are resident; they come back from the page cache when they are touched.
  func releasePages() { if let base, pages == nil { madvise(base, count, MADV_DONTNEED) } }
}
