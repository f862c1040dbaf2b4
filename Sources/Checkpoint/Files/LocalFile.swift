import Platform
import Synchronization
import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// A file of this machine, read with `pread`: a file that is cut short meanwhile gives an error, where a map would end the program.
final class LocalFile: ByteSource {
  let path: FilePath
  private let file: OpenFile
  /// Where that ends which the system was asked to read ahead.
  private let aheadEnd = Atomic(0)

  /// Reads of less are of headers, which tell where to go on.
  private static let leastWeights = 64 << 10
  /// What is asked for at once: on a mount whose server is far away each request costs a round trip.
  private static let aheadBytes = 8 << 20

  var count: Int { file.size }
  var isHere: Bool { true }

  /// - Throws: `.missing`; `.unsupported` for what isn't a regular file; `.io` for what can't be opened.
  init(_ path: FilePath) throws(CheckpointError) {
    self.path = path
    do { file = try OpenFile(path) } catch {
      switch error {
      case .noSuchFileOrDirectory: throw CheckpointError(.missing, in: path, "can't be read: \(error)")
      case .isDirectory: throw CheckpointError(.unsupported, in: path, "is a folder, where a file is due")
      case .invalidArgument, .noSuchAddressOrDevice:
        throw CheckpointError(
          .unsupported, in: path, "is \(Directory.specialKind(of: path)), and weights and what describes them are read at any place: save it to a file first, and name that")
      default: throw CheckpointError(.io, in: path, "can't be read: \(error)")
      }
    }
  }

  /// The whole of a small file, such as a licence.
  /// - Parameters:
  ///   - isText: whether it may begin as a web page does.
  ///   - limit: the most bytes that make sense.
  static func contents(of path: FilePath, isText: Bool = true, limit: Int = smallFileLimit) throws(CheckpointError) -> [UInt8] {
    let file = try LocalFile(path)
    try file.refuseStandIn(isText: isText)
    let bytes = try file.contents(limit: limit)
    try file.checkUnchanged()
    return bytes
  }

  /// A file beside it by name; nil where it isn't there.
  func sibling(_ name: String) throws(CheckpointError) -> (any ByteSource)? {
    let sibling = path.folder.appending(name)
    return Directory.exists(sibling) ? try LocalFile(sibling) : nil
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(CheckpointError) {
    if buffer.count >= Self.leastWeights { readAhead(offset..<offset + buffer.count) }
    var done = 0
    while done < buffer.count {
      let count: Int
      do { count = try file.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[done...]), at: offset + done) } catch {
        throw CheckpointError(.io, in: path, byte: offset + done, "can't be read: \(error)")
      }
      guard count > 0 else { throw CheckpointError(.corrupt, in: path, byte: offset + done, "has become shorter while it was read") }
      done += count
    }
  }

  /// Has the system bring what comes next into the page cache, in requests of megabytes and in the order of the file, however small and out of turn the
  /// reads of several threads are.
  private func readAhead(_ range: Range<Int>) {
    let end = aheadEnd.load(ordering: .relaxed)
    // Near what was asked for last: within it, or just behind it.
    let isNear = range.lowerBound + 2 * Self.aheadBytes > end && range.lowerBound <= end + Self.aheadBytes
    guard !isNear || range.upperBound + Self.aheadBytes / 2 > end else { return }
    let start = isNear ? max(end, range.lowerBound) : range.lowerBound
    let next = min(range.upperBound + Self.aheadBytes, count)
    guard start < next, aheadEnd.compareExchange(expected: end, desired: next, ordering: .relaxed).exchanged else { return }
    posix_fadvise(file.descriptor.rawValue, off_t(start), off_t(next - start), POSIX_FADV_WILLNEED)
  }

  func checkUnchanged() throws(CheckpointError) {
    if file.hasChanged {
      throw CheckpointError(.corrupt, in: path, "was written to while it was read, so two versions of it may be mixed; run this again when nobody writes to it")
    }
  }

  func mapped() throws(CheckpointError) -> MappedFile { try MappedFile(file, path) }
}
